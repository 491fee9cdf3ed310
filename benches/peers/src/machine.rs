//! What a run was measured on.

use serde::{Deserialize, Serialize};
use std::path::Path;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct About {
    /// UTC, year-month-day.
    pub date: String,
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub kernel: String,
    pub rustc: String,
    /// The type of file system that sockets and FIFOs were on.
    pub file_system: String,
    pub command: String,
    pub rounds: usize,
    pub secs: f64,
}

impl About {
    pub fn now(options: &str, rounds: usize, secs: f64) -> Self {
        let features =
            if cfg!(all(feature = "p-iceoryx2", feature = "p-nng")) { " --features all" } else { "" };
        let manifest = "benches/peers/Cargo.toml";
        About {
            date: today(),
            cpu: value_of("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, |n| n.get()),
            memory_gib: kib(&value_of("/proc/meminfo", "MemTotal")).div_ceil(1 << 20),
            kernel: line_of("/proc/sys/kernel/ostype") + " " + &line_of("/proc/sys/kernel/osrelease"),
            rustc: env!("PEERS_RUSTC").into(),
            file_system: file_system_of(&std::env::temp_dir()),
            command: format!("cargo run --release --manifest-path {manifest}{features} -- report {options}"),
            rounds,
            secs,
        }
    }
}

fn today() -> String {
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    let now = unsafe { libc::time(std::ptr::null_mut()) };
    unsafe { libc::gmtime_r(&now, &mut tm) };
    format!("{:04}-{:02}-{:02}", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday)
}

fn line_of(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_string()
}

/// Of the first line that begins with `key` and a colon.
fn value_of(path: &str, key: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(k, _)| k.trim() == key).map(|(_, v)| v.trim().to_string()).next().unwrap_or_default()
}

fn kib(value: &str) -> u64 {
    value.trim_end_matches(" kB").parse().unwrap_or(0)
}

/// The type of the mount that holds this path: the one whose mount point is the longest part of it.
fn file_system_of(path: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let holding = fields.filter(|f| f.len() > 2 && path.starts_with(f[1]));
    holding.max_by_key(|f| f[1].len()).map_or_else(String::new, |f| f[2].to_string())
}
