//! How a wait spends its time: asleep, or trying again for a while first.

/// What a half does while there is nothing to receive, or no room to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitStrategy {
    /// Sleeps at once.
    #[default]
    Sleep,
    /// Tries again for a bounded time before it sleeps, but only while that has been paying.
    Adaptive,
    /// Tries again until it is done.
    Spin,
}
