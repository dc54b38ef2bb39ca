//! `nsrun top`: what machines use, as it changes.

mod live;
mod table;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use nsrun_runtime::machine::{Sample, Sampler, Samples};
use nsrun_runtime::{Error, Kind, Result};
use rustix::termios::isatty;

use self::table::{Row, Tick};
use crate::globals::Globals;
use crate::report;

const EXAMPLES: &str = "\
Examples:
  nsrun top
  nsrun top -d 0.5 --sort memory
  nsrun top -n 2 | tail -n 5
  nsrun --json top -n 0 -d 10

Keys: n c m t i u choose the column to sort by, r turns the order, arrows and page keys scroll,
space looks at once, q quits. A processor that is busy all the time is 100%. The first values are
averages since each machine's start.";

// How often, in which order and in which form.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TopArgs {
    /// Look again after so many seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "2", value_parser = delay)]
    delay: Duration,

    /// End after so many looks, 0 for never [default: 0 on a terminal, else 1]
    #[arg(short = 'n', long, value_name = "COUNT")]
    iterations: Option<u64>,

    /// Print one table after another, also on a terminal
    #[arg(short, long)]
    batch: bool,

    /// Choose the column to sort by
    #[arg(short, long, value_name = "COLUMN", default_value = "cpu")]
    sort: Column,

    /// Turn the order
    #[arg(short, long)]
    reverse: bool,
}

/// What rows are sorted by: names in ascending order, amounts in descending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Column {
    /// The machine's name
    Name,
    /// Processor time
    Cpu,
    /// Memory
    Memory,
    /// Processes and threads
    Tasks,
    /// What is read and written
    Io,
    /// Time since the start
    Uptime,
}

/// An order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    column: Column,
    reverse: bool,
}

fn delay(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    let delay = Duration::try_from_secs_f64(seconds).ok();
    delay
        .filter(|delay| (Duration::from_millis(50)..=Duration::from_secs(86_400)).contains(delay))
        .ok_or_else(|| "it is between 0.05 and 86400".to_owned())
}

/// Shows the machines until the user has enough.
pub fn run(args: &TopArgs, globals: &Globals) -> Result<()> {
    let mut watch = Watch {
        sampler: Sampler::new(&globals.dirs)?,
        before: Vec::new(),
        order: Order {
            column: args.sort,
            reverse: args.reverse,
        },
    };
    let terminal = isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    let count = args.iterations.unwrap_or(u64::from(!terminal));
    if terminal && !dumb && !args.batch && !globals.json {
        return live::show(&mut watch, args.delay, count);
    }
    let mut number = 0;
    loop {
        let due = Instant::now() + args.delay;
        let tick = watch.look()?;
        if !print(&tick, number == 0, globals)? {
            return Ok(());
        }
        number += 1;
        if number == count {
            return Ok(());
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// Prints one look; false if nobody reads on.
fn print(tick: &Tick, first: bool, globals: &Globals) -> Result<bool> {
    let text = if globals.json {
        let text = serde_json::to_string(tick);
        text.map_err(|e| Error::new(Kind::Failed, "cannot write JSON").because(e))? + "\n"
    } else {
        let gap = if first { "" } else { "\n" };
        format!("{gap}{}\n\n{}", tick.heading(), tick.text())
    };
    tick.problems.iter().for_each(report::print);
    let mut output = io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            let what = "cannot write to standard output";
            Err(Error::new(Kind::Failed, what).because(error))
        }
        Ok(()) => Ok(true),
    }
}

/// Machines that are looked at again and again.
struct Watch {
    sampler: Sampler,
    before: Vec<Sample>,
    order: Order,
}

impl Watch {
    fn look(&mut self) -> Result<Tick> {
        let Samples { machines, problems } = self.sampler.look()?;
        let rows = machines.iter().map(|now| {
            let same = |sample: &&Sample| sample.summary.name == now.summary.name;
            Row::new(now, self.before.iter().find(same))
        });
        let mut tick = Tick::new(rows.collect(), problems);
        tick.sort(self.order);
        self.before = machines;
        Ok(tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_sensible() {
        assert_eq!(delay("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "x", "0", "-1", "nan", "inf", "1e9", "0.001"] {
            assert!(delay(text).is_err(), "{text}");
        }
    }
}
