//! The process that sends the two off, and waits for them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::wait::WaitStatus;
use rustix::process::{Pid, getpid};

use super::end::{Access, End};
use super::place::Called;
use super::receive::receive;
use super::send::send;
use super::talk::{Line, Side, Told};
use super::{CopyReport, CopyRequest, Place};
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::image::extract::Policy;
use crate::image::import::Progress;
use crate::image::report::{Warning, WarningKind, Warnings};
use crate::image::wire::{Message, Receiver, Sender, Summary, pair, received};
use crate::image::worker::{Child, Signals};
use crate::sys::worker::spawn;

/// Copies a file or directory into a machine, out of one, or from one to another. What was half
/// written is removed.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such machine, source or directory; [`Kind::Busy`] if the machine is
/// paused, the image in use, or a file exists that is not to be replaced; [`Kind::BadInput`] if a
/// directory and something else meet; [`Kind::Usage`] if neither end is in a machine.
pub fn copy(dirs: &Dirs, request: &CopyRequest, progress: &mut dyn Progress) -> Result<CopyReport> {
    let what = || format!("copy {} to {}", request.from, request.to);
    if !request.from.is_inside() && !request.to.is_inside() {
        let error = Error::new(Kind::Usage, "neither of them is in a machine");
        return Err(error.hint("a path in a machine is written NAME:PATH")).cannot(what);
    }
    carry_out(dirs, request, progress).cannot(what)
}

fn carry_out(
    dirs: &Dirs,
    request: &CopyRequest,
    progress: &mut dyn Progress,
) -> Result<CopyReport> {
    let work = Work {
        request,
        from: End::open(dirs, &request.from, Access::Read, 0)?,
        to: End::open(dirs, &request.to, Access::Write, 1)?,
        nsrun: getpid(),
    };
    let signals = Signals::hold()?;
    let (sender, receiver) = pair().cannot(|| "make a socket for the copying")?;
    let pipe = Pipe::new(request)?;
    let start = |side: Side| {
        let child = spawn(|| work.carry_out(side, &pipe, &sender));
        child
            .map(Child::new)
            .cannot(|| "start a process that copies")
    };
    let writes = (request.to != Place::Stream).then(|| start(Side::Writes));
    let writes = writes.transpose()?;
    let reads = (request.from != Place::Stream).then(|| start(Side::Reads));
    // From here on their ends are the only ones.
    let reads = reads.transpose()?;
    drop((pipe, sender));
    let followed = follow(&receiver, &signals, work.size(), progress);
    drop(receiver);
    let mut heard = match followed {
        Ok(heard) => heard,
        Err(error) => {
            // The one that reads is killed. The other one finds the archive cut, and cleans up.
            drop(reads);
            let _ = writes.map(Child::wait);
            return Err(error);
        }
    };
    let ended = |child: Option<Child>| child.map(Child::wait).transpose();
    let (reads, writes) = (ended(reads)?, ended(writes)?);
    let (read, written) = (heard.take(Side::Reads), heard.take(Side::Writes));
    // An archive that is cut is the other one's fault, who says why.
    let read = said(Side::Reads, read, reads)?;
    let written = said(Side::Writes, written, writes)?;
    Ok(work.report(read, written))
}

/// What it has said, if it was there.
fn said(
    side: Side,
    told: Option<Result<Summary>>,
    ended: Option<WaitStatus>,
) -> Result<Option<Summary>> {
    match (told, ended) {
        (Some(told), _) => told.map(Some),
        (None, None) => Ok(None),
        // It has nothing to say if the other one has gone, who does.
        (None, Some(WaitStatus::Exited(_, 0))) => Ok(None),
        (None, Some(status)) => Err(died(side, status)),
    }
}

fn died(side: Side, status: WaitStatus) -> Error {
    let which = match side {
        Side::Reads => "reads",
        Side::Writes => "writes",
    };
    let how = match status {
        WaitStatus::Signaled(_, signal, _) => format!("was killed by {signal}"),
        _ => "ended early".to_owned(),
    };
    Error::new(Kind::Failed, format!("the process that {which} {how}"))
        .hint("it ends with the machine that it is in")
}

/// What connects the two.
struct Pipe {
    input: OwnedFd,
    output: OwnedFd,
}

impl Pipe {
    fn new(request: &CopyRequest) -> Result<Self> {
        let what = || "make a pipe for the copying";
        let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().cannot(what);
        let (input, output) = io::pipe().cannot(what)?;
        Ok(Self {
            input: match request.from {
                Place::Stream => own(io::stdin().as_fd())?,
                _ => input.into(),
            },
            output: match request.to {
                Place::Stream => own(io::stdout().as_fd())?,
                _ => output.into(),
            },
        })
    }
}

/// A copy with both ends held.
struct Work<'a> {
    request: &'a CopyRequest,
    from: End,
    to: End,
    nsrun: Pid,
}

impl Work<'_> {
    /// In one of the two processes; the status that it exits with.
    fn carry_out(&self, side: Side, pipe: &Pipe, sender: &Sender) -> u8 {
        let mut line = Line::new(side, sender);
        let outcome = match side {
            Side::Reads => self.read(&pipe.output, sender, &mut line),
            Side::Writes => self.write(&pipe.input, sender, &mut line).map(Some),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(summary)) => line.end(Ok(summary)),
            Err(error) => line.end(Err(error)),
        }
        0
    }

    fn read(
        &self,
        output: &OwnedFd,
        sender: &Sender,
        line: &mut Line<'_>,
    ) -> Result<Option<Summary>> {
        let request = self.request;
        let (Some(path), keep) = (request.from.path(), [output.as_fd(), sender.as_fd()]) else {
            return Ok(None);
        };
        let root = self.from.enter(self.nsrun, &keep)?;
        let out = File::from(output.try_clone().cannot(|| "duplicate a descriptor")?);
        let called = match (&request.to, Called::of(path)) {
            (Place::Stream, Called::Entries) => Vec::new(),
            (_, called) => called.between(),
        };
        let sent = send(&root, path, request.follow, &called, out, line)?;
        if sent.is_none() && request.to == Place::Stream {
            let what = "nobody reads the archive to its end";
            return Err(Error::new(Kind::Failed, what));
        }
        Ok(sent)
    }

    fn write(&self, input: &OwnedFd, sender: &Sender, line: &mut Line<'_>) -> Result<Summary> {
        let request = self.request;
        let path = request.to.path().unwrap_or(Path::new("."));
        let root = self
            .to
            .enter(self.nsrun, &[input.as_fd(), sender.as_fd()])?;
        let input = File::from(input.try_clone().cannot(|| "duplicate a descriptor")?);
        let policy = Policy {
            ids: self.to.ids(),
            disarm: !request.to.is_inside() && !request.keep_privileges,
        };
        receive(&root, path, request, policy, input, line)
    }

    /// The bytes of a single file of the host; how many a directory has is not known beforehand.
    fn size(&self) -> Option<u64> {
        let Place::Host(path) = &self.request.from else {
            return None;
        };
        let found = std::fs::metadata(path).ok()?;
        found.is_file().then_some(found.len())
    }

    fn report(&self, read: Option<Summary>, written: Option<Summary>) -> CopyReport {
        let counts = written.as_ref().or(read.as_ref());
        let counts = counts.map(|summary| summary.counts).unwrap_or_default();
        let mut warnings = Warnings::default();
        for summary in [read, written].into_iter().flatten() {
            warnings.merge(summary.warnings);
        }
        let mut warnings: Vec<Warning> = warnings.into_list();
        if !self.to.is_unshifted() {
            warnings.retain(|warning| warning.kind != WarningKind::ForeignOwners);
        }
        CopyReport {
            counts,
            was_in_use: self.from.was_in_use(),
            warnings,
        }
    }
}

/// How each has ended.
#[derive(Default)]
struct Heard(Vec<(Side, Result<Summary>)>);

impl Heard {
    fn take(&mut self, side: Side) -> Option<Result<Summary>> {
        let at = self.0.iter().position(|(by, _)| *by == side)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// Listens until both have ended.
fn follow(
    receiver: &Receiver,
    signals: &Signals,
    size: Option<u64>,
    progress: &mut dyn Progress,
) -> Result<Heard> {
    let mut heard = Heard::default();
    loop {
        signals.wait_for(receiver.as_fd())?;
        let told: Option<Told> = receiver.receive().cannot(|| "hear from the copying")?;
        let Some(Told { by, message }) = told else {
            return Ok(heard);
        };
        match message {
            Message::Progress(bytes) => {
                // Headers count, too.
                progress.advanced(size.map_or(bytes, |size| size.min(bytes)), size);
            }
            Message::Done(summary) => {
                progress.advanced(size.unwrap_or(summary.read), size);
                heard.0.push((by, Ok(summary)));
            }
            Message::Failed { kind, what, hint } => {
                heard
                    .0
                    .push((by, Err(received(kind, &what, hint.as_deref()))));
            }
        }
    }
}
