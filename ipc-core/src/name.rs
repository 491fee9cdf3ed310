//! A server's name.

use std::{fmt, str::FromStr};

use crate::{Error, Result};

/// A server's name: 1 to 32 bytes of `[a-z0-9._-]`, beginning with a letter or digit, without `..`.
/// Names are compared byte by byte, and every one is a safe file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The longest name, in bytes.
    pub const LONGEST: usize = 32;

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = match fault(text) {
            None => return Ok(Self(text.to_owned())),
            Some(found) => found,
        };
        Err(Error::bad_address(format!(
            "the name {text:?} {found}; expected 1 to {} of a-z 0-9 . _ -, beginning with a letter or digit, without \"..\"",
            Self::LONGEST
        )))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(text: &str) -> Option<String> {
    let odd = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c));
    match text {
        "" => Some("is empty".into()),
        _ if text.len() > Name::LONGEST => Some(format!("has {} bytes", text.len())),
        _ if text.contains(odd) => text.chars().find(|c| odd(*c)).map(|c| format!("has the character {c:?}")),
        _ if text.contains("..") => Some("has \"..\"".into()),
        _ if text.starts_with(['.', '_', '-']) => Some("begins with punctuation".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_are_taken_as_they_are() {
        for text in ["a", "0", "calc", "my-app.v2_x", &"a".repeat(32)] {
            assert_eq!(text.parse::<Name>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn bad_names_are_refused_and_the_fault_is_named() {
        let long = "a".repeat(33);
        for (text, word) in [
            ("", "empty"),
            ("..", "\"..\""),
            ("a..b", "\"..\""),
            (".a", "punctuation"),
            ("a/b", "'/'"),
            ("a\0b", "'\\0'"),
            ("A", "'A'"),
            ("a\nb", "'\\n'"),
            ("é", "'é'"),
            (long.as_str(), "33 bytes"),
        ] {
            let said = text.parse::<Name>().unwrap_err().to_string();
            assert!(said.contains(word) && said.contains("expected"), "{text:?}: {said}");
        }
    }
}
