//! Compares nsrun with other container tools. All are run in turn within one round, so that what else
//! the machine does meets them alike; what counts are the ratios.

mod boot;
mod host;
mod import;
mod many;
mod memory;
mod report;
mod spawn;

use std::process::ExitCode;

use host::Host;
use report::Report;

/// A group of measurements.
type Part = (&'static str, fn(&Host, usize, &mut Report));

const PARTS: [Part; 5] = [
    ("spawn", spawn::measure),
    ("boot", boot::measure),
    ("memory", memory::measure),
    ("import", import::measure),
    ("many", many::measure),
];

const USAGE: &str = "usage: bench [--rounds=N] [--check] [spawn|boot|memory|import|many ...]

  --rounds=N  how often everything is run (default: 30 for spawn, less for the slower ones)
  many        starts 100 machines, or $NSRUN_TEST_MACHINES
  --check     end with 1 if a target is missed";

fn main() -> ExitCode {
    let (options, parts): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|arg| arg.starts_with("--"));
    let mut rounds = 30;
    let mut check = false;
    for option in &options {
        match option.strip_prefix("--rounds=").map(str::parse) {
            Some(Ok(count)) => rounds = count,
            None if option == "--check" => check = true,
            _ => return usage(),
        }
    }
    if parts
        .iter()
        .any(|name| !PARTS.iter().any(|part| part.0 == name))
    {
        return usage();
    }
    let host = Host::new();
    let mut report = Report::default();
    for (name, measure) in PARTS {
        if parts.is_empty() || parts.iter().any(|part| part == name) {
            measure(&host, rounds, &mut report);
        }
    }
    match report.close() {
        0 => ExitCode::SUCCESS,
        _ if check => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
