//! What is on its way from one socket to the other: it goes through a pipe, by splice(2),
//! and never through the memory of this process.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::yield_now;

/// The most that one connection has under way in one direction.
const CAPACITY: usize = 256 * 1024;

/// Empty pipes that are kept for the next who needs one.
const SPARE: usize = 4;

/// An empty pipe is borrowed for as long as data are in it, so that a connection that
/// waits has none.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    spare: RefCell<Vec<Pipe>>,
}

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipes {
    fn take(&self) -> io::Result<Pipe> {
        let spare = self.spare.borrow_mut().pop();
        spare.map_or_else(Pipe::new, Ok)
    }

    fn give_back(&self, empty: Pipe) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE {
            spare.push(empty);
        }
    }

    /// Moves what `from` sends to `to` until its end.
    pub(super) async fn pump(&self, from: &TcpStream, to: &TcpStream) -> io::Result<()> {
        loop {
            from.readable().await?;
            let pipe = self.take()?;
            match from.try_io(Interest::READABLE, || pipe.fill(from)) {
                Ok(0) => {
                    self.give_back(pipe);
                    return Ok(rustix::net::shutdown(to, rustix::net::Shutdown::Write)?);
                }
                Ok(length) => {
                    pipe.drain(to, length).await?;
                    // Readiness is told as long as there is some, at no charge: the others
                    // of this task would wait for the end of the transfer.
                    yield_now().await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.give_back(pipe);
        }
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Refused to a user who has many pipes (`pipe-user-pages-soft`): a small one does.
        let _ = fcntl_setpipe_size(&write, CAPACITY);
        Ok(Self { read, write })
    }

    fn fill(&self, from: &TcpStream) -> io::Result<usize> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        Ok(splice(from, None, &self.write, None, CAPACITY, flags)?)
    }

    async fn drain(&self, to: &TcpStream, mut length: usize) -> io::Result<()> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        while length > 0 {
            let write = || Ok(splice(&self.read, None, to, None, length, flags)?);
            length -= to.async_io(Interest::WRITABLE, write).await?;
        }
        Ok(())
    }
}
