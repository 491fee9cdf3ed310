//! Where a server is: `name`, `scheme:name`, `scheme:/path`, `scheme:host:port`.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::{Error, Name, Result};

/// Where a server is. `calc` leaves the transport open; `unix:calc` fixes it; `unix:/run/calc.sock` is a
/// path of the user's choice instead of a leased name; `tcp:localhost:4000` is a host and port.
///
/// Whether a scheme exists is not this type's business: the facade knows the transports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    scheme: Option<String>,
    target: Target,
}

/// What an address points at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// A leased name.
    Name(Name),
    /// An absolute path.
    Path(PathBuf),
    /// A host and a port.
    HostPort(String, u16),
}

/// In bytes.
pub(crate) const LONGEST_SCHEME: usize = 16;

impl Address {
    /// The transport asked for, if any.
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    /// What it points at.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same target over this transport.
    #[must_use]
    pub fn over(&self, scheme: &str) -> Self {
        Self { scheme: Some(scheme.to_owned()), target: self.target.clone() }
    }

    /// Fails unless this address is open to `scheme`.
    pub(crate) fn must_allow(&self, scheme: &str) -> Result<()> {
        match self.scheme() {
            Some(other) if other != scheme => {
                Err(Error::bad_address(format!("the scheme is {other:?}; expected {scheme:?} or none")))
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return bare(text);
        };
        check_scheme(scheme)?;
        Ok(Self { scheme: Some(scheme.to_owned()), target: target(rest)? })
    }
}

fn bare(text: &str) -> Result<Address> {
    if text.starts_with('/') {
        return Err(Error::bad_address(format!(
            "the path {text:?} has no scheme; expected e.g. unix:{text}"
        )));
    }
    Ok(Address { scheme: None, target: Target::Name(text.parse()?) })
}

fn check_scheme(scheme: &str) -> Result<()> {
    let letters = scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if letters && scheme.starts_with(|c: char| c.is_ascii_lowercase()) && scheme.len() <= LONGEST_SCHEME {
        return Ok(());
    }
    Err(Error::bad_address(format!(
        "the scheme {scheme:?} is none; expected 1 to {LONGEST_SCHEME} of a-z 0-9, beginning with a letter"
    )))
}

fn target(rest: &str) -> Result<Target> {
    if rest.starts_with('/') {
        return path(rest);
    }
    match rest.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => {
            let port = port
                .parse()
                .map_err(|_| Error::bad_address(format!("the port {port:?} is none; expected 0 to 65535")))?;
            Ok(Target::HostPort(host.to_owned(), port))
        }
        _ => Ok(Target::Name(rest.parse()?)),
    }
}

fn path(text: &str) -> Result<Target> {
    let plain = !text.contains('\0') && !text.ends_with('/');
    if plain && !text.split('/').any(|part| part == "." || part == "..") {
        return Ok(Target::Path(PathBuf::from(text)));
    }
    Err(Error::bad_address(format!(
        "the path {text:?} is not that of a file; expected no \".\", \"..\", NUL or last \"/\""
    )))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(f, "{scheme}:")?;
        }
        match &self.target {
            Target::Name(name) => write!(f, "{name}"),
            Target::Path(path) => write!(f, "{}", path.display()),
            Target::HostPort(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

impl TryFrom<&str> for Address {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl TryFrom<&String> for Address {
    type Error = Error;

    fn try_from(text: &String) -> Result<Self> {
        text.parse()
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}

impl From<Name> for Address {
    fn from(name: Name) -> Self {
        Self { scheme: None, target: Target::Name(name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_parses_and_prints_back() {
        for text in
            ["calc", "unix:calc", "fifo:my.app", "unix:/tmp/a b.sock", "tcp:127.0.0.1:80", "tcp:[::1]:80"]
        {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn bad_addresses_say_what_was_expected() {
        for text in [
            "",
            ":",
            ":a",
            "unix:",
            "UNIX:a",
            "/tmp/x",
            "unix:/tmp/../x",
            "unix:/tmp/",
            "tcp:h:99999",
            "unix:a/b",
            "u nix:a",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains("expected"), "{text:?}: {error}");
        }
    }
}
