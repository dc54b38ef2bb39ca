//! Whole runs, with processes of the test's own as payloads.

mod notices;
mod terminal;

use super::*;
use crate::sys::testing::{exit_now, fork, fork_into_pid_namespace, shell_as_init};
use nix::sys::signal::{Signal as Named, raise};
use rustix::process::{Pid, PidfdFlags, getpid};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::system::{RebootCommand, reboot};
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

#[derive(Default)]
struct Seen {
    statuses: Vec<Status>,
    killed: u32,
    killed_entered: u32,
}

impl Host for Seen {
    fn kill_all(&mut self) -> Result<()> {
        self.killed += 1;
        Ok(())
    }
    fn kill_entered(&mut self) {
        self.killed_entered += 1;
    }
    fn record(&mut self, status: &Status) {
        self.statuses.push(status.clone());
    }
}

fn pty() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    (master, slave)
}

fn payload(pid: i32) -> Payload {
    let leader = Pid::from_raw(pid).unwrap();
    Payload {
        pid,
        pidfd: rustix::process::pidfd_open(leader, PidfdFlags::empty()).unwrap(),
        console: None,
        notify: None,
    }
}

/// A shell script on a pty. It inherits what signals are blocked: start it before the session.
#[expect(clippy::zombie_processes, reason = "the supervisor reaps it")]
fn shell(script: &str) -> Payload {
    let (master, slave) = pty();
    let stdio = || Stdio::from(slave.try_clone().unwrap());
    let child = Command::new("/bin/sh")
        .args(["-c", script])
        .stdin(stdio())
        .stdout(stdio())
        .stderr(stdio())
        .spawn()
        .unwrap();
    Payload {
        console: Some(master),
        ..payload(i32::try_from(child.id()).unwrap())
    }
}

/// The same as PID 1 of a PID namespace: it loses signals that it does not handle. `None` without root.
fn init(script: &str) -> Option<Payload> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIP: making a PID namespace needs root");
        return None;
    }
    let (master, slave) = pty();
    let script = CString::new(script).unwrap();
    let pid = shell_as_init(&script, slave.as_fd()).unwrap();
    Some(Payload {
        console: Some(master),
        ..payload(pid)
    })
}

fn null() -> File {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .unwrap()
}

fn session(mode: ConsoleMode, input: impl AsFd, output: impl AsFd) -> Session {
    Session::over(mode, input.as_fd(), output.as_fd(), Manager::default()).unwrap()
}

fn quiet() -> Session {
    session(ConsoleMode::Passive, null(), null())
}

fn run(session: &mut Session, payload: Payload, config: Config) -> (Outcome, Seen) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut seen = Seen::default();
    let outcome = runtime.block_on(supervise(session, payload, config, &mut seen));
    (outcome.unwrap(), seen)
}

/// As for a machine that boots, with a signal that a shell can trap.
fn stop_by_term() -> Config {
    Config {
        stop: StopBy::Signal(Signal::TERM),
        ..Config::boot()
    }
}

const WAITS: &str = "while :; do sleep 0.02; done";

#[test]
fn output_and_exit_status_of_a_command() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let mut session = session(ConsoleMode::ReadOnly, null(), &writer);
    let (outcome, seen) = run(&mut session, shell("echo hello; exit 7"), Config::run());
    assert_eq!(
        (outcome.end, outcome.cause),
        (End::Exited(7), Cause::Payload)
    );
    assert_eq!(seen.statuses.last().unwrap().phase, Phase::Ended);
    assert_eq!(seen.killed, 1, "nothing may outlive the leader");

    drop((session, writer));
    let mut text = String::new();
    File::from(reader).read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello\r\n");
}

#[test]
fn a_stop_waits_for_a_payload_that_is_not_ready_yet() {
    let Some(payload) = init(&format!("sleep 0.1; trap 'exit 3' TERM; {WAITS}")) else {
        return;
    };
    let mut session = quiet();
    raise(Named::SIGTERM).unwrap();
    let (outcome, seen) = run(&mut session, payload, stop_by_term());
    assert_eq!((outcome.end, outcome.cause), (End::Exited(3), Cause::Asked));
    assert!(seen.killed_entered > 0);
}

#[test]
fn a_stop_that_nobody_would_take_kills() {
    let Some(payload) = init(WAITS) else { return };
    let mut session = quiet();
    raise(Named::SIGHUP).unwrap();
    let (outcome, _) = run(&mut session, payload, stop_by_term());
    assert_eq!(outcome.end, End::Killed(Signal::KILL));
    assert_eq!(outcome.cause, Cause::NotReady);
}

#[test]
fn a_command_that_is_not_pid_1_ends_of_the_signal_itself() {
    let payload = shell(WAITS);
    let mut session = quiet();
    raise(Named::SIGTERM).unwrap();
    let config = Config {
        namespaced: false,
        ..Config::run()
    };
    let (outcome, _) = run(&mut session, payload, config);
    assert_eq!(outcome.exit_status(), 143);
}

#[test]
fn a_second_stop_kills() {
    let Some(payload) = init(&format!("trap '' TERM; {WAITS}")) else {
        return;
    };
    let mut session = quiet();
    raise(Named::SIGTERM).unwrap();
    raise(Named::SIGINT).unwrap();
    let (outcome, _) = run(&mut session, payload, stop_by_term());
    assert_eq!(outcome.cause, Cause::AskedAgain);
}

#[test]
fn patience_has_an_end() {
    let Some(payload) = init(&format!("trap 'echo no' TERM; {WAITS}")) else {
        return;
    };
    let mut session = quiet();
    raise(Named::SIGTERM).unwrap();
    let config = Config {
        patience: Some(Duration::from_millis(100)),
        ..stop_by_term()
    };
    let (outcome, _) = run(&mut session, payload, config);
    assert_eq!(
        (outcome.end, outcome.cause),
        (End::Killed(Signal::KILL), Cause::TooSlow)
    );
}

#[test]
fn signals_reach_a_command() {
    let mut session = quiet();
    raise(Named::SIGUSR1).unwrap();
    // Sent as soon as it comes: the shell has to have its trap by then.
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let child = fork().unwrap();
    if child == 0 {
        use nix::sys::signal::SigSet;
        let mut usr1 = SigSet::empty();
        usr1.add(Named::SIGUSR1);
        // Still blocked, as it was in the parent.
        let _ = rustix::io::write(&writer, b"x");
        exit_now(if usr1.wait().is_ok() { 5 } else { 1 });
    }
    rustix::io::read(&reader, &mut [0; 1]).unwrap();
    let config = Config {
        namespaced: false,
        ..Config::run()
    };
    let (outcome, _) = run(&mut session, payload(child), config);
    assert_eq!(outcome.end, End::Exited(5));
}

#[test]
fn a_payload_that_cannot_be_supervised_is_not_left_alive() {
    let child = fork().unwrap();
    if child == 0 {
        loop {
            std::thread::yield_now();
        }
    }
    let payload = Payload {
        console: Some(null().into()),
        ..payload(child)
    };
    let mut session = session(ConsoleMode::ReadOnly, null(), null());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut seen = Seen::default();
    let supervised = supervise(&mut session, payload, Config::boot(), &mut seen);
    let error = runtime.block_on(supervised).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot use the payload's console: ")
    );
    assert_eq!(seen.killed, 1);
    let gone = rustix::process::test_kill_process(Pid::from_raw(child).unwrap());
    assert_eq!(gone, Err(rustix::io::Errno::SRCH));
}

/// A machine whose PID 1 calls reboot(2).
fn reboots(command: RebootCommand) -> Option<Outcome> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIP: making a PID namespace needs root");
        return None;
    }
    let child = fork_into_pid_namespace().unwrap();
    if child == 0 {
        // Never the host's: only in a namespace of its own is this process PID 1.
        if getpid().as_raw_nonzero().get() == 1 {
            let _ = reboot(command);
        }
        exit_now(99);
    }
    Some(run(&mut quiet(), payload(child), Config::boot()).0)
}

#[test]
fn power_off_and_reboot_from_inside() {
    let Some(outcome) = reboots(RebootCommand::PowerOff) else {
        return;
    };
    assert_eq!((outcome.end, outcome.exit_status()), (End::PoweredOff, 0));
    let Some(outcome) = reboots(RebootCommand::Restart) else {
        return;
    };
    assert!(outcome.wants_reboot());
}
