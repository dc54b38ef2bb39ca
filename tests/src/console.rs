//! Driving a program on a terminal of its own, as a user would.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use regex::Regex;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::children;
use crate::done::code;
use crate::must::Must;
use crate::wait::{patience, poll};

/// A child process whose standard streams and controlling terminal are a pty that the
/// test holds the other end of.
#[derive(Debug)]
pub struct Console {
    child: Child,
    status: Option<i32>,
    terminal: Option<Terminal>,
    screen: Arc<Screen>,
    /// How far into the output earlier expectations have read.
    seen: usize,
}

/// Both ends of the pty, and the thread that reads from it. Gone once hung up.
#[derive(Debug)]
struct Terminal {
    master: Arc<File>,
    /// Kept open, so that the terminal's modes can be looked at after the child ended.
    slave: OwnedFd,
    reader: Option<JoinHandle<()>>,
    /// The reader ends when this is closed.
    stop: Option<PipeWriter>,
}

#[derive(Debug, Default)]
struct Screen {
    output: Mutex<Vec<u8>>,
    grown: Condvar,
}

impl Screen {
    fn output(&self) -> MutexGuard<'_, Vec<u8>> {
        self.output
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Console {
    /// Starts `command` as the leader of a session on a new terminal of 80 by 24.
    ///
    /// # Panics
    /// When the pty or the process cannot be made.
    #[track_caller]
    #[must_use]
    pub fn start(command: &Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).must("open a pty");
        grantpt(&master).must("grant the pty");
        unlockpt(&master).must("unlock the pty");
        let slave = ioctl_tiocgptpeer(&master, flags).must("open the pty's other end");
        let mut command = on_terminal(command, &slave);
        let child = children::spawn(&mut command).must("start on a pty");
        // It holds the pty's other end until it is dropped.
        drop(command);
        let screen = Arc::new(Screen::default());
        let mut console = Self {
            child,
            status: None,
            terminal: Some(Terminal::new(master, slave, &screen)),
            screen,
            seen: 0,
        };
        console.resize(24, 80);
        console
    }

    /// The child's process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Types `text`, byte by byte as it is.
    ///
    /// # Panics
    /// When the terminal takes no input.
    #[track_caller]
    pub fn send(&mut self, text: &str) {
        let mut master = &*self.terminal().master;
        master
            .write_all(text.as_bytes())
            .must("type on the console");
    }

    /// Types `text` and presses enter.
    #[track_caller]
    pub fn send_line(&mut self, text: &str) {
        self.send(&format!("{text}\r"));
    }

    /// Changes the terminal's size; the foreground process gets SIGWINCH.
    #[track_caller]
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.terminal().master, size).must("set the window size");
    }

    /// The terminal's modes as the child has set them.
    #[track_caller]
    #[must_use]
    pub fn modes(&self) -> Termios {
        tcgetattr(&self.terminal().slave).must("read the terminal's modes")
    }

    /// Waits until output that no earlier expectation consumed matches `pattern`, consumes
    /// it up to the end of the match, and returns the match.
    ///
    /// # Panics
    /// At the deadline, with all output so far.
    #[track_caller]
    pub fn expect(&mut self, pattern: &str) -> String {
        self.expect_within(pattern, patience(60))
    }

    /// As [`Console::expect`], with a deadline of its own.
    #[track_caller]
    pub fn expect_within(&mut self, pattern: &str, deadline: Duration) -> String {
        let regex = Regex::new(&format!("(?m){pattern}")).must("compile the pattern");
        match self.find(&regex, deadline) {
            Some(found) => found,
            None => panic!(
                "waited {deadline:?} in vain for /{pattern}/ on the console; it shows:\n{}",
                self.text()
            ),
        }
    }

    fn find(&mut self, regex: &Regex, deadline: Duration) -> Option<String> {
        let end = Instant::now() + deadline;
        let mut output = self.screen.output();
        loop {
            let fresh = printable(&output);
            if let Some(found) = regex.find_at(&fresh, self.seen.min(fresh.len())) {
                self.seen = found.end();
                return Some(found.as_str().to_owned());
            }
            let left = end.checked_duration_since(Instant::now())?;
            let (guard, _) = self
                .screen
                .grown
                .wait_timeout(output, left)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            output = guard;
        }
    }

    /// All output so far, without escape sequences.
    #[must_use]
    pub fn text(&self) -> String {
        printable(&self.screen.output())
    }

    /// All output so far as it came.
    #[must_use]
    pub fn raw(&self) -> Vec<u8> {
        self.screen.output().clone()
    }

    /// Sends the child a signal; nothing happens if it ended already.
    pub fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            let _ = kill_process(self.pid(), signal);
        }
    }

    /// Waits for the child's end and gives its exit status, 128 + N after death by signal N.
    ///
    /// # Panics
    /// At the deadline, with all output so far.
    #[track_caller]
    pub fn wait(&mut self, deadline: Duration) -> i32 {
        match poll(deadline, || self.try_status()) {
            Some(status) => status,
            None => panic!(
                "the program on the console has not ended in {deadline:?}; it shows:\n{}",
                self.text()
            ),
        }
    }

    /// The exit status, if the child has ended.
    pub fn try_status(&mut self) -> Option<i32> {
        if self.status.is_none() {
            self.status = children::try_wait(&mut self.child).ok().flatten().map(code);
        }
        self.status
    }

    /// Closes the terminal, as when its window is closed: the child gets SIGHUP.
    pub fn hang_up(&mut self) {
        self.terminal = None;
    }

    #[track_caller]
    fn terminal(&self) -> &Terminal {
        self.terminal.as_ref().must("use the terminal: it hung up")
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if self.try_status().is_none() {
            children::kill(&mut self.child);
        }
    }
}

impl Terminal {
    #[track_caller]
    fn new(master: OwnedFd, slave: OwnedFd, screen: &Arc<Screen>) -> Self {
        let (stopped, stop) = std::io::pipe().must("make a pipe");
        let master = Arc::new(File::from(master));
        let reader = {
            let (master, screen) = (Arc::clone(&master), Arc::clone(screen));
            std::thread::spawn(move || collect(&master, &stopped, &screen))
        };
        Self {
            master,
            slave,
            reader: Some(reader),
            stop: Some(stop),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// `setsid --ctty` makes the terminal the controlling one and then becomes the command,
/// under the same process id.
fn on_terminal(command: &Command, slave: &OwnedFd) -> Command {
    let mut wrapped = Command::new("setsid");
    wrapped
        .arg("--ctty")
        .arg(command.get_program())
        .args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(key, value),
            None => wrapped.env_remove(key),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        wrapped.current_dir(dir);
    }
    let end = || Stdio::from(slave.try_clone().must("duplicate the pty's other end"));
    wrapped.stdin(end()).stdout(end()).stderr(end());
    wrapped
}

/// Gathers output until the pipe's other end is closed. The child's end does not end it:
/// another process may still write, and a terminal without writers can get a new one.
fn collect(mut master: &File, stopped: &PipeReader, screen: &Screen) {
    let mut chunk = [0; 4096];
    loop {
        let mut sources = [
            PollFd::new(master, PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        if rustix::event::poll(&mut sources, None).is_err() || !sources[1].revents().is_empty() {
            return;
        }
        match master.read(&mut chunk) {
            Ok(count @ 1..) => screen.output().extend_from_slice(&chunk[..count]),
            _ => return,
        }
        screen.grown.notify_all();
    }
}

/// Drops control sequences (CSI, OSC and two-byte escapes) and carriage returns.
fn printable(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {}
            '\u{1b}' => match chars.next() {
                Some('[') => {
                    let _ = chars.find(|c| ('@'..='~').contains(c));
                }
                Some(']') => {
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                Some('(' | ')') => {
                    let _ = chars.next();
                }
                _ => {}
            },
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Console {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Console::start(&command)
    }

    #[test]
    fn answers_prompts_in_order() {
        let mut console = shell("printf 'name: '; read name; echo \"hello $name\"; exit 3");
        console.expect("name: $");
        console.send_line("world");
        assert_eq!(console.expect("hello \\w+"), "hello world");
        assert_eq!(console.wait(patience(10)), 3);
    }

    #[test]
    fn an_expectation_does_not_see_what_an_earlier_one_consumed() {
        let mut console = shell("echo one; read x; echo two");
        console.expect("one");
        let again = Regex::new("one").unwrap();
        assert_eq!(console.find(&again, Duration::from_millis(50)), None);
    }

    #[test]
    fn is_a_controlling_terminal_of_the_given_size() {
        let mut console = shell("read x; stty size </dev/tty");
        console.resize(40, 132);
        console.send_line("");
        console.expect("40 132");
    }

    #[test]
    fn closing_it_hangs_up() {
        let mut console = shell("trap 'exit 7' HUP; echo ready; while :; do sleep 0.05; done");
        console.expect("ready");
        console.hang_up();
        assert_eq!(console.wait(patience(10)), 7);
    }

    #[test]
    fn control_sequences_are_not_text() {
        let raw = b"\x1b[0;1;32mOK\x1b[0m\r\n\x1b]0;title\x07a\x1b]3008;x\x1b\\b\x1b(Bc";
        assert_eq!(printable(raw), "OK\nabc");
    }
}
