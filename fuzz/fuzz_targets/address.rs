//! Names and addresses: what is accepted keeps the grammar, which is written down here a second time, and prints
//! back as itself.
#![no_main]

use ipc_core::{Address, Name, Target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let name = text.parse::<Name>();
    assert_eq!(name.is_ok(), is_name(text), "{text:?} as a name");
    if let Ok(name) = &name {
        assert_eq!((name.as_str(), &*name.to_string()), (text, text));
    }
    let address = text.parse::<Address>();
    assert_eq!(address.is_ok(), is_address(text), "{text:?} as an address: {address:?}");
    match address {
        Ok(address) => prints_back(text, &address),
        Err(error) => assert!(error.to_string().contains("expected"), "{error}"),
    }
});

fn prints_back(text: &str, address: &Address) {
    let shown = address.to_string();
    // A port may have been written with zeros in front or a plus.
    if !matches!(address.target(), Target::HostPort(..)) {
        assert_eq!(shown, text);
    }
    assert_eq!(&shown.parse::<Address>().expect("printed addresses parse"), address);
    assert_eq!(address.scheme(), text.split_once(':').map(|(scheme, _)| scheme));
    let over = address.over("unix");
    assert_eq!((over.scheme(), over.target()), (Some("unix"), address.target()));
    assert_eq!(over.to_string().parse::<Address>().expect("over another scheme, too"), over);
}

/// `[a-z0-9][a-z0-9._-]{0,31}`, without `..`.
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let good = |byte: &u8| b"abcdefghijklmnopqrstuvwxyz0123456789._-".contains(byte);
    (1..=32).contains(&bytes.len())
        && bytes.iter().all(good)
        && !b"._-".contains(&bytes[0])
        && bytes.windows(2).all(|two| two != b"..")
}

/// `NAME`, `SCHEME:NAME`, `SCHEME:/PATH` or `SCHEME:HOST:PORT`.
fn is_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() == 1 {
        return is_name(text);
    }
    let rest = &text[parts[0].len() + 1..];
    is_scheme(parts[0])
        && match parts[1..] {
            _ if rest.starts_with('/') => is_path(rest),
            [name] => is_name(name),
            // Nothing before the port: it is no host, and a colon is in no name.
            ["", _] => false,
            [.., port] => is_port(port),
            [] => false,
        }
}

/// `[a-z][a-z0-9]{0,7}`
fn is_scheme(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 16
        && text.bytes().all(good)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
}

fn is_path(text: &str) -> bool {
    !text.ends_with('/')
        && !text.bytes().any(|byte| byte == 0)
        && !text.split('/').any(|part| [".", ".."].contains(&part))
}

fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let significant = digits.trim_start_matches('0');
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && significant.len() <= 5
        && (significant.len() < 5 || significant <= "65535")
}
