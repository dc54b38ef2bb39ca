//! Running a command to its end, with a deadline, and checking how it ended.

use std::borrow::BorrowMut;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::children;
use crate::must::Must;
use crate::wait::poll;

/// How a command ended and what it said.
#[derive(Clone, Debug)]
pub struct Done {
    /// The command line, for messages.
    pub command: String,
    /// Its exit status; 128 + N after a death by signal N.
    pub status: i32,
    /// What it wrote to stdout, with bytes that are not UTF-8 replaced.
    pub stdout: String,
    /// What it wrote to stderr, with bytes that are not UTF-8 replaced.
    pub stderr: String,
}

impl Done {
    /// Fails the test unless the command ended with 0.
    #[track_caller]
    pub fn success(self) -> Self {
        self.expect_status(0)
    }

    /// Fails the test unless the command ended with `status`.
    ///
    /// # Panics
    /// With everything the command said.
    #[track_caller]
    pub fn expect_status(self, status: i32) -> Self {
        assert_eq!(self.status, status, "exit status of {self}");
        self
    }

    /// Fails the test unless stderr holds `text`.
    ///
    /// # Panics
    /// With everything the command said.
    #[track_caller]
    pub fn expect_stderr(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "stderr lacks {text:?}; {self}");
        self
    }

    /// Stdout as JSON.
    ///
    /// # Panics
    /// With everything the command said, if it is none of type `T`.
    #[track_caller]
    #[must_use]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("cannot read stdout as JSON: {error}; {self}"),
        }
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            command, status, ..
        } = self;
        writeln!(f, "`{command}` ended with {status}")?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            for line in text.lines() {
                writeln!(f, "  {name}: {line}")?;
            }
        }
        Ok(())
    }
}

/// A command that runs while the test goes on. Its output goes to files, so that no
/// process that inherits it can keep the test waiting.
#[derive(Debug)]
pub struct Running {
    command: String,
    child: Child,
    stdout: File,
    stderr: File,
    ended: Option<i32>,
}

impl Running {
    /// Starts `command` without input, unless the command has its own stdin already.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        Self::start_with_input(&mut command, Stdio::null())
    }

    /// Starts `command` with `input` as its stdin.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    #[must_use]
    pub fn start_with_input(command: &mut Command, input: impl Into<Stdio>) -> Self {
        let stdout = tempfile::tempfile().must("make a file for stdout");
        let stderr = tempfile::tempfile().must("make a file for stderr");
        command
            .stdin(input)
            .stdout(stdout.try_clone().must("duplicate stdout's file"))
            .stderr(stderr.try_clone().must("duplicate stderr's file"));
        let child = match children::spawn(command) {
            Ok(child) => child,
            Err(error) => panic!("cannot start {}: {error}", line(command)),
        };
        Self {
            command: line(command),
            child,
            stdout,
            stderr,
            ended: None,
        }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Sends a signal; nothing happens if the process ended already.
    pub fn signal(&mut self, signal: rustix::process::Signal) {
        if self.try_status().is_none() {
            let _ = rustix::process::kill_process(self.pid(), signal);
        }
    }

    /// The exit status, if the command has ended.
    pub fn try_status(&mut self) -> Option<i32> {
        if self.ended.is_none() {
            let status = children::try_wait(&mut self.child).ok().flatten();
            self.ended = status.map(code);
        }
        self.ended
    }

    /// What the command said so far, with status 0 while it runs.
    #[must_use]
    pub fn so_far(&mut self) -> Done {
        Done {
            command: self.command.clone(),
            status: self.try_status().unwrap_or_default(),
            stdout: contents(&self.stdout),
            stderr: contents(&self.stderr),
        }
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// At the deadline, with everything the command said; it is killed.
    #[track_caller]
    pub fn finish(&mut self, deadline: Duration) -> Done {
        let ended = poll(deadline, || self.try_status());
        assert!(
            ended.is_some(),
            "has not ended in {deadline:?}; {}",
            self.so_far()
        );
        self.so_far()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.try_status().is_none() {
            children::kill(&mut self.child);
        }
    }
}

/// Runs `command` without input to its end.
///
/// # Panics
/// When it cannot be started or has not ended at the deadline.
#[track_caller]
#[must_use]
pub fn run(mut command: impl BorrowMut<Command>, deadline: Duration) -> Done {
    Running::start_with_input(command.borrow_mut(), Stdio::null()).finish(deadline)
}

/// Runs `command` with `input` on its stdin to its end.
///
/// # Panics
/// When it cannot be started or has not ended at the deadline.
#[track_caller]
#[must_use]
pub fn run_with_input(mut command: Command, input: &[u8], deadline: Duration) -> Done {
    let mut file = tempfile::tempfile().must("make a file for stdin");
    file.write_all(input).must("write stdin's file");
    file.rewind().must("rewind stdin's file");
    Running::start_with_input(&mut command, file).finish(deadline)
}

/// As a shell tells it: 128 + N after a death by signal N.
pub(crate) fn code(status: ExitStatus) -> i32 {
    let signal = || status.signal().unwrap_or_default();
    status.code().unwrap_or_else(|| 128 + signal())
}

/// Reads without moving the offset, which the writing process shares.
fn contents(file: &File) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let offset = u64::try_from(bytes.len()).unwrap_or_default();
        match file.read_at(&mut chunk, offset).must("read output") {
            0 => break,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::patience;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn keeps_status_and_both_streams_apart() {
        let done = run(shell("echo a; echo b >&2; exit 6"), patience(10));
        let done = done.expect_status(6).expect_stderr("b");
        assert_eq!(done.stdout, "a\n");
    }

    #[test]
    fn a_descendant_that_keeps_the_output_open_does_not_delay_the_end() {
        let done = run(shell("sleep 1000 & echo $!"), patience(10)).success();
        let pid: i32 = done.stdout.trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    #[test]
    #[should_panic(expected = "exit status")]
    fn another_status_fails() {
        run(shell("exit 1"), patience(10)).success();
    }

    #[test]
    #[should_panic(expected = "has not ended")]
    fn a_command_that_does_not_end_fails() {
        let _ = run(shell("sleep 1000"), Duration::from_millis(50));
    }

    #[test]
    fn passes_input() {
        let done = run_with_input(shell("cat"), b"\x01x", patience(10));
        assert_eq!(done.success().stdout, "\u{1}x");
    }
}
