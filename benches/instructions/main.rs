//! What a message costs in instructions, in user space, as callgrind counts them: a number that does not depend on
//! how busy the machine is. It is compared with the one in `numbers.txt`, so that a change is noticed.
//!
//! `cargo bench --features seqpacket,dgram,inproc --bench instructions` compares; with `-- --write` it writes the file
//! anew, and with `-- --explain CASE` says where the instructions of a case are.

mod lockstep;
mod numbers;

use std::{
    env,
    error::Error,
    fs,
    path::Path,
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
    /// Say which lines and functions one case spends its instructions in; the case is named as in the file
    #[arg(long)]
    explain: Option<String>,
    /// What `cargo bench` says; it changes nothing
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the program that is counted, in all cases (an empty text) or in one
    #[arg(long, hide = true)]
    counted: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ran = match &arguments.counted {
        Some(only) => lockstep::converse(only),
        None => gate(&arguments),
    };
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
    let dir = tempfile::tempdir()?;
    if let Some(case) = &arguments.explain {
        return explain(case, dir.path());
    }
    let now = Numbers { toolchain: toolchain()?, rows: count(dir.path())? };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/numbers.txt");
    if arguments.write {
        return now.write(&file);
    }
    Numbers::parse(&fs::read_to_string(&file)?)?.compare(&now)
}

/// Callgrind writes a file for each case: what was executed inside `measured` since the case before.
fn count(dir: &Path) -> Result<Vec<Row>> {
    let out = dir.join("callgrind.out");
    let said = callgrind(dir, &out, &["--dump-before=*lockstep::next_case*"], "")?;
    // The first file is written before the first case.
    said.lines()
        .zip(2..)
        .filter(|(case, _)| !case.starts_with(IGNORED))
        .map(|(case, part)| Row::counted(case, &fs::read_to_string(format!("{}.{part}", out.display()))?))
        .collect()
}

/// With files for cases callgrind loses which function was running; so here it writes one, for one case.
fn explain(case: &str, dir: &Path) -> Result {
    let out = dir.join("callgrind.out");
    let said = callgrind(dir, &out, &[], case)?;
    if !said.lines().any(|line| line.starts_with(case)) {
        return Err(format!("there is no case {case:?}; they are named in numbers.txt").into());
    }
    println!("{} rounds, those that warm up included:", lockstep::WARM_UP + lockstep::REPEATS);
    let status = Command::new("callgrind_annotate").args(["--auto=no", "--tree=none"]).arg(&out).status()?;
    if status.success() { Ok(()) } else { Err(format!("callgrind_annotate ended with {status}").into()) }
}

/// Runs this program again under callgrind; gives what it said.
fn callgrind(dir: &Path, out: &Path, options: &[&str], only: &str) -> Result<String> {
    let ended = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--collect-atstart=no"])
        .arg("--toggle-collect=*lockstep::measured*")
        .args(options)
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .args(["--counted", only])
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
    Ok(String::from_utf8(ended.stdout)?)
}
