//! The user's ends of the console, read and written without ever waiting.
//!
//! `O_NONBLOCK` belongs to the open file, which the shell and other programs share: setting it
//! on an inherited descriptor breaks them (fcntl(2)). A terminal, pipe or FIFO is opened once
//! more instead; a socket has a flag per call; a regular file never lets a writer wait for a reader.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::hub::Hub;
use crate::sys::readiness;

/// Written at a time to what could not be opened again: no more than a pipe with any room takes.
const ATOMIC: usize = 4096;

/// Where the payload's output goes.
#[derive(Debug)]
pub(crate) enum Sink {
    /// Nowhere: nobody listens, or the listener has gone.
    Gone,
    /// A file of which epoll says that it is always ready.
    Plain(OwnedFd),
    /// What has to be waited for.
    Waited(AsyncFd<OwnedFd>, Manner),
    /// A log and viewers, none of which is waited for.
    Hub(Rc<RefCell<Hub>>),
}

/// How one call is kept from waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// The open file is our own and non-blocking.
    Own,
    /// A flag of send(2).
    Send,
    /// Asking poll(2) first, because the open file is shared.
    Asked,
}

impl Sink {
    /// Writes to the file that is open as `output`.
    pub(crate) fn new(output: BorrowedFd<'_>) -> io::Result<Self> {
        let (file, manner) = open_again(output, OFlags::WRONLY)?;
        match readiness::try_watch(file, Interest::WRITABLE) {
            Ok(file) => Ok(Self::Waited(file, manner)),
            Err(error) => {
                let (file, cause) = error.into_parts();
                // epoll_ctl(2): EPERM for a file that cannot be polled.
                if cause.kind() == io::ErrorKind::PermissionDenied {
                    Ok(Self::Plain(file))
                } else {
                    Err(cause)
                }
            }
        }
    }

    /// Writes some of `bytes`, as soon as that is possible without waiting. A sink that fails
    /// becomes [`Sink::Gone`], which takes everything.
    pub(crate) fn poll_write(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<usize> {
        let result = match self {
            Self::Gone => Ok(bytes.len()),
            Self::Hub(hub) => {
                hub.borrow_mut().show(bytes);
                Ok(bytes.len())
            }
            Self::Plain(file) => rustix::io::write(file, bytes).map_err(io::Error::from),
            Self::Waited(file, manner) => ready!(poll_write(file, *manner, bytes, cx)),
        };
        match result {
            Ok(count) => Poll::Ready(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Poll::Ready(0),
            Err(_) => {
                *self = Self::Gone;
                Poll::Ready(bytes.len())
            }
        }
    }

    /// Writes as much of `bytes` as there is room for, for the last words of a session.
    pub(crate) fn write_now(output: BorrowedFd<'_>, bytes: &[u8]) {
        let Ok((file, manner)) = open_again(output, OFlags::WRONLY) else {
            return;
        };
        // Best effort: a terminal that does not take them has nobody to look at it.
        let _ = write_some(file.as_fd(), manner, bytes);
    }
}

fn poll_write(
    file: &AsyncFd<OwnedFd>,
    manner: Manner,
    bytes: &[u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    loop {
        let mut guard = ready!(file.poll_write_ready(cx))?;
        if let Ok(result) = guard.try_io(|file| write_some(file.as_fd(), manner, bytes)) {
            return Poll::Ready(result);
        }
    }
}

fn write_some(file: BorrowedFd<'_>, manner: Manner, bytes: &[u8]) -> io::Result<usize> {
    let count = match manner {
        Manner::Own => rustix::io::write(file, bytes)?,
        Manner::Send => {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            rustix::net::send(file, bytes, flags)?
        }
        Manner::Asked if !ready_for(file, PollFlags::OUT)? => {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Manner::Asked => {
            let some = bytes.get(..ATOMIC).unwrap_or(bytes);
            rustix::io::write(file, some)?
        }
    };
    Ok(count)
}

/// Where the user types.
#[derive(Debug)]
pub(crate) struct Source {
    file: AsyncFd<OwnedFd>,
    manner: Manner,
}

impl Source {
    /// Reads from the terminal that is open as `input`.
    pub(crate) fn new(input: BorrowedFd<'_>) -> io::Result<Self> {
        let (file, manner) = open_again(input, OFlags::RDONLY)?;
        let file = readiness::watch(file, Interest::READABLE)?;
        Ok(Self { file, manner })
    }

    /// Reads what has been typed; 0 at the end.
    pub(crate) fn poll_read(
        &mut self,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.file.poll_read_ready(cx))?;
            let read = guard.try_io(|file| read_some(file.as_fd(), self.manner, buffer));
            if let Ok(result) = read {
                return Poll::Ready(result);
            }
        }
    }
}

fn read_some(file: BorrowedFd<'_>, manner: Manner, buffer: &mut [u8]) -> io::Result<usize> {
    if matches!(manner, Manner::Asked) && !ready_for(file, PollFlags::IN)? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(rustix::io::read(file, buffer)?)
}

/// Whether poll(2) reports `what`, an error or a hang-up, right now.
pub(crate) fn ready_for(file: BorrowedFd<'_>, what: PollFlags) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(file, what)];
    let now = rustix::event::Timespec::default();
    Ok(rustix::event::poll(&mut fds, Some(&now))? > 0)
}

/// An own open file of what `fd` has open, if that can be had, else a duplicate.
fn open_again(fd: BorrowedFd<'_>, access: OFlags) -> io::Result<(OwnedFd, Manner)> {
    let stat = rustix::fs::fstat(fd)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let again = match kind {
        FileType::Fifo => true,
        // Opening a pty's master again would make another pty.
        FileType::CharacterDevice => {
            rustix::termios::isatty(fd) && stat.st_rdev != rustix::fs::makedev(5, 2)
        }
        _ => false,
    };
    if again {
        let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        if let Ok(own) = rustix::fs::open(path, flags, Mode::empty()) {
            return Ok((own, Manner::Own));
        }
    }
    let manner = if kind == FileType::Socket {
        Manner::Send
    } else {
        Manner::Asked
    };
    Ok((fd.try_clone_to_owned()?, manner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;
    use std::future::poll_fn;
    use std::io::Read;

    fn run<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(future)
    }

    /// Writes until there is no more room.
    async fn fill(sink: &mut Sink) -> usize {
        // The runtime has to hear of it first.
        let mut total = poll_fn(|cx| sink.poll_write(b"x", cx)).await;
        loop {
            let polled = poll_fn(|cx| Poll::Ready(sink.poll_write(&[b'x'; 3000], cx))).await;
            match polled {
                Poll::Ready(count) => total += count,
                Poll::Pending => return total,
            }
        }
    }

    fn nonblocking(fd: &OwnedFd) -> bool {
        rustix::fs::fcntl_getfl(fd)
            .unwrap()
            .contains(OFlags::NONBLOCK)
    }

    #[test]
    fn a_full_pipe_does_not_block_and_keeps_its_flags() {
        run(async {
            let (reader, writer) = pipe().unwrap();
            let mut sink = Sink::new(writer.as_fd()).unwrap();
            assert!(fill(&mut sink).await >= 4096);
            assert!(!nonblocking(&writer));
            // The reader makes room, and the sink goes on.
            std::fs::File::from(reader)
                .read_exact(&mut [0; 8192])
                .unwrap();
            assert!(poll_fn(|cx| sink.poll_write(b"more", cx)).await > 0);
        });
    }

    #[test]
    fn a_full_socket_does_not_block() {
        run(async {
            let (a, _b) = std::os::unix::net::UnixStream::pair().unwrap();
            let mut sink = Sink::new(a.as_fd()).unwrap();
            assert!(matches!(sink, Sink::Waited(_, Manner::Send)));
            assert!(fill(&mut sink).await > 0);
        });
    }

    #[test]
    fn a_shared_pipe_is_asked_first() {
        run(async {
            let (_reader, writer) = pipe().unwrap();
            let shared = readiness::watch(writer, Interest::WRITABLE).unwrap();
            let mut sink = Sink::Waited(shared, Manner::Asked);
            assert!(fill(&mut sink).await >= 4096);
        });
    }

    #[test]
    fn a_reader_that_has_gone_takes_everything() {
        run(async {
            let (reader, writer) = pipe().unwrap();
            let mut sink = Sink::new(writer.as_fd()).unwrap();
            drop(reader);
            assert_eq!(poll_fn(|cx| sink.poll_write(b"lost", cx)).await, 4);
            assert!(matches!(sink, Sink::Gone));
        });
    }

    #[test]
    fn a_file_is_written_where_the_shell_left_off() {
        run(async {
            use std::io::{Seek, Write};
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"before ").unwrap();
            let mut sink = Sink::new(file.as_fd()).unwrap();
            assert!(matches!(sink, Sink::Plain(_)));
            assert_eq!(poll_fn(|cx| sink.poll_write(b"after", cx)).await, 5);
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "before after");
        });
    }
}
