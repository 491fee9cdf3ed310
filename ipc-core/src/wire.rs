//! How messages look on the way: in hobnob's frames, or in what programs understand that never heard of hobnob.

use std::{fmt, num::NonZeroU32, slice, str::FromStr};

use crate::{Config, Error, ErrorKind, Result, Transport};

/// How messages look on the way. All but [`Native`](Self::Native) are foreign wires: for clients and servers that never
/// heard of hobnob, such as netcat, socat or a few lines of Python.
///
/// On a foreign wire nothing but the messages travels. There is no hello: the connection is ready when the road is
/// up, and no version, schema or limit is agreed on; our own limit holds in both directions. There is no client file.
/// There is no goodbye: the end of the stream (shutdown(2), close(2)) between two messages counts as one, so that a
/// peer that has died looks like one that has left, unless it died inside a message (`Truncated`) or, as far as the
/// transport can tell, with bytes of ours unread (`PeerGone`). Who the peer is still comes from the transport. Both
/// sides must use the same wire; one that does not can be found out only by what it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wire {
    /// hobnob's own frames, with hello and goodbye.
    #[default]
    Native,
    /// Bytes as they are. A message is what one read returns, at least one byte and at most 64 KiB or the limit: where
    /// one ends means nothing, for the kernel joins and cuts as it likes. An empty message cannot be sent
    /// ([`EmptyMessage`](ErrorKind::EmptyMessage)).
    Raw,
    /// Each message is followed by this byte, and does not contain it
    /// ([`DelimiterInside`](ErrorKind::DelimiterInside)). The delimiter does not count as a part of the message, which may
    /// be empty. `Delimited(b'\n')` is lines; the `'\r'` that some end them with as well is a part of the message.
    Delimited(u8),
    /// Each message has exactly so many bytes ([`WrongSize`](ErrorKind::WrongSize)).
    Fixed(NonZeroU32),
}

impl Wire {
    /// Whether it is any but hobnob's own.
    #[must_use]
    #[inline]
    pub fn is_foreign(self) -> bool {
        self != Self::Native
    }

    /// The largest message on it, where this side receives up to `limit` bytes.
    pub(crate) fn largest(self, limit: u32) -> u32 {
        if let Self::Fixed(size) = self { size.get() } else { limit }
    }

    /// What follows each message.
    #[inline]
    pub(crate) fn tail(&self) -> &[u8] {
        if let Self::Delimited(delimiter) = self { slice::from_ref(delimiter) } else { &[] }
    }

    /// What is sent for a message without a header, in two parts: the second is not empty if the message is not.
    pub(crate) fn parts<'a>(&'a self, body: &'a [u8]) -> [&'a [u8]; 2] {
        match self.tail() {
            [] => [&[], body],
            tail => [body, tail],
        }
    }

    /// Whether the other side would see where this message ends.
    pub(crate) fn check(self, info: &[u8]) -> Result<()> {
        match self {
            Self::Raw if info.is_empty() => Err(ErrorKind::EmptyMessage.into()),
            Self::Delimited(delimiter) => match find(delimiter, info) {
                Some(at) => Err(ErrorKind::DelimiterInside { delimiter, at: at as u64 }.into()),
                None => Ok(()),
            },
            Self::Fixed(size) if info.len() as u64 != u64::from(size.get()) => {
                Err(ErrorKind::WrongSize { size: info.len() as u64, expected: size.get() }.into())
            }
            _ => Ok(()),
        }
    }

    /// Whether `T` carries it within the limits of `config`, which is made to fit otherwise.
    pub(crate) fn settle<T: Transport>(self, config: &mut Config) -> Result<()> {
        if !self.is_foreign() {
            return Ok(());
        }
        if !T::FOREIGN_WIRES {
            return Err(Error::bad_options(format!(
                "{} cannot carry the wire {self}: its rendezvous needs hobnob at both ends; expected the wire native, or \
                 a transport such as unix",
                T::SCHEME
            )));
        }
        let (limit, least) = (config.limits.message, self.least());
        if limit < least {
            return Err(Error::bad_options(format!(
                "max_message is {limit}; expected at least {least} for the wire {self}"
            )));
        }
        if config.schema.is_some() {
            return Err(Error::bad_options(format!(
                "a schema with the wire {self}, where nobody says which he has; expected none"
            )));
        }
        // Programs that know nothing of hobnob have none.
        config.client_file = crate::ClientFile::Off;
        Ok(())
    }

    /// A limit below this admits no message at all.
    fn least(self) -> u32 {
        match self {
            Self::Native | Self::Delimited(_) => 0,
            Self::Raw => 1,
            Self::Fixed(size) => size.get(),
        }
    }
}

/// How much is looked through at once.
const STRIDE: usize = 256;

/// Where this byte is first. `contains` is quick, and does not say where.
pub(crate) fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    let (stride, part) = bytes.chunks(STRIDE).enumerate().find(|(_, part)| part.contains(&byte))?;
    part.iter().position(|found| *found == byte).map(|at| stride * STRIDE + at)
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::Raw => f.write_str("raw"),
            Self::Delimited(b'\n') => f.write_str("line"),
            Self::Delimited(delimiter) => write!(f, "delimited:{delimiter}"),
            Self::Fixed(size) => write!(f, "fixed:{size}"),
        }
    }
}

/// `native`, `raw`, `line` (delimited by a newline), `delimited:BYTE` (0 to 255) or `fixed:SIZE` (at least 1).
impl FromStr for Wire {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = match text.split_once(':') {
            None => match text {
                "native" => Some(Self::Native),
                "raw" => Some(Self::Raw),
                "line" => Some(Self::Delimited(b'\n')),
                _ => None,
            },
            Some(("delimited", delimiter)) => delimiter.parse().ok().map(Self::Delimited),
            Some(("fixed", size)) => size.parse().ok().map(Self::Fixed),
            Some(_) => None,
        };
        parsed.ok_or_else(|| {
            Error::bad_options(format!(
                "the wire {text:?} is none; expected native, raw, line, delimited:BYTE (0 to 255) or fixed:SIZE (at \
                 least 1)"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_parses_and_prints_back() {
        for text in ["native", "raw", "line", "delimited:0", "delimited:255", "fixed:1", "fixed:4294967295"] {
            assert_eq!(text.parse::<Wire>().unwrap().to_string(), text);
        }
        assert_eq!("delimited:10".parse::<Wire>().unwrap(), Wire::Delimited(b'\n'));
    }

    #[test]
    fn what_is_no_wire_is_told_what_was_expected() {
        for text in [
            "",
            "Raw",
            "lines",
            "fixed",
            "fixed:",
            "fixed:0",
            "fixed:-1",
            "fixed:4294967296",
            "delimited:256",
        ] {
            let error = text.parse::<Wire>().unwrap_err().to_string();
            assert!(error.contains("expected") && error.contains(text), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_first_delimiter_is_found_wherever_it_is() {
        for at in (0..3 * STRIDE).chain([10_000]) {
            let mut bytes = vec![0; at];
            assert_eq!(find(7, &bytes), None, "{at}");
            bytes.extend([7, 7, 0, 7]);
            assert_eq!(find(7, &bytes), Some(at));
        }
    }
}
