//! Why there is no result: what the client is told, and what the log is.

use thiserror::Error;

/// What is shown (`Display`) is for the log only: paths and what the kernel said are not the client's business.
#[derive(Debug, Error)]
pub enum Refusal {
    #[error("{0}")]
    Malformed(&'static str),
    #[error("there is no such model; expected digits, linear or nothing")]
    UnknownModel,
    #[error("{0}")]
    NoSuchImage(String),
    #[error("{0}; expected a PNG")]
    Unreadable(String),
    #[error("{0}; expected less")]
    TooLarge(String),
    #[error("the user is over the rate")]
    TooManyRequests,
    #[error("too many are waiting")]
    Busy,
}

impl Refusal {
    /// All that a client ever learns. What is not there, what is outside and what is forbidden are the same to it.
    pub fn text(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed request",
            Self::UnknownModel => "unknown model",
            Self::NoSuchImage(_) => "no such image",
            Self::Unreadable(_) | Self::TooLarge(_) => "unreadable image",
            Self::TooManyRequests => "too many requests",
            Self::Busy => "busy",
        }
    }

    /// What a user can cause without bound must not fill the log.
    pub fn level(&self) -> log::Level {
        match self {
            Self::TooManyRequests | Self::Busy => log::Level::Debug,
            _ => log::Level::Info,
        }
    }
}
