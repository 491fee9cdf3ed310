//! The handshake's three words, and what the two sides must agree on. Pure: bytes in, bytes or a verdict out.
//!
//! Client: [`Hello`]. Server: [`Verdict`]. Client: ready, with the server's nonce. The client speaks first, so a
//! silent one costs the server nothing; each side proves that it reads what the other wrote by sending its nonce
//! back.

use crate::{ErrorKind, Nonce, Refusal, address::LONGEST_SCHEME};

/// The protocol's version. Both sides must have the same.
pub const VERSION: u16 = 1;
/// The largest body of a handshake frame, in bytes.
pub const LARGEST: u32 = 256;

const MAGIC: [u8; 6] = *b"hobnob";

/// What one side says of itself. Both words of the handshake carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The protocol's version.
    pub version: u16,
    /// The transport it believes it speaks over.
    pub scheme: String,
    /// The largest message it receives, in bytes.
    pub limit: u32,
    /// The fingerprint of its message types, if it has one.
    pub schema: Option<u64>,
}

/// The client's first word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What the client says of itself.
    pub terms: Terms,
    /// To be sent back by the server.
    pub nonce: Nonce,
}

/// The server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the server says of itself.
    pub terms: Terms,
    /// `None` is welcome.
    pub refusal: Option<Refusal>,
    /// The client's nonce; zeros if the refusal came before the hello was read.
    pub echo: Nonce,
    /// To be sent back by the client.
    pub nonce: Nonce,
}

impl Hello {
    /// The body of the frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [&self.terms.encode()[..], &self.nonce].concat()
    }

    /// Reads the body of the frame.
    ///
    /// # Errors
    /// It is no hello.
    pub fn decode(body: &[u8]) -> Result<Self, &'static str> {
        let mut reader = Reader(body);
        Ok(Self { terms: reader.terms()?, nonce: reader.take()? })
    }
}

impl Verdict {
    /// The body of the frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let code = self.refusal.map_or(0, Refusal::code);
        [&self.terms.encode()[..], &[code], &self.echo, &self.nonce].concat()
    }

    /// Reads the body of the frame.
    ///
    /// # Errors
    /// It is no verdict.
    pub fn decode(body: &[u8]) -> Result<Self, &'static str> {
        let mut reader = Reader(body);
        let terms = reader.terms()?;
        let [code] = reader.take()?;
        let refusal = match code {
            0 => None,
            // A later version may have reasons that this one does not know; it is a no all the same.
            code => Some(Refusal::from_code(code).unwrap_or(Refusal::NotAdmitted)),
        };
        Ok(Self { terms, refusal, echo: reader.take()?, nonce: reader.take()? })
    }

    /// The error that this verdict is for a client with these terms, if it is one.
    #[must_use]
    pub fn error(&self, ours: &Terms) -> Option<ErrorKind> {
        Some(match self.refusal? {
            // It was honest and slow, and the server had no room to wait for it.
            Refusal::Busy | Refusal::Evicted => ErrorKind::Busy,
            Refusal::StaleClientFile => ErrorKind::StaleClientFile,
            Refusal::WrongVersion => {
                ErrorKind::WrongVersion { server: self.terms.version, client: ours.version }
            }
            Refusal::WrongTransport => {
                ErrorKind::WrongTransport { server: self.terms.scheme.clone(), client: ours.scheme.clone() }
            }
            Refusal::SchemaMismatch => ErrorKind::SchemaMismatch {
                server: self.terms.schema.unwrap_or_default(),
                client: ours.schema.unwrap_or_default(),
            },
            reason => ErrorKind::Refused { reason },
        })
    }
}

impl Terms {
    /// Why a client with these terms cannot talk to a server with `server`'s, if it cannot.
    /// A side that declares no schema takes any.
    #[must_use]
    pub fn refusal(&self, server: &Self) -> Option<Refusal> {
        let schemas_differ = self.schema.zip(server.schema).is_some_and(|(ours, theirs)| ours != theirs);
        if self.version != server.version {
            Some(Refusal::WrongVersion)
        } else if self.scheme != server.scheme {
            Some(Refusal::WrongTransport)
        } else if schemas_differ {
            Some(Refusal::SchemaMismatch)
        } else {
            None
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut scheme = [0; LONGEST_SCHEME];
        let length = self.scheme.len().min(scheme.len());
        scheme[..length].copy_from_slice(&self.scheme.as_bytes()[..length]);
        let mut out = Vec::with_capacity(64);
        out.extend(MAGIC);
        out.extend(self.version.to_le_bytes());
        out.extend(scheme);
        out.extend(self.limit.to_le_bytes());
        out.push(u8::from(self.schema.is_some()));
        out.extend(self.schema.unwrap_or_default().to_le_bytes());
        out
    }
}

/// Takes fixed fields off a body. What follows the known fields is left for later versions.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or("handshake word cut short")?;
        self.0 = rest;
        Ok(*field)
    }

    fn terms(&mut self) -> Result<Terms, &'static str> {
        if self.take()? != MAGIC {
            return Err("handshake word without hobnob's magic");
        }
        let version = u16::from_le_bytes(self.take()?);
        let scheme: [u8; LONGEST_SCHEME] = self.take()?;
        let length = scheme.iter().position(|b| *b == 0).unwrap_or(scheme.len());
        let plain = scheme[..length].iter().all(u8::is_ascii_alphanumeric);
        let scheme = plain.then(|| String::from_utf8_lossy(&scheme[..length]).into_owned());
        let limit = u32::from_le_bytes(self.take()?);
        let [declared] = self.take()?;
        let schema = u64::from_le_bytes(self.take()?);
        Ok(Terms {
            version,
            scheme: scheme.ok_or("scheme is not plain text")?,
            limit,
            schema: (declared != 0).then_some(schema),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms() -> Terms {
        Terms { version: VERSION, scheme: "unix".into(), limit: 1 << 24, schema: Some(7) }
    }

    #[test]
    fn words_survive_the_wire_and_fit_the_limit() {
        let hello = Hello { terms: terms(), nonce: [3; 16] };
        assert_eq!(Hello::decode(&hello.encode()), Ok(hello.clone()));
        for refusal in Refusal::ALL.into_iter().map(Some).chain([None]) {
            let verdict = Verdict { terms: terms(), refusal, echo: [3; 16], nonce: [4; 16] };
            let body = verdict.encode();
            assert!(body.len() <= LARGEST as usize);
            assert_eq!(Verdict::decode(&body), Ok(verdict));
        }
    }

    #[test]
    fn differences_are_told_apart_and_an_undeclared_schema_takes_any() {
        let server = terms();
        let other = |change: &dyn Fn(&mut Terms)| {
            let mut client = terms();
            change(&mut client);
            client.refusal(&server)
        };
        assert_eq!(other(&|_| ()), None);
        assert_eq!(other(&|t| t.version = 2), Some(Refusal::WrongVersion));
        assert_eq!(other(&|t| t.scheme = "fifo".into()), Some(Refusal::WrongTransport));
        assert_eq!(other(&|t| t.schema = Some(8)), Some(Refusal::SchemaMismatch));
        assert_eq!(other(&|t| t.schema = None), None);
        assert_eq!(other(&|t| t.limit = 1), None);
    }

    #[test]
    fn every_cut_of_a_hello_is_refused() {
        let body = Hello { terms: terms(), nonce: [3; 16] }.encode();
        for length in 0..body.len() {
            assert!(Hello::decode(&body[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_hello_from_the_future_is_still_read_so_that_both_versions_can_be_named() {
        let mut hello = Hello { terms: terms(), nonce: [3; 16] };
        hello.terms.version = 9;
        let mut body = hello.encode();
        body.extend([1; 50]);
        assert_eq!(Hello::decode(&body).unwrap().terms.version, 9);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Hello::decode(&body);
            let _ = Verdict::decode(&body);
            let _ = Hello::decode(&[&MAGIC[..], &body].concat());
        }
    }
}
