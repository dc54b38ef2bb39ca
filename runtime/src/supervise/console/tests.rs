use super::*;
use rustix::pty::{grantpt, openpt, unlockpt};
use std::fs::File;
use std::future::poll_fn;
use std::io::{Read, Write};

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// A pty's master, and its other end in raw mode.
fn pty() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = open_slave(&master);
    let mut modes = rustix::termios::tcgetattr(&slave).unwrap();
    modes.make_raw();
    rustix::termios::tcsetattr(&slave, rustix::termios::OptionalActions::Now, &modes).unwrap();
    (master, slave)
}

fn open_slave(master: &OwnedFd) -> OwnedFd {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    ioctl_tiocgptpeer(master, flags).unwrap()
}

fn console(master: OwnedFd, sink: Sink, stalled: Stalled) -> Console<'static> {
    Console::new(master, sink, None, stalled).unwrap()
}

/// Lets the console move what there is, until `done` or it has waited for a second without any.
async fn moves(console: &mut Console<'_>, mut done: impl FnMut(&Console<'_>) -> bool) {
    while !done(console) {
        let step = poll_fn(|cx| {
            let _ = console.poll(Instant::now(), cx);
            if done(console) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        if tokio::time::timeout(DEAF, step).await.is_err() {
            return;
        }
    }
}

/// The rest of the output, as the sink's reader gets it.
async fn finished(mut console: Console<'_>, reader: OwnedFd) -> String {
    console.finish();
    moves(&mut console, |c| c.drained(Instant::now())).await;
    drop(console);
    let mut text = String::new();
    File::from(reader).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn output_passes_to_its_end() {
    run(async {
        let (master, slave) = pty();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let sink = Sink::new(writer.as_fd()).unwrap();
        drop(writer);
        let console = console(master, sink, Stalled::HoldBack);
        let text = "line\n".repeat(600);
        File::from(slave).write_all(text.as_bytes()).unwrap();
        assert_eq!(finished(console, reader).await, text);
    });
}

#[test]
fn the_last_close_of_the_other_end_is_not_the_end() {
    run(async {
        let (master, slave) = pty();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let sink = Sink::new(writer.as_fd()).unwrap();
        drop(writer);
        let keep = master.try_clone().unwrap();
        let mut console = console(master, sink, Stalled::HoldBack);
        File::from(slave).write_all(b"first ").unwrap();
        let mut polls = 0;
        moves(&mut console, |_| {
            polls += 1;
            polls > 3
        })
        .await;
        assert!(!console.ended);
        File::from(open_slave(&keep)).write_all(b"second").unwrap();
        drop(keep);
        assert_eq!(finished(console, reader).await, "first second");
    });
}

#[test]
fn somebody_who_keeps_the_other_end_open_does_not_delay_the_end() {
    run(async {
        let (master, slave) = pty();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let sink = Sink::new(writer.as_fd()).unwrap();
        drop(writer);
        let console = console(master, sink, Stalled::HoldBack);
        let mut file = File::from(slave);
        file.write_all(b"last words").unwrap();
        assert_eq!(finished(console, reader).await, "last words");
        drop(file);
    });
}

#[test]
fn a_reader_that_stands_still_does_not_stop_the_payload() {
    run(async {
        let (master, slave) = pty();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let sink = Sink::new(writer.as_fd()).unwrap();
        drop(writer);
        let mut console = console(master, sink, Stalled::DropAfter(Duration::ZERO));
        let flood = 4 << 20;
        let payload = std::thread::spawn(move || {
            File::from(slave).write_all(&vec![b'x'; flood]).unwrap();
        });
        // Were the payload held back, this would go on for ever.
        moves(&mut console, |_| payload.is_finished()).await;
        payload.join().unwrap();
        let sizes = [&console.shown, &console.typed].map(|flow| flow.pending().len());
        assert!(sizes[0] <= SHOWN && sizes[1] == 0);
        drop(reader);
    });
}

#[test]
fn a_reader_that_has_gone_does_not_stop_the_payload() {
    run(async {
        let (master, slave) = pty();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut console = console(
            master,
            Sink::new(writer.as_fd()).unwrap(),
            Stalled::HoldBack,
        );
        drop(reader);
        let payload = std::thread::spawn(move || {
            File::from(slave).write_all(&vec![b'x'; 1 << 20]).unwrap();
        });
        moves(&mut console, |_| payload.is_finished()).await;
        payload.join().unwrap();
    });
}

#[test]
fn what_was_lost_is_told() {
    run(async {
        let (master, _slave) = pty();
        let mut console = console(master, Sink::Gone, Stalled::DropAfter(Duration::ZERO));
        console.shown.push(&[b'x'; SHOWN]);
        console.shown.push(b"lost");
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(console.write_user(Instant::now(), &mut cx));
        let note = String::from_utf8(console.shown.pending().to_vec()).unwrap();
        assert!(note.contains("4 bytes"), "{note}");
    });
}

#[test]
fn a_window_size_arrives() {
    run(async {
        let (master, slave) = pty();
        let console = console(master, Sink::Gone, Stalled::HoldBack);
        console.resize(Winsize {
            ws_row: 12,
            ws_col: 34,
            ws_xpixel: 0,
            ws_ypixel: 0,
        });
        let size = rustix::termios::tcgetwinsize(&slave).unwrap();
        assert_eq!((size.ws_row, size.ws_col), (12, 34));
    });
}

#[test]
fn keys_reach_the_payload_and_hot_keys_are_seen_behind_a_deaf_one() {
    run(async {
        let (master, slave) = pty();
        let (user, terminal) = pty();
        let mut console = console(master, Sink::Gone, Stalled::HoldBack);
        console.typed = Flow::new(TYPED, Stalled::DropAfter(Duration::ZERO));
        console.listen_to(Some(Source::new(terminal.as_fd()).unwrap()));

        let mut user = File::from(user);
        user.write_all(b"ls").unwrap();
        moves(&mut console, keys_arrived).await;
        let mut typed = [0; 2];
        File::from(slave.try_clone().unwrap())
            .read_exact(&mut typed)
            .unwrap();
        assert_eq!(&typed, b"ls");

        // Nobody reads on: far more than the pty and the buffer hold.
        let typist = std::thread::spawn(move || {
            user.write_all(&vec![b'y'; 100_000]).unwrap();
            user.write_all(b"\x1d\x1d\x1d").unwrap();
            user
        });
        let key = poll_fn(|cx| console.poll(Instant::now(), cx)).await;
        assert_eq!(key, HotKey::Leave);
        typist.join().unwrap();
    });
}

/// Whether there is something for the payload to read.
fn keys_arrived(console: &Console<'_>) -> bool {
    let slave = console.keeper.as_ref().unwrap();
    stream::ready_for(slave.as_fd(), PollFlags::IN).unwrap()
}
