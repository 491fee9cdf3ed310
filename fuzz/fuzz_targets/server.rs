//! A server with up to eight clients that keep no rule, in virtual time. What is promised is in `fuzz::stage`.
#![no_main]

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use fuzz::{script::Script, stage::Stage};
use libfuzzer_sys::fuzz_target;

/// Descriptors are counted in one run of so many: it takes longer than the run.
const COUNTED: u32 = 16;

fuzz_target!(|script: Script| {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let counts = RUNS.fetch_add(1, Relaxed).is_multiple_of(COUNTED);
    let before = counts.then(descriptors);
    let mut stage = Stage::new(script.rules);
    for step in &script.steps {
        stage.step(step);
    }
    stage.end();
    assert_eq!(before, counts.then(descriptors), "descriptors are left open, or closed twice");
});

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux").count()
}
