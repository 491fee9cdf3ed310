//! The numbers in the file, and how far today's may be from them.

use std::{fs, path::Path, process::Command};

use crate::Result;

/// What a case may differ by, in per cent and in instructions, whichever is more. Another compiler makes other
/// instructions of the same lines, and another C library has other ones, so there only a large step for the worse
/// is surely ours.
const SAME_TOOLS: (f64, f64) = (5.0, 5.0);
const OTHERS: (f64, f64) = (25.0, 25.0);

const HEAD: &str = "\
# Instructions in user space for each message, as callgrind counts them, with these tools.
# Not edited by hand: cargo bench --features seqpacket,dgram,inproc --bench instructions -- --write
";

pub struct Numbers {
    pub toolchain: String,
    pub rows: Vec<Row>,
}

#[derive(Clone)]
pub struct Row {
    name: String,
    instructions: f64,
}

/// The compiler, the C library and what they are for, in one line.
pub fn toolchain() -> Result<String> {
    let compiler = say(Command::new("rustc").arg("-vV"))?;
    let line = |start| compiler.lines().find_map(|line| line.strip_prefix(start));
    let (Some(release), Some(host)) = (line("release: "), line("host: ")) else {
        return Err(format!("rustc -vV says {compiler:?}").into());
    };
    let library = say(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or("another C library".into());
    Ok(format!("rustc {release}, {}, {host}", library.trim()))
}

fn say(command: &mut Command) -> Result<String> {
    let ended = command.output()?;
    if ended.status.success() { Ok(String::from_utf8(ended.stdout)?) } else { Err("it failed".into()) }
}

impl Row {
    /// What callgrind wrote about a case, which was announced with its name and the number of its messages.
    pub fn counted(case: &str, callgrind: &str) -> Result<Self> {
        let (name, messages) = case.rsplit_once(' ').ok_or("a case without a number")?;
        let total = callgrind.lines().find_map(|line| line.strip_prefix("totals: "));
        let total: f64 = total.ok_or("callgrind wrote no total")?.trim().parse()?;
        if total == 0.0 {
            return Err(format!("{name}: callgrind has counted nothing").into());
        }
        Ok(Self { name: name.to_owned(), instructions: (total / messages.parse::<f64>()?).round() })
    }
}

impl Numbers {
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let toolchain = lines.next().ok_or("no numbers")?.to_owned();
        let row = |line: &str| -> Result<Row> {
            let (name, instructions) =
                line.rsplit_once(": ").ok_or_else(|| format!("no number in {line:?}"))?;
            Ok(Row { name: name.to_owned(), instructions: instructions.trim().parse()? })
        };
        Ok(Self { toolchain, rows: lines.map(row).collect::<Result<_>>()? })
    }

    pub fn write(&self, file: &Path) -> Result {
        if !pipes_know_nosignal()? {
            return Err(format!("{OLD_KERNEL}: write the numbers on a newer one").into());
        }
        let rows = self.rows.iter().map(|row| format!("{}: {}\n", row.name, row.instructions));
        Ok(fs::write(file, format!("{HEAD}{}\n{}", self.toolchain, rows.collect::<String>()))?)
    }

    /// `self` is what was committed. Every case is printed; the error says what to do.
    pub fn compare(&self, now: &Self) -> Result {
        let host = |numbers: &Self| numbers.toolchain.rsplit_once(' ').map(|(_, host)| host.to_owned());
        if host(self) != host(now) {
            return Err(format!("the numbers are for {}, this is {}", self.toolchain, now.toolchain).into());
        }
        let same = self.toolchain == now.toolchain;
        let (per_cent, few) = if same { SAME_TOOLS } else { OTHERS };
        if !same {
            println!("The numbers are for {}, this is {}:", self.toolchain, now.toolchain);
            println!("only what is worse by {per_cent} per cent fails.");
        }
        let names = |numbers: &Self| numbers.rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>();
        if names(self) != names(now) {
            return Err("other cases than in the file: write it anew".into());
        }
        println!("{:>11} {:>9} {:>8}", "instructions", "committed", "change");
        let (mut worse, mut better) = (0, 0);
        let pipes = pipes_know_nosignal()?;
        for (then, now) in self.rows.iter().zip(&now.rows) {
            let more = now.instructions - then.instructions;
            let beyond = more.abs() > few.max(then.instructions * per_cent / 100.0);
            let verdict = match (beyond, more > 0.0) {
                (false, _) => "",
                (true, _) if !pipes && then.name.starts_with("fifo") => "  SKIPPED",
                (true, true) => "  WORSE",
                (true, false) => "  better",
            };
            worse += usize::from(verdict.contains("WORSE"));
            better += usize::from(verdict.contains("better"));
            let change = more / then.instructions * 100.0;
            let Row { name, instructions } = now;
            println!("{instructions:>11} {:>9} {change:>+7.1}%   {name}{verdict}", then.instructions);
        }
        if !pipes {
            println!("SKIPPED: {OLD_KERNEL}, so what a FIFO costs is not compared");
        }
        match (worse, better) {
            (0, 0) => Ok(()),
            (0, _) if !same => Ok(()),
            (0, _) => Err(format!(
                "{better} cases are better by more than {per_cent} per cent: so that they stay so, write the file \
                 anew (`-- --write`) and commit it"
            )
            .into()),
            _ => Err(format!(
                "{worse} cases cost more by over {per_cent} per cent. If that is the price of something worth it, \
                 write the file anew (`-- --write`) and say in the commit what it is"
            )
            .into()),
        }
    }
}

const OLD_KERNEL: &str =
    "this kernel has no RWF_NOSIGNAL (Linux 6.18), without which a FIFO is written another way";

fn pipes_know_nosignal() -> Result<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return Err(format!("what kernel is {release:?}?").into());
    };
    Ok((major, minor) >= (6, 18))
}
