//! What is chosen alike for a server and for a client.

/// The options that both kinds have, in words that hold for both.
macro_rules! alike {
    ($options:ident) => {
        impl $options {
            /// The largest message received, in bytes.
            #[must_use]
            pub fn max_message(mut self, bytes: u32) -> Self {
                self.config.limits.message = bytes;
                self
            }

            /// The largest message sent on a foreign [wire](crate::Wire), in bytes: there nobody says what the other side
            /// receives. Without this option it is as large as one received may be.
            #[must_use]
            pub fn max_sent(mut self, bytes: u32) -> Self {
                self.config.limits.sent = Some(bytes);
                self
            }

            /// How connections wait; each can be told otherwise later.
            #[must_use]
            pub fn wait(mut self, strategy: WaitStrategy) -> Self {
                self.config.wait = strategy;
                self
            }

            /// Takes the end of the peer's process for the end of the connection (pidfd_open(2)). Without it the witness is
            /// the end of the stream, which does not come while a child that the peer forked still holds its descriptors.
            ///
            /// It costs a descriptor for each connection, and waits go through poll(2). On AF_UNIX the kernel names the process
            /// (SO_PEERPIDFD, Linux 6.5); over FIFOs it is the pid that the peer claims, if a process of the peer's uid has
            /// it. Where no process can be watched, the end of the stream remains the only witness. Whoever waits on the
            /// descriptor (`AsFd`) in a loop of his own does not see it; the `try_` words do.
            #[must_use]
            pub fn watch_peer(mut self, watch: bool) -> Self {
                self.config.watch_peer = watch;
                self
            }

            /// Gives a peer up ([`Stalled`](crate::ErrorKind::Stalled)) that for so long sends nothing of the rest of a message
            /// that we are receiving, or takes nothing of what we are sending, while a call of ours waits for it. Without this
            /// option such a call waits until its own deadline. Silence between messages is no stall. A connection with this
            /// option waits with poll(2).
            #[must_use]
            pub fn stalled_after(mut self, span: Duration) -> Self {
                self.config.stall = Some(span);
                self
            }

            /// Replaces the clock, the failpoints and the faults; for tests.
            #[must_use]
            pub fn seams(mut self, seams: impl Into<Seams>) -> Self {
                self.config.seams = seams.into();
                self
            }
        }
    };
}

pub(super) use alike;
