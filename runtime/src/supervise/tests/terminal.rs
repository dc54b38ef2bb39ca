//! A user at a terminal or behind a pipe.

use super::*;
use rustix::termios::{LocalModes, tcgetattr};
use std::io::Write;

fn is_raw(terminal: &OwnedFd) -> bool {
    !tcgetattr(terminal)
        .unwrap()
        .local_modes
        .contains(LocalModes::ICANON)
}

/// Reads the user's screen until `text` has appeared.
fn wait_for(screen: &mut File, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let mut chunk = [0; 256];
        let length = screen.read(&mut chunk).unwrap();
        assert!(length > 0, "{seen:?} ends without {text:?}");
        seen.push_str(&String::from_utf8_lossy(&chunk[..length]));
    }
    seen
}

#[test]
fn a_user_talks_to_the_payload_through_a_terminal() {
    let (user, terminal) = pty();
    let mut session = session(ConsoleMode::Interactive, &terminal, &terminal);
    let mut user = File::from(user);
    let typist = std::thread::spawn(move || {
        wait_for(&mut user, "name? ");
        user.write_all(b"x\rweb\r").unwrap();
        user
    });
    let script = "printf 'name? '; read a; read b; test \"$a$b\" = xweb && exit 5";
    let (outcome, _) = run(&mut session, shell(script), Config::run());
    assert_eq!(outcome.end, End::Exited(5));
    let mut user = typist.join().unwrap();

    assert!(is_raw(&terminal), "until the session ends");
    let (outcome, _) = run(&mut session, shell("printf 'again\\033[1m'"), Config::run());
    assert_eq!(outcome.end, End::Exited(0));
    drop(session);
    assert!(!is_raw(&terminal));
    let screen = wait_for(&mut user, "\x1b[m");
    assert!(screen.contains("again\x1b[1m"), "{screen:?}");
}

#[test]
fn three_escapes_leave_and_end_the_machine() {
    let (user, terminal) = pty();
    let mut session = session(ConsoleMode::Interactive, &terminal, &terminal);
    let mut user = File::from(user);
    let typist = std::thread::spawn(move || {
        wait_for(&mut user, "up");
        user.write_all(b"\x1d\x1d\x1d").unwrap();
        user
    });
    let script = format!("echo up; trap '' TERM; {WAITS}");
    let (outcome, seen) = run(&mut session, shell(&script), stop_by_term());
    assert_eq!(
        (outcome.end, outcome.cause),
        (End::Killed(Signal::KILL), Cause::Left)
    );
    assert!(seen.killed > 0);
    drop(session);
    assert!(!is_raw(&terminal));
    typist.join().unwrap();
}

#[test]
fn escapes_that_the_payload_prints_mean_nothing() {
    let (_user, terminal) = pty();
    let mut session = session(ConsoleMode::Interactive, &terminal, &terminal);
    let script = "printf '\\035\\035\\035'; sleep 0.1; exit 4";
    let (outcome, _) = run(&mut session, shell(script), stop_by_term());
    assert_eq!(outcome.end, End::Exited(4));
}

#[test]
fn a_machine_stops_though_nobody_reads_its_console() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let flood = "yes | head -c 3000000";
    let script = format!("trap '{flood}; exit 6' TERM; {flood}; {WAITS}");
    let Some(payload) = init(&script) else { return };
    let mut session = session(ConsoleMode::ReadOnly, null(), &writer);
    raise(Named::SIGTERM).unwrap();
    let (outcome, _) = run(&mut session, payload, stop_by_term());
    assert_eq!(outcome.end, End::Exited(6));
    drop(reader);
}
