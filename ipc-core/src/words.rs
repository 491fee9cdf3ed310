//! The two words that begin a conversation, as free functions of every crate that users call.

/// Makes `new_server` and `connect_to` for a server type and a connection type. They take anything that becomes an
/// [`Address`](crate::Address): text, or an address.
#[macro_export]
macro_rules! words {
    ($server:ty, $connection:ty) => {
        /// Takes the name at `at`; see [`IpcServer::new_server`]($crate::IpcServer::new_server).
        ///
        /// # Errors
        /// As there; `BadAddress` also if the address does not parse.
        pub fn new_server<A>(at: A) -> $crate::Result<$server>
        where
            A: TryInto<$crate::Address>,
            $crate::Error: From<A::Error>,
        {
            <$server as $crate::IpcServer>::new_server(&at.try_into()?)
        }

        /// Connects to the server at `at`; see [`IpcConnection::connect_to`]($crate::IpcConnection::connect_to).
        ///
        /// # Errors
        /// As there; `BadAddress` also if the address does not parse.
        pub fn connect_to<A>(at: A) -> $crate::Result<$connection>
        where
            A: TryInto<$crate::Address>,
            $crate::Error: From<A::Error>,
        {
            <$connection as $crate::IpcConnection>::connect_to(&at.try_into()?)
        }
    };
}
