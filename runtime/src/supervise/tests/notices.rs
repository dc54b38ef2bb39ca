//! What the leader says of itself.

use super::*;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};

/// A payload that sends `messages` from its leader, one datagram each, and exits.
fn notifier(messages: &'static [&'static [u8]], before: impl Fn(&OwnedFd)) -> Payload {
    let (theirs, ours) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    rustix::net::sockopt::set_socket_passcred(&ours, true).unwrap();
    before(&theirs);
    let child = fork().unwrap();
    if child == 0 {
        for message in messages {
            let _ = rustix::net::send(&theirs, message, SendFlags::empty());
        }
        exit_now(0);
    }
    Payload {
        notify: Some(ours),
        ..payload(child)
    }
}

#[test]
fn the_leader_is_heard_to_its_last_word() {
    let said: &[&[u8]] = &[
        b"READY=1\nX_SYSTEMD_HOSTNAME=web",
        b"STATUS=Up \x1b[2J",
        b"STOPPING=1\nX_SYSTEMD_SHUTDOWN=exit\nEXIT_STATUS=9",
    ];
    let (outcome, seen) = run(&mut quiet(), notifier(said, |_| {}), Config::boot());
    assert_eq!(outcome.announced, Some(9));
    assert_eq!(outcome.shutdown, Some(Shutdown::Exit));
    let last = seen.statuses.last().unwrap();
    assert_eq!(last.hostname.as_deref(), Some("web"));
    assert_eq!(last.text.as_deref(), Some("Up \\x1b[2J"));
    assert!(seen.killed_entered > 0);
}

#[test]
fn nobody_else_is_heard() {
    let forged = |socket: &OwnedFd| {
        let message = b"READY=1\nEXIT_STATUS=1\nSTATUS=forged";
        rustix::net::send(socket, message, SendFlags::empty()).unwrap();
    };
    let (outcome, seen) = run(&mut quiet(), notifier(&[], forged), Config::boot());
    assert_eq!(outcome.announced, None);
    assert!(seen.statuses.iter().all(|status| status.text.is_none()));
}

#[test]
fn a_flood_of_notifications_does_not_keep_a_stop_waiting() {
    let (theirs, ours) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    let child = fork().unwrap();
    if child == 0 {
        loop {
            let _ = rustix::net::send(&theirs, b"STATUS=x", SendFlags::empty());
        }
    }
    let payload = Payload {
        notify: Some(ours),
        ..payload(child)
    };
    let mut session = quiet();
    raise(Named::SIGTERM).unwrap();
    raise(Named::SIGINT).unwrap();
    let (outcome, seen) = run(&mut session, payload, Config::boot());
    assert_eq!(outcome.cause, Cause::AskedAgain);
    let texts = seen.statuses.iter().filter(|status| status.text.is_some());
    assert!(texts.count() < 10, "what is no news is not recorded");
}
