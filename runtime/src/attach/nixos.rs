//! The environment that a NixOS system gives its logins.
//!
//! It is a shell script, `/etc/set-environment`, made anew with each generation: it depends on the
//! user, and nothing but a shell can tell what it comes to. So the machine's own shell is asked, in
//! a process of its own: the command that is wanted is then executed directly, with its arguments,
//! streams and status untouched by any shell.

use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::enter::Command;
use super::own::nsrun;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::facts::ImageRoot;
use crate::name::MachineName;

const FILE: &str = "etc/set-environment";

/// The script's own output must not be taken for the environment.
const ASK: &str = ". /etc/set-environment >/dev/null && exec env -0";

/// The most that is taken, in bytes. The kernel takes no more at once in a program's arguments.
const LONGEST: usize = 2 << 20;

/// A script that only sets variables takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The environment of the command's user in a NixOS system; `None` in any other.
///
/// # Errors
/// If the script fails, or does not end in time.
pub(super) fn environment(
    dirs: &Dirs,
    name: &MachineName,
    root: &ImageRoot,
    command: &Command,
) -> Result<Option<Vec<CString>>> {
    if root.file(FILE).is_err() {
        return Ok(None);
    }
    let answer = ask(dirs, name, command).and_then(|answer| parse(&answer));
    let answer = answer.cannot(|| format!("source /{FILE} in machine {name}"));
    answer
        .map(Some)
        .map_err(|e| e.hint("`nsrun exec --no-set-environment` does without it"))
}

fn ask(dirs: &Dirs, name: &MachineName, command: &Command) -> Result<Vec<u8>> {
    let mut shell = nsrun(dirs);
    shell.args(["--quiet", "exec", "--no-set-environment", "--no-tty"]);
    if let Some(user) = &command.user {
        shell.arg(format!("--user={user}"));
    }
    let shell = shell
        .args([name.as_str(), "--", "sh", "-c", ASK])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut shell = Ended(shell.spawn().cannot(|| "start a process")?);
    let answer = match shell.0.stdout.take() {
        Some(output) => read(output, Instant::now() + PATIENCE),
        None => Ok(Some(Vec::new())),
    };
    let answer = answer.cannot(|| "read what its shell says")?;
    let answer = answer.ok_or_else(|| failed("its shell does not end"))?;
    let status = shell.0.wait().cannot(|| "wait for its shell")?;
    if status.success() {
        return Ok(answer);
    }
    Err(failed(&format!("its shell failed with {status}")))
}

/// Reads to the end, or to [`LONGEST`]; `None` if neither comes in time. No thread may wait for it:
/// a process is going to be made by `clone3`.
fn read(mut from: impl Read + AsFd, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut all = Vec::new();
    while all.len() < LONGEST {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Ok(None),
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let mut piece = [0; 4096];
        match from.read(&mut piece)? {
            0 => break,
            length => all.extend(piece.get(..length).unwrap_or_default()),
        }
    }
    Ok(Some(all))
}

fn failed(cause: &str) -> Error {
    Error::new(Kind::Failed, cause)
}

fn parse(answer: &[u8]) -> Result<Vec<CString>> {
    let incomplete = || failed("its shell's answer makes no sense");
    let entries = answer.strip_suffix(b"\0").ok_or_else(incomplete)?;
    entries
        .split(|byte| *byte == 0)
        .map(|entry| CString::new(entry).map_err(|_| incomplete()))
        .collect()
}

/// A process that has ended when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart_or_refused() {
        let parsed = parse(b"A=1\nline 2\0B=\0").unwrap();
        assert_eq!(parsed, [c"A=1\nline 2".to_owned(), c"B=".to_owned()]);
        for cut in [&b""[..], b"A=1", b"A=1\0B"] {
            assert!(parse(cut).is_err(), "{cut:?}");
        }
    }
}
