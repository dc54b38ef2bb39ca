//! The bytes of files: shared with the original where the file system can, else copied
//! with their holes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, ftruncate, ioctl_ficlone, seek};
use rustix::io::Errno;

use crate::error::{Context, Result};
use crate::image::limits::Budget;

/// Bytes copied at once.
const BUFFER: usize = 256 << 10;

/// Copies the contents of files one after another.
#[derive(Debug)]
pub(in crate::image) struct DataCopier {
    buffer: Vec<u8>,
    read: u64,
    /// The file system may share blocks between files.
    shares: bool,
}

impl Default for DataCopier {
    fn default() -> Self {
        Self {
            buffer: vec![0; BUFFER],
            read: 0,
            shares: true,
        }
    }
}

impl DataCopier {
    /// Bytes of files that were copied or shared.
    pub(in crate::image) fn read(&self) -> u64 {
        self.read
    }

    /// Gives the empty file `to` the contents of `from`.
    pub(in crate::image) fn copy(
        &mut self,
        from: &File,
        to: &File,
        budget: &mut Budget,
    ) -> Result<()> {
        let size = from.metadata().cannot(|| "look at it")?.len();
        if size == 0 {
            return Ok(());
        }
        if self.shares {
            match ioctl_ficlone(to, from) {
                Ok(()) => {
                    self.read += size;
                    return Ok(());
                }
                // Special cases of one file, such as its flags, must not end the attempts.
                Err(Errno::INVAL) => {}
                Err(_) => self.shares = false,
            }
        }
        let mut at = 0;
        while let Some((start, end)) = data(from, at).cannot(|| "find its data")? {
            self.copy_range(from, to, start, end, budget)?;
            at = end;
        }
        ftruncate(to, size).cannot(|| "set the size of the copy")
    }

    fn copy_range(
        &mut self,
        from: &File,
        to: &File,
        mut at: u64,
        end: u64,
        budget: &mut Budget,
    ) -> Result<()> {
        while at < end {
            let wanted = usize::try_from(end - at).map_or(BUFFER, |left| left.min(BUFFER));
            let got = from
                .read_at(&mut self.buffer[..wanted], at)
                .cannot(|| "read it")?;
            if got == 0 {
                // It was cut meanwhile.
                return Ok(());
            }
            budget.data(got as u64)?;
            to.write_all_at(&self.buffer[..got], at)
                .cannot(|| "write the copy")?;
            at += got as u64;
            self.read += got as u64;
        }
        Ok(())
    }
}

/// The next run of data at or after `at`: its start and end.
fn data(file: &File, at: u64) -> rustix::io::Result<Option<(u64, u64)>> {
    let start = match seek(file, SeekFrom::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some((start, seek(file, SeekFrom::Hole(start))?)))
}
