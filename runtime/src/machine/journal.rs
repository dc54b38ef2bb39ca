//! A machine's journal, read by its own journalctl.
//!
//! Journal files are the machine's, and their format is that of its systemd. So the image's own
//! program reads them, confined as the machine is: in the machine if that runs, else in one that
//! lives as long as the program and cannot change the image.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;

use rustix::process::getpid;

use super::console_logs::{Excerpt, Follow};
use super::host::Cgroups;
use super::printer::Printer;
use crate::attach::{has_command, nsrun};
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::facts::ImageRoot;
use crate::image::lookup;
use crate::name::MachineName;
use crate::state::{State, Store};

const PROGRAM: &str = "journalctl";

/// The status of a command that was killed.
const KILLED: i32 = 128 + libc::SIGKILL;

/// Where journald keeps files that outlive a boot.
const KEPT: &str = "var/log/journal";

/// Which entries of a journal are wanted, and how; in the words of journalctl(1).
#[derive(Clone, Debug, Default)]
pub struct Entries {
    /// Those of one of these units; all if there are none.
    pub units: Vec<String>,
    /// Those of these priorities.
    pub priority: Option<String>,
    /// The form of the output.
    pub output: Option<String>,
    /// Whether lines are coloured by priority.
    pub coloured: bool,
}

/// Writes the machine's journal to standard output, or a part of it. What could change the user's
/// terminal is left out.
///
/// # Errors
/// [`Kind::NotFound`] if there is no machine or image of that name, or it has no journal;
/// [`Kind::Busy`] if it is paused.
pub fn journal(dirs: &Dirs, name: &MachineName, excerpt: Excerpt, entries: &Entries) -> Result<()> {
    let store = Store::new(dirs, Arc::new(Cgroups::probe()?));
    let mut command = nsrun(dirs);
    command.arg("--quiet");
    let found = store.machine(name)?;
    let leader = match &found {
        Some(machine) if machine.state()? == State::Paused => return Err(paused(name)),
        Some(machine) => machine.leader()?,
        None => None,
    };
    let follow = leader.as_ref().map_or(Follow::No, |_| excerpt.follow);
    let mut words = words(Excerpt { follow, ..excerpt }, entries);
    if let Some(leader) = &leader {
        let root = ImageRoot::open(format!("/proc/{}/root", leader.pid()).as_ref())?;
        check(&root, name)?;
        command.args(["exec", "--no-tty"]);
    } else {
        let tree = lookup::find(dirs, name)?.tree()?.to_owned();
        let root = ImageRoot::open(&tree)?;
        check(&root, name)?;
        if root.names(KEPT).len() <= 2 {
            return Err(not_kept(name));
        }
        // The machine's own name would be taken while it is looked at.
        let reader = format!("--machine=nsrun-logs-{}", getpid().as_raw_nonzero());
        command.args(["run", "--settings=no", "--read-only", "--network=private"]);
        command.args(["--pipe", &reader]);
        words.push(format!("--directory=/{KEPT}"));
    }
    if entries.coloured {
        command.arg("--setenv=SYSTEMD_COLORS=1");
    }
    command.args([name.as_str(), "--"]).args(&words);
    let status = show(command)?;
    // What has joined a machine is killed when that begins to stop.
    let ended_with_it = follow == Follow::UntilItsEnd && status.code() == Some(KILLED);
    if status.success() || ended_with_it {
        return Ok(());
    }
    let what = format!("cannot read the journal of {name}");
    Err(Error::new(Kind::Failed, what).because(format!("its {PROGRAM} failed with {status}")))
}

fn paused(name: &MachineName) -> Error {
    let what = format!("machine {name} is paused: its {PROGRAM} cannot run");
    Error::new(Kind::Busy, what).hint(format!("`nsrun resume {name}` lets it go on"))
}

fn check(root: &ImageRoot, name: &MachineName) -> Result<()> {
    if has_command(root, PROGRAM) {
        return Ok(());
    }
    let what = format!("{name} has no {PROGRAM}, and so no journal that can be read");
    Err(Error::new(Kind::NotFound, what).hint(format!("`nsrun logs --console {name}`")))
}

fn not_kept(name: &MachineName) -> Error {
    let what = format!("{name} does not run, and keeps no journal on its disk");
    Error::new(Kind::NotFound, what)
        .hint("its systemd keeps one where there is a directory /var/log/journal")
}

fn words(excerpt: Excerpt, entries: &Entries) -> Vec<String> {
    let mut words = vec![PROGRAM.to_owned(), "--no-pager".to_owned()];
    let mut option = |name: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("--{name}={value}")));
    };
    option("lines", excerpt.lines.map(|lines| lines.to_string()));
    option("since", excerpt.period.since_usec.map(time));
    option("until", excerpt.period.until_usec.map(time));
    option("priority", entries.priority.clone());
    option("output", entries.output.clone());
    for unit in &entries.units {
        option("unit", Some(unit.clone()));
    }
    if excerpt.follow == Follow::UntilItsEnd {
        words.push("--follow".to_owned());
        // By itself it would begin with the last ten.
        if excerpt.lines.is_none() {
            words.push("--no-tail".to_owned());
        }
    }
    words
}

/// A moment that no time zone moves.
fn time(usec: u64) -> String {
    format!("@{}.{:06}", usec / 1_000_000, usec % 1_000_000)
}

/// Runs the command until it ends, or nobody wants to read on.
fn show(mut command: Command) -> Result<ExitStatus> {
    let what = || format!("run the machine's {PROGRAM}");
    let piped = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Reaped(piped.spawn().cannot(what)?);
    let complaints = child.0.stderr.take();
    let complain = thread::spawn(move || {
        let mut printer = Printer::default();
        complaints.map_or(Ok(()), |from| pass(from, |bytes| printer.complain(bytes)))
    });
    let mut printer = Printer::default();
    let output = child.0.stdout.take();
    // With it goes our end of the pipe, and so the writer.
    output.map_or(Ok(()), |from| pass(from, |bytes| printer.print(bytes)))?;
    let status = child.0.wait().cannot(what)?;
    let _ = complain.join();
    Ok(status)
}

/// A child that does not outlive our interest in it.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pass(mut from: impl Read, mut print: impl FnMut(&[u8]) -> Result<bool>) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                if !print(buffer.get(..length).unwrap_or_default())? {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).cannot(|| format!("read the output of {PROGRAM}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::Period;

    #[test]
    fn options_are_handed_on_in_the_words_of_journalctl() {
        let excerpt = Excerpt {
            lines: Some(5),
            period: Period {
                since_usec: Some(1_700_000_000_000_042),
                until_usec: None,
            },
            follow: Follow::UntilItsEnd,
        };
        let entries = Entries {
            units: vec!["nginx".to_owned(), "--help".to_owned()],
            priority: Some("err".to_owned()),
            ..Entries::default()
        };
        let expected = "journalctl --no-pager --lines=5 --since=@1700000000.000042 \
                        --priority=err --unit=nginx --unit=--help --follow";
        assert_eq!(words(excerpt, &entries).join(" "), expected);
    }
}
