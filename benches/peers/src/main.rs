//! A two-process benchmark of ways between processes on one machine: hobnob, its rivals, and the bare kernel.

mod cli;
mod core;
mod curve;
mod cycles;
mod goals;
mod idle;
mod limits;
mod machine;
mod peers;
mod plots;
mod report;
mod run;
mod sys;
mod table;
mod timed;

fn main() -> anyhow::Result<()> {
    cli::main()
}
