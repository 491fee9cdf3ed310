//! A server that may have few descriptors.

use hobnob::Result;
use nix::sys::resource::{Resource, setrlimit};

/// The plain echo server under a limit of so many descriptors.
///
/// # Errors
/// As `new_server` and `accept_client`: this server ends at the first error of accept.
pub fn serve(address: &str, descriptors: u64) -> Result<()> {
    setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors)?;
    super::serve(address)
}
