//! The user's terminal: raw while a payload has it, as it was before at every other time.

mod full_screen;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, Once};

use rustix::termios::{OptionalActions, QueueSelector, Termios, Winsize};

pub use self::full_screen::{FullScreen, Wake};
use crate::error::{Context, Result};
use crate::sys;

/// A terminal whose modes are put back on drop, on panic, and when the process dies of a fault.
///
/// After SIGKILL nothing can: `reset` or `stty sane` does then, and shells do it for their own jobs.
#[derive(Debug)]
pub struct Terminal {
    file: OwnedFd,
    /// The modes from before, while they are changed.
    before: Option<Termios>,
    /// What is written to it before its modes are put back.
    farewell: &'static [u8],
}

impl Terminal {
    /// The terminal that is open as `file`; `None` if that is none.
    ///
    /// # Errors
    /// When the descriptor cannot be duplicated.
    pub fn new(file: BorrowedFd<'_>) -> Result<Option<Self>> {
        if !rustix::termios::isatty(file) {
            return Ok(None);
        }
        let file = file.try_clone_to_owned();
        let file = file.cannot(|| "duplicate the terminal's descriptor")?;
        Ok(Some(Self {
            file,
            before: None,
            farewell: b"",
        }))
    }

    /// Whether this process may read it and change its modes: as a background job the kernel would
    /// stop it (SIGTTOU). A terminal that does not control this process knows no background.
    #[must_use]
    pub fn in_foreground(&self) -> bool {
        in_foreground(self.file.as_fd())
    }

    /// Passes every key on as it is typed and every byte as it is written, until [`Terminal::restore`].
    /// Once more after a stop by job control, during which the shell changed the modes.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn make_raw(&mut self) -> Result<()> {
        let modes = rustix::termios::tcgetattr(&self.file);
        let modes = modes.cannot(|| "read the terminal's modes")?;
        let before = self.before.get_or_insert_with(|| modes.clone());
        rescue::arm(self.file.as_fd(), before, self.farewell);
        let mut raw = modes;
        raw.make_raw();
        rustix::termios::tcsetattr(&self.file, OptionalActions::Now, &raw)
            .cannot(|| "make the terminal raw")
    }

    /// Puts the modes back and throws away what was typed meanwhile and not read: it was meant for
    /// the payload, or is a terminal's answer to it, and no command for the user's shell.
    pub fn restore(&mut self) {
        rescue::disarm();
        let Some(before) = self.before.take() else {
            return;
        };
        if self.in_foreground() {
            say(self.file.as_fd(), self.farewell);
            // Not TCSADRAIN or TCSAFLUSH: they wait for output, for ever if the terminal stands still.
            // If it has gone there is nothing to put back.
            let _ = rustix::termios::tcsetattr(&self.file, OptionalActions::Now, &before);
            let _ = rustix::termios::tcflush(&self.file, QueueSelector::IFlush);
        }
    }

    /// Its size, if it knows one.
    #[must_use]
    pub fn size(&self) -> Option<Winsize> {
        rustix::termios::tcgetwinsize(&self.file).ok()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}

fn in_foreground(file: BorrowedFd<'_>) -> bool {
    match rustix::termios::tcgetpgrp(file) {
        Ok(group) => group == rustix::process::getpgrp(),
        Err(_) => true,
    }
}

/// Async-signal-safe. A terminal that has gone hears nothing.
fn say(terminal: BorrowedFd<'_>, words: &[u8]) {
    if !words.is_empty() {
        let _ = rustix::io::write(terminal, words);
    }
}

/// Puts the modes back when the process has no chance to unwind: `panic = "abort"`, a fault, a full
/// stack. Release builds abort on panic, so that [`Drop`] does not run there either.
mod rescue {
    use super::*;

    /// The terminal that is raw, with its modes from before and the last words to it.
    static SAVED: Mutex<Option<(OwnedFd, Termios, &[u8])>> = Mutex::new(None);
    static INSTALLED: Once = Once::new();

    pub(super) fn arm(file: BorrowedFd<'_>, before: &Termios, farewell: &'static [u8]) {
        if let (Ok(file), Ok(mut saved)) = (file.try_clone_to_owned(), SAVED.lock()) {
            *saved = Some((file, before.clone(), farewell));
        }
        INSTALLED.call_once(install);
    }

    pub(super) fn disarm() {
        if let Ok(mut saved) = SAVED.lock() {
            *saved = None;
        }
    }

    fn install() {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            put_back();
            report(info);
        }));
        // Only an invalid signal number fails, and then the terminal is no worse off than without.
        let _ = sys::signal::on_crash(crashed);
    }

    /// Async-signal-safe: try_lock is one atomic operation, and neither allocates nor waits.
    fn put_back() {
        let Ok(saved) = SAVED.try_lock() else {
            return;
        };
        if let Some((file, before, farewell)) = saved
            .as_ref()
            .filter(|(file, ..)| in_foreground(file.as_fd()))
        {
            say(file.as_fd(), farewell);
            let _ = rustix::termios::tcsetattr(file, OptionalActions::Now, before);
        }
    }

    extern "C" fn crashed(signal: i32) {
        put_back();
        // The handler was reset before it ran: this time the signal ends the process.
        sys::signal::raise(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::{exit_now, fork};
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{LocalModes, tcgetattr};

    fn pty() -> (OwnedFd, OwnedFd) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        (master, slave)
    }

    fn is_cooked(terminal: &OwnedFd) -> bool {
        let modes = tcgetattr(terminal).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    #[test]
    fn a_file_is_no_terminal() {
        let file = tempfile::tempfile().unwrap();
        assert!(Terminal::new(file.as_fd()).unwrap().is_none());
    }

    #[test]
    fn is_raw_until_dropped() {
        let (_master, slave) = pty();
        let mut terminal = Terminal::new(slave.as_fd()).unwrap().unwrap();
        assert!(is_cooked(&slave));
        terminal.make_raw().unwrap();
        assert!(!is_cooked(&slave));
        terminal.make_raw().unwrap();
        drop(terminal);
        assert!(is_cooked(&slave), "the second call must not save raw modes");
    }

    #[test]
    fn typed_ahead_is_not_left_for_the_shell() {
        let (master, slave) = pty();
        let mut terminal = Terminal::new(slave.as_fd()).unwrap().unwrap();
        terminal.make_raw().unwrap();
        rustix::io::write(&master, b"rm -rf /\n").unwrap();
        terminal.restore();
        rustix::io::write(&master, b"ok\n").unwrap();
        let mut line = [0; 16];
        let length = rustix::io::read(&slave, &mut line).unwrap();
        assert_eq!(&line[..length], b"ok\n");
    }

    /// Forks a child that makes the terminal raw and then dies by `die`.
    fn dies_raw(die: fn()) -> (OwnedFd, OwnedFd, i32) {
        let (master, slave) = pty();
        let mut terminal = Terminal::new(slave.as_fd()).unwrap().unwrap();
        let child = fork().unwrap();
        if child == 0 {
            // The core dump of a test that is meant to crash is of no use.
            let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
            if terminal.make_raw().is_ok() && !is_cooked(&slave) {
                die();
            }
            exit_now(99);
        }
        let pid = Pid::from_raw(child).unwrap();
        let status = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED)
            .unwrap()
            .unwrap();
        (master, slave, status.terminating_signal().unwrap_or(0))
    }

    #[test]
    fn an_abort_leaves_the_terminal_as_it_was() {
        let (_master, slave, signal) = dies_raw(|| sys::signal::raise(libc::SIGABRT));
        assert_eq!(signal, libc::SIGABRT);
        assert!(is_cooked(&slave));
    }

    #[test]
    fn a_fault_leaves_the_terminal_as_it_was() {
        let (_master, slave, signal) = dies_raw(|| sys::signal::raise(libc::SIGSEGV));
        assert_eq!(signal, libc::SIGSEGV);
        assert!(is_cooked(&slave));
    }

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        let (_master, slave, signal) = dies_raw(|| {
            // As with `panic = "abort"`: the hook runs, destructors do not.
            let _ = std::panic::catch_unwind(|| panic!("on purpose"));
            sys::signal::raise(libc::SIGKILL);
        });
        assert_eq!(signal, libc::SIGKILL);
        assert!(is_cooked(&slave));
    }
}
