//! What the kernel says of a process: its descriptors, memory and processor time (proc(5)).

use std::{fs, path::PathBuf, time::Duration};

/// A process, by its number.
pub struct Process(PathBuf);

impl Process {
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{pid}")))
    }

    #[must_use]
    pub fn this() -> Self {
        Self(PathBuf::from("/proc/self"))
    }

    #[must_use]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(self.0.join("fd")).unwrap().count()
    }

    #[must_use]
    pub fn threads(&self) -> usize {
        fs::read_dir(self.0.join("task")).unwrap().count()
    }

    /// Resident memory in KiB, now.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most resident memory in KiB since the start, or since [`forget_peak`](Self::forget_peak).
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    pub fn forget_peak(&self) {
        fs::write(self.0.join("clear_refs"), "5").unwrap();
    }

    /// The most address space in KiB since the start, touched or not.
    #[must_use]
    pub fn reserved_peak(&self) -> u64 {
        self.status("VmPeak:")
    }

    /// Processor time used, in user and system mode together, to the tick (10 ms).
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(self.0.join("stat")).unwrap();
        // The command's name may hold anything; the fields after it do not.
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// `S` asleep, `T` stopped, `Z` dead and not waited for.
    #[must_use]
    pub fn state(&self) -> char {
        let stat = fs::read_to_string(self.0.join("stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.trim_start().chars().next().unwrap()
    }

    fn status(&self, key: &str) -> u64 {
        let status = fs::read_to_string(self.0.join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}
