//! Showing a person what a machine wrote.

use std::io::{self, Write};

use crate::error::{Context, Result};
use crate::supervise::Screen;

/// Writes to standard output or standard error without what answers, or changes the terminal for
/// good.
#[derive(Default)]
pub(super) struct Printer {
    screen: Screen,
    clean: Vec<u8>,
}

impl Printer {
    /// Writes to standard output. Whether there may be more: whoever has closed the pipe wants none.
    pub(super) fn print(&mut self, bytes: &[u8]) -> Result<bool> {
        self.to(bytes, &mut io::stdout().lock())
            .cannot(|| "write to standard output")
    }

    /// Writes to standard error.
    pub(super) fn complain(&mut self, bytes: &[u8]) -> Result<bool> {
        self.to(bytes, &mut io::stderr().lock())
            .cannot(|| "write to standard error")
    }

    fn to(&mut self, bytes: &[u8], output: &mut dyn Write) -> io::Result<bool> {
        self.clean.clear();
        self.screen.feed(bytes, &mut self.clean);
        match output.write_all(&self.clean).and_then(|()| output.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true),
        }
    }
}
