use super::*;
use crate::sys::testing::{bare_fork, exit_now, fork_into_pid_namespace};
use rustix::pipe::pipe;
use rustix::process::{WaitId, WaitIdOptions, getpid, kill_process, test_kill_process, waitid};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

/// A stub as PID 1 of its own PID namespace.
struct Stub(Pid);

impl Stub {
    /// Starts one whose command runs `body` and exits with what that returns. `None` without root.
    fn start(body: impl Fn() -> i32) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: making a PID namespace needs root");
            return None;
        }
        block_signals().unwrap();
        let pid = fork_into_pid_namespace().unwrap();
        if pid == 0 {
            let status = match bare_fork(0) {
                Ok(0) => exit_now(command(&body)),
                Ok(pid) => Pid::from_raw(pid).map_or(98, run),
                Err(_) => 97,
            };
            exit_now(status.into());
        }
        Pid::from_raw(pid).map(Self)
    }

    fn signal(&self, number: i32) {
        let pidfd = rustix::process::pidfd_open(self.0, rustix::process::PidfdFlags::empty());
        sys::signal::send(std::os::fd::AsFd::as_fd(&pidfd.unwrap()), number).unwrap();
    }

    fn exit_status(self) -> i32 {
        let status = waitid(WaitId::Pid(self.0), WaitIdOptions::EXITED).unwrap();
        status.unwrap().exit_status().unwrap()
    }
}

fn command(body: &impl Fn() -> i32) -> i32 {
    let unblocked = SigSet::empty().thread_set_mask();
    if crate::launch::process::session(None).is_err() || unblocked.is_err() {
        return 96;
    }
    body()
}

fn pause() -> i32 {
    loop {
        std::thread::yield_now();
    }
}

#[test]
fn the_exit_status_of_the_command_is_its_own() {
    let Some(stub) = Stub::start(|| 7) else {
        return;
    };
    assert_eq!(stub.exit_status(), 7);
}

#[test]
fn the_command_is_pid_2_and_leads_a_session() {
    let leads = || {
        let own = getpid();
        let leads = rustix::process::getsid(None) == Ok(own);
        i32::from(!(leads && own.as_raw_nonzero().get() == 2))
    };
    let Some(stub) = Stub::start(leads) else {
        return;
    };
    assert_eq!(stub.exit_status(), 0);
}

#[test]
fn a_signal_that_ends_the_command_is_told_as_shells_do() {
    let dies = || {
        let _ = kill_process(getpid(), Signal::KILL);
        pause()
    };
    let Some(stub) = Stub::start(dies) else {
        return;
    };
    assert_eq!(stub.exit_status(), 137);
}

#[test]
fn signals_pass_on_to_the_command() {
    for (signal, status) in [
        (libc::SIGTERM, 143),
        (libc::SIGINT, 130),
        (libc::SIGHUP, 129),
        (libc::SIGUSR1, 138),
    ] {
        let Some(stub) = Stub::start(pause) else {
            return;
        };
        stub.signal(signal);
        assert_eq!(stub.exit_status(), status);
    }
}

#[test]
fn halt_and_power_off_end_even_a_command_that_is_only_hung_up() {
    for signal in [37, 38, 47, 48] {
        let deaf_to_term = || {
            let mut term = SigSet::empty();
            term.add(nix::sys::signal::Signal::SIGTERM);
            let _ = term.thread_block();
            pause()
        };
        let Some(stub) = Stub::start(deaf_to_term) else {
            return;
        };
        stub.signal(signal);
        // Until the command blocks SIGTERM it may as well end of that.
        assert!([129, 143].contains(&stub.exit_status()));
    }
}

#[test]
fn orphans_are_reaped() {
    let leaves_orphans = || {
        let mut orphans = [0; 20];
        for orphan in &mut orphans {
            let (reader, writer) = match pipe() {
                Ok(ends) => ends,
                Err(_) => return 1,
            };
            match bare_fork(0) {
                Ok(0) => match bare_fork(0) {
                    Ok(0) => exit_now(0),
                    Ok(pid) => {
                        let _ = rustix::io::write(&writer, &pid.to_ne_bytes());
                        exit_now(0)
                    }
                    Err(_) => exit_now(1),
                },
                Ok(_) => {}
                Err(_) => return 2,
            }
            let mut bytes = [0; 4];
            let _ = rustix::io::read(&reader, &mut bytes);
            *orphan = i32::from_ne_bytes(bytes);
        }
        // The processes between are the command's own children.
        while rustix::process::wait(WaitOptions::empty()).is_ok() {}
        for pid in orphans.into_iter().filter_map(Pid::from_raw) {
            while test_kill_process(pid).is_ok() {
                std::thread::yield_now();
            }
        }
        0
    };
    let Some(stub) = Stub::start(leaves_orphans) else {
        return;
    };
    assert_eq!(stub.exit_status(), 0);
}

#[test]
fn the_end_of_a_pipe_does_not_wait_for_the_stub() {
    let (reader, writer): (OwnedFd, OwnedFd) = pipe().unwrap();
    let closes_its_files = || {
        sys::signal::close_from(3);
        pause()
    };
    let Some(stub) = Stub::start(closes_its_files) else {
        return;
    };
    drop(writer);
    let mut nothing = Vec::new();
    File::from(reader).read_to_end(&mut nothing).unwrap();
    assert!(nothing.is_empty(), "{nothing:?}");
    stub.signal(libc::SIGKILL);
    waitid(WaitId::Pid(stub.0), WaitIdOptions::EXITED).unwrap();
}
