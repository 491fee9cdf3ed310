//! What a message costs in instructions, in user space, as callgrind counts them: a number that does not depend on
//! how busy the machine is. It is compared with the one in `numbers.txt`, so that a change is noticed.
//!
//! `cargo bench --features inproc --bench instructions` compares; with `-- --write` it writes the file anew.

mod lockstep;
mod numbers;

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use clap::Parser;
use numbers::{Numbers, Row, toolchain};

type Result<R = ()> = std::result::Result<R, Box<dyn Error>>;

/// The name of a case that only warms up.
const IGNORED: &str = "warm-up";

/// Counts the instructions of every word over every transport, under valgrind.
#[derive(Parser)]
struct Arguments {
    /// Write the numbers to the file instead of comparing them with it
    #[arg(long)]
    write: bool,
    /// Leave callgrind's files in this directory, for callgrind_annotate
    #[arg(long)]
    keep: Option<PathBuf>,
    /// What `cargo bench` says; it changes nothing
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the program that is counted
    #[arg(long, hide = true)]
    counted: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ran = if arguments.counted { lockstep::converse() } else { gate(&arguments) };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn gate(arguments: &Arguments) -> Result {
    if cfg!(debug_assertions) {
        return Err("an unoptimised build is not worth counting: use `cargo bench`".into());
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/numbers.txt");
    let dir = tempfile::tempdir()?;
    let now = Numbers { toolchain: toolchain()?, rows: count(arguments.keep.as_deref(), dir.path())? };
    if arguments.write {
        return now.write(&file);
    }
    Numbers::parse(&fs::read_to_string(&file)?)?.compare(&now)
}

/// Runs this program again under callgrind, which writes a file for each case: what was executed inside
/// `measured` since the case before.
fn count(keep: Option<&Path>, dir: &Path) -> Result<Vec<Row>> {
    let out = keep.unwrap_or(dir).join("callgrind.out");
    let ended = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--collect-atstart=no"])
        .args(["--toggle-collect=*lockstep::measured*", "--dump-before=*lockstep::next_case*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .arg("--counted")
        // The C library chooses its memcpy by the processor. With these every x86-64 has the same one.
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX512VL,-AVX2,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM")
        .env(hobnob::VARIABLE, dir.join("names"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("valgrind: {error}; it must be installed"))?;
    if !ended.status.success() {
        return Err(format!("the counted program ended with {}", ended.status).into());
    }
    // The first file is written before the first case.
    String::from_utf8(ended.stdout)?
        .lines()
        .zip(2..)
        .filter(|(case, _)| !case.starts_with(IGNORED))
        .map(|(case, part)| Row::counted(case, &fs::read_to_string(format!("{}.{part}", out.display()))?))
        .collect()
}
