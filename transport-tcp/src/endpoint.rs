//! From a host and a port to a socket address, and which of them may be used.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipc_core::{Config, Error, Result};

/// The address of `host` and `port`. No name but `localhost` is looked up: that could wait for seconds, and nothing in
/// a transport waits.
pub(crate) fn endpoint(host: &str, port: u16, config: &Config) -> Result<SocketAddr> {
    let ip = address(host).ok_or_else(|| {
        Error::bad_address(format!(
            "the host {host:?} is none; expected an address such as 127.0.0.1 or [::1], or localhost: other names are \
             not looked up"
        ))
    })?;
    if !(is_loopback(ip) || config.beyond_loopback) {
        return Err(Error::denied(format!(
            "{ip} is no loopback address: all would travel in the clear; expected 127.0.0.1, [::1] or localhost, or \
             the option plaintext_beyond_loopback"
        )));
    }
    Ok(SocketAddr::new(ip, port))
}

fn address(host: &str) -> Option<IpAddr> {
    if host == "localhost" {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(six) => six.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::from),
    }
}

pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn literal_addresses_and_localhost_are_endpoints_and_nothing_else_is() {
        let at = |host| endpoint(host, 80, &Config::default()).map(|at| at.to_string());
        assert_eq!(at("127.0.0.1").unwrap(), "127.0.0.1:80");
        assert_eq!(at("127.8.9.1").unwrap(), "127.8.9.1:80");
        assert_eq!(at("localhost").unwrap(), "127.0.0.1:80");
        assert_eq!(at("[::1]").unwrap(), "[::1]:80");
        assert_eq!(at("[::ffff:127.0.0.1]").unwrap(), "[::ffff:127.0.0.1]:80");
        for host in ["example.org", "::1", "[127.0.0.1]", "[::1", "127.1", "", "localhost."] {
            let said = at(host).unwrap_err().to_string();
            assert!(said.contains("bad address") && said.contains("expected"), "{host:?}: {said}");
        }
    }

    #[test]
    fn beyond_loopback_one_must_ask_for_it() {
        let mut config = Config::default();
        for host in ["0.0.0.0", "192.0.2.2", "[::]", "[fd00::2]", "[::ffff:192.0.2.2]"] {
            config.beyond_loopback = false;
            let said = endpoint(host, 80, &config).unwrap_err().to_string();
            assert!(said.contains("plaintext_beyond_loopback"), "{host}: {said}");
            config.beyond_loopback = true;
            assert!(endpoint(host, 80, &config).is_ok(), "{host}");
        }
    }
}
