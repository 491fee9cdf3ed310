mod core;
mod limits;
mod peers;
mod run;
mod sys;
mod table;

use crate::core::{Args, Peer, Workload};
use anyhow::{Context, Result, bail};

const HELP: &str = "\
peers: two-process benchmark of inter-process communication peers

  peers list                        rows and what they are
  peers limits                      memcpy bandwidth, cache-line and wake-up latency
  peers run [options]               measure, then print tables
  peers table FILE [FILE..] [--compact] [--near | --far]
                                    print the tables of earlier runs; --compact puts all
                                    sizes in one table; --near and --far keep only cells
                                    that found the two CPUs near together, or far apart

options of run:
  --rounds N        interleaved rounds (default 3)
  --secs S          measuring time of one cell (default 0.3)
  --only a,b        rows, by name or prefix (default all)
  --skip a,b        rows to leave out, by name or prefix
  --workload w,..   pingpong, stream, churn, fanin (default all)
  --size n,..       64, 4k, 64k, 1m (default: each workload's own)
  --conns N         connections in fanin (default 1000)
  --pin MODE        none, split (a core each), same (one core); default none
  --json FILE       keep every cell, one JSON object a line
  --quiet           no line per cell
";

fn size(s: &str) -> Result<usize> {
    let l = s.to_ascii_lowercase();
    let (d, m) = match l.as_bytes().last() {
        Some(b'k') => (&l[..l.len() - 1], 1 << 10),
        Some(b'm') => (&l[..l.len() - 1], 1 << 20),
        _ => (&l[..], 1),
    };
    Ok(d.parse::<usize>().with_context(|| format!("size {s:?}"))? * m)
}

fn matches(name: &str, list: &str) -> bool {
    list.split(',')
        .any(|p| name == p || (!p.is_empty() && p.ends_with('*') && name.starts_with(&p[..p.len() - 1])))
}

fn main() -> Result<()> {
    let av: Vec<String> = std::env::args().skip(1).collect();
    let reg = peers::registry();
    match av.first().map(String::as_str) {
        Some("list") => {
            for p in &reg {
                println!("{:<20} {}", p.name(), p.note());
            }
        }
        Some("limits") => limits::print(),
        Some("table") => {
            let mut cells = Vec::new();
            for (i, f) in av[1..].iter().filter(|a| !a.starts_with("--")).enumerate() {
                let mut more = run::load(f.as_ref())?;
                more.iter_mut().for_each(|c| c.round += 1000 * i);
                cells.extend(more);
            }
            if av.iter().any(|a| a == "--near") {
                cells.retain(table::near);
            } else if av.iter().any(|a| a == "--far") {
                cells.retain(|c| !table::near(c));
            }
            if av.iter().any(|a| a == "--compact") {
                table::compact(&cells, &reg);
            } else {
                table::print(&cells, &reg);
            }
        }
        Some("run") => {
            let mut plan = run::Plan {
                rounds: 3,
                secs: 0.3,
                conns: 1000,
                pin: "none".into(),
                cells: vec![],
                json: None,
                quiet: false,
            };
            let (mut only, mut skip, mut wl, mut sizes) =
                (None, None, "pingpong,stream,churn,fanin".to_string(), None);
            let mut it = av[1..].iter();
            while let Some(k) = it.next() {
                if k == "--quiet" {
                    plan.quiet = true;
                    continue;
                }
                let v = it.next().with_context(|| format!("{k} needs a value"))?;
                match k.as_str() {
                    "--rounds" => plan.rounds = v.parse()?,
                    "--secs" => plan.secs = v.parse()?,
                    "--conns" => plan.conns = v.parse()?,
                    "--pin" => plan.pin = v.clone(),
                    "--json" => plan.json = Some(v.into()),
                    "--only" => only = Some(v.clone()),
                    "--skip" => skip = Some(v.clone()),
                    "--workload" => wl = v.clone(),
                    "--size" => sizes = Some(v.split(',').map(size).collect::<Result<Vec<_>>>()?),
                    _ => bail!("unknown option {k}\n{HELP}"),
                }
            }
            for w in wl.split(',') {
                let w = Workload::parse(w)?;
                let own: &[usize] = match w {
                    Workload::PingPong => &[64, 4096, 65536, 1 << 20],
                    Workload::Stream => &[64, 65536, 1 << 20],
                    _ => &[64],
                };
                let use_sizes = match (&sizes, w) {
                    (Some(s), Workload::PingPong | Workload::Stream) => &s[..],
                    _ => own,
                };
                plan.cells.extend(use_sizes.iter().map(|&s| (w, s)));
            }
            let chosen: Vec<&'static dyn Peer> = reg
                .iter()
                .copied()
                .filter(|p| only.as_ref().is_none_or(|o| matches(p.name(), o)))
                .filter(|p| !skip.as_ref().is_some_and(|o| matches(p.name(), o)))
                .collect();
            if chosen.is_empty() {
                bail!("no row matches");
            }
            let cells = run::run(&chosen, &plan)?;
            table::print(&cells, &reg);
        }
        Some("child") => {
            let [role, name, w, sz, secs, dir, uid, conns, pin] = &av[1..] else { bail!("child arguments") };
            let p = reg.iter().find(|p| p.name() == name).context("no such row")?;
            let a = Args {
                workload: Workload::parse(w)?,
                size: sz.parse()?,
                secs: secs.parse()?,
                dir: dir.into(),
                uid: uid.clone(),
                conns: conns.parse()?,
            };
            run::child(*p, role, &a, pin)?;
        }
        _ => print!("{HELP}"),
    }
    Ok(())
}
