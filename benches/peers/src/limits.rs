//! The machine's physical limits: what no transport can beat.

use crate::sys::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use std::time::{Duration, Instant};

fn best(n: usize, mut f: impl FnMut() -> f64) -> (f64, f64) {
    let mut v: Vec<f64> = (0..n).map(|_| f()).collect();
    v.sort_by(f64::total_cmp);
    (v[0], v[n / 2])
}

pub fn print() {
    println!("| limit | best | median |\n|---|---:|---:|");
    let row =
        |name: &str, (b, m): (f64, f64), unit: &str| println!("| {name} | {b:.1} {unit} | {m:.1} {unit} |");
    for (label, size) in [
        ("64 KiB (L2)", 64 << 10),
        ("1 MiB (L2/L3)", 1 << 20),
        ("8 MiB (L3)", 8 << 20),
        ("256 MiB (DRAM)", 256 << 20),
    ] {
        let a = vec![1u8; size];
        let mut b = vec![2u8; size];
        let reps = ((1usize << 28) / size).max(1);
        let (bst, med) = best(7, || {
            let t = Instant::now();
            for _ in 0..reps {
                b.copy_from_slice(std::hint::black_box(&a));
                std::hint::black_box(&mut b);
            }
            -((size * reps) as f64 / t.elapsed().as_secs_f64() / 1e9)
        });
        row(&format!("memcpy {label}, one core"), (-bst, -med), "GB/s");
    }
    row("cache line, core to core and back (two spinning threads)", line_round_trip(), "ns");
    row("read of 1 MiB just written by the other core", cross_read(), "GB/s");
    row(
        "clock_gettime",
        per_call(|| {
            std::hint::black_box(Instant::now());
        }),
        "ns",
    );
    row(
        "getppid (an empty system call)",
        per_call(|| unsafe {
            libc::syscall(libc::SYS_getppid);
        }),
        "ns",
    );
    let (x, y) = (AtomicU32::new(0), AtomicU32::new(0));
    row(
        "store, fence(SeqCst), load",
        per_call(|| {
            x.store(1, Relaxed);
            std::sync::atomic::fence(SeqCst);
            std::hint::black_box(y.load(Relaxed));
        }),
        "ns",
    );
    row("spin_loop (pause)", per_call(std::hint::spin_loop), "ns");
    let word = AtomicU32::new(0);
    row("futex_wake with nobody waiting", per_call(|| futex_wake(&word)), "ns");
    row("futex round trip, both threads on one core", futex_rt(0, 0), "ns");
    row("futex round trip, a thread on each core", futex_rt(0, 1), "ns");
    row("sched_yield round trip, one core", yield_rt(), "ns");
}

fn per_call(mut f: impl FnMut()) -> (f64, f64) {
    best(9, || {
        let n = 200_000;
        let t = Instant::now();
        for _ in 0..n {
            f();
        }
        t.elapsed().as_nanos() as f64 / n as f64
    })
}

#[repr(align(128))]
struct Pad(AtomicU64);

fn line_round_trip() -> (f64, f64) {
    best(9, || line_probe(200_000))
}

/// Mean time for a cache line to go to the other core and back. The host moves virtual CPUs
/// between physical cores, so this changes while we run; each cell records it.
pub fn line_probe(n: u64) -> f64 {
    {
        let w = Arc::new(Pad(AtomicU64::new(0)));
        let o = w.clone();
        let t = std::thread::spawn(move || {
            pin(1);
            for i in 0..n {
                while o.0.load(Acquire) != 2 * i + 1 {
                    std::hint::spin_loop();
                }
                o.0.store(2 * i + 2, Release);
            }
        });
        let p = std::thread::spawn(move || {
            pin(0);
            let mut s = Instant::now();
            for i in 0..n {
                if i == 1 {
                    s = Instant::now();
                }
                w.0.store(2 * i + 1, Release);
                while w.0.load(Acquire) != 2 * i + 2 {
                    std::hint::spin_loop();
                }
            }
            s.elapsed().as_nanos() as f64 / (n - 1) as f64
        });
        t.join().unwrap();
        p.join().unwrap()
    }
}

/// Thread 1 writes a block, thread 0 copies it out; only the copy is timed.
fn cross_read() -> (f64, f64) {
    const SZ: usize = 1 << 20;
    let buf = Arc::new((0..SZ / 8).map(|_| AtomicU64::new(0)).collect::<Vec<_>>());
    let turn = Arc::new(AtomicU64::new(0));
    let (b2, t2) = (buf.clone(), turn.clone());
    const N: u64 = 60;
    let t = std::thread::spawn(move || {
        pin(1);
        for i in 0..N {
            while t2.load(Acquire) != 2 * i {
                std::hint::spin_loop();
            }
            for w in b2.iter() {
                w.store(i, Relaxed);
            }
            t2.store(2 * i + 1, Release);
        }
    });
    pin(0);
    let mut dst = vec![0u8; SZ];
    let mut v = Vec::new();
    for i in 0..N {
        while turn.load(Acquire) != 2 * i + 1 {
            std::hint::spin_loop();
        }
        let s = Instant::now();
        unsafe { std::ptr::copy_nonoverlapping(buf.as_ptr().cast::<u8>(), dst.as_mut_ptr(), SZ) };
        std::hint::black_box(&mut dst);
        v.push(SZ as f64 / s.elapsed().as_nanos() as f64);
        turn.store(2 * i + 2, Release);
    }
    t.join().unwrap();
    v.sort_by(f64::total_cmp);
    (v[v.len() - 1], v[v.len() / 2])
}

fn futex_rt(ca: usize, cb: usize) -> (f64, f64) {
    best(5, || {
        let w = Arc::new(AtomicU32::new(0));
        let o = w.clone();
        const N: u32 = 10_000;
        let t = std::thread::spawn(move || {
            pin(cb);
            for _ in 0..N {
                while o.load(Acquire) != 1 {
                    futex_wait(&o, 0);
                }
                o.store(0, Release);
                futex_wake(&o);
            }
        });
        pin(ca);
        std::thread::sleep(Duration::from_millis(2));
        let s = Instant::now();
        for _ in 0..N {
            w.store(1, Release);
            futex_wake(&w);
            while w.load(Acquire) != 0 {
                futex_wait(&w, 1);
            }
        }
        let e = s.elapsed().as_nanos() as f64 / N as f64;
        t.join().unwrap();
        e
    })
}

fn yield_rt() -> (f64, f64) {
    best(5, || {
        let w = Arc::new(AtomicU32::new(0));
        let o = w.clone();
        const N: u32 = 20_000;
        let t = std::thread::spawn(move || {
            pin(0);
            for _ in 0..N {
                while o.load(Acquire) != 1 {
                    std::thread::yield_now();
                }
                o.store(0, Release);
            }
        });
        pin(0);
        std::thread::sleep(Duration::from_millis(2));
        let s = Instant::now();
        for _ in 0..N {
            w.store(1, Release);
            while w.load(Acquire) != 0 {
                std::thread::yield_now();
            }
        }
        let e = s.elapsed().as_nanos() as f64 / N as f64;
        t.join().unwrap();
        e
    })
}
