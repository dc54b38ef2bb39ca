//! Lines that come in.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;

use nsrun_runtime::{Context, Result};
use rustix::fs::{FileType, fstat};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::no_stream;
use super::protocol::LONGEST;

/// Standard input, by lines.
pub(super) struct Lines(BufReader<Pin<Box<dyn AsyncRead>>>);

impl Lines {
    /// Those of standard input.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub(super) fn of_stdin() -> Result<Self> {
        let input = rustix::stdio::stdin().try_clone_to_owned();
        let stream = input.and_then(stream).cannot(|| "read standard input")?;
        Ok(Self(BufReader::new(stream.ok_or_else(no_stream)?)))
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// If nothing can be read, or a line is too long.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let mut some = (&mut self.0).take(most);
        let read = some.read_until(b'\n', &mut line).await;
        if line.len() >= LONGEST {
            let error = io::Error::other("a request has more than 64 MiB");
            return Err(error).cannot(|| "read standard input");
        }
        match read.cannot(|| "read standard input")? {
            0 => Ok(None),
            _ => Ok(Some(line)),
        }
    }
}

fn stream(input: OwnedFd) -> io::Result<Option<Pin<Box<dyn AsyncRead>>>> {
    let mode = fstat(&input)?.st_mode;
    Ok(match FileType::from_raw_mode(mode) {
        FileType::Fifo => Some(Box::pin(pipe::Receiver::from_owned_fd(input)?)),
        FileType::Socket => {
            let socket = std::os::unix::net::UnixStream::from(input);
            socket.set_nonblocking(true)?;
            Some(Box::pin(UnixStream::from_std(socket)?))
        }
        _ => None,
    })
}
