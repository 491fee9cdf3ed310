//! The words as futures on one runtime, over whatever transport an address names.

/// Everything that a runtime's module has.
macro_rules! words {
    ($runtime:ty) => {
        use std::time::Duration;

        use crate::{Address, AnyConnection, AnyServer, Error, Result, Served};

        /// A server whose `accept_client` is a future.
        pub type Server = ipc_async::Server<$runtime, AnyServer>;
        /// A connection whose calls are futures.
        pub type Connection = ipc_async::Connection<$runtime, AnyConnection>;
        /// The half of it that sends.
        pub type Sender = ipc_async::Sender<$runtime>;
        /// The half of it that receives.
        pub type Receiver = ipc_async::Receiver<$runtime>;
        /// A connection as a stream of bytes.
        pub type ByteStream = ipc_async::ByteStream<$runtime, AnyConnection>;

        /// Plain datagrams as futures.
        #[cfg(feature = "datagrams")]
        pub mod datagrams {
            use crate::{Address, Error, Result};

            /// A server whose `recv_info` is a future.
            pub type Server = ipc_async::DatagramServer<$runtime>;
            /// A client whose calls are futures.
            pub type Client = ipc_async::DatagramClient<$runtime>;

            /// Serves at `at`: `dgram:NAME` or `dgram:/PATH`. Never waits.
            ///
            /// # Errors
            /// As [`crate::datagrams::new_server`].
            pub fn new_server<A>(at: A) -> Result<Server>
            where
                A: TryInto<Address>,
                Error: From<A::Error>,
            {
                Server::new_server(&at.try_into()?)
            }

            /// Makes a client of the server at `at`. Never waits.
            ///
            /// # Errors
            /// As [`crate::datagrams::connect_to`].
            pub fn connect_to<A>(at: A) -> Result<Client>
            where
                A: TryInto<Address>,
                Error: From<A::Error>,
            {
                Client::connect_to(&at.try_into()?)
            }
        }

        /// Takes the name at `at`: a name, `scheme:name` or `scheme:/path`. Never waits.
        ///
        /// # Errors
        /// As [`crate::new_server`].
        pub fn new_server<A>(at: A) -> Result<Server>
        where
            A: TryInto<Address>,
            Error: From<A::Error>,
        {
            Server::new_server(&at.try_into()?)
        }

        /// Connects to the server at `at`, within 5 s.
        ///
        /// # Errors
        /// As [`crate::connect_to`].
        pub async fn connect_to<A>(at: A) -> Result<Connection>
        where
            A: TryInto<Address>,
            Error: From<A::Error>,
        {
            let at = at.try_into()?;
            Connection::connect_to(&at).await
        }

        /// Gives each client of `server` a task that runs `handler`, until the server's
        /// [`StopHandle`](crate::StopHandle) is pulled: see [`ipc_async::serve`].
        ///
        /// # Errors
        /// A failure of the listener itself.
        pub async fn serve<H, F>(server: Server, drain: Duration, handler: H) -> Result<Served>
        where
            H: Fn(Connection) -> F + Send + Sync + 'static,
            F: Future<Output = Result<()>> + Send + 'static,
        {
            ipc_async::serve(server, drain, handler).await
        }
    };
}
pub(crate) use words;
