//! How much an archive may ask for.

use crate::error::{Error, Kind, Result};

/// Most memory for what is kept of every directory until the end: 512 MiB.
const DIRECTORY_MEMORY: u64 = 512 << 20;

/// Bounds on what one import may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most members, each an inode at most.
    pub inodes: u64,
    /// Most components of a path.
    pub depth: usize,
    /// Most bytes of file data; `None` for the free space less 5 %.
    pub bytes: Option<u64>,
    /// Most decoded bytes per compressed byte, watched after 100 MiB.
    pub ratio: u64,
    /// Most memory of the xz decoder in bytes.
    pub xz_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inodes: 8_000_000,
            depth: 1024,
            bytes: None,
            ratio: 1000,
            xz_memory: 256 << 20,
        }
    }
}

/// What is left of the limits.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    /// Bytes that the file system can take, less its reserve.
    space: u64,
    inodes: u64,
    bytes: u64,
    directory_memory: u64,
}

impl Budget {
    /// The full budget on a file system with `free` bytes.
    pub(super) fn new(limits: &Limits, free: u64) -> Self {
        Self {
            limits: limits.clone(),
            space: free - free / 20,
            inodes: 0,
            bytes: 0,
            directory_memory: 0,
        }
    }

    /// Takes one inode, at a depth.
    pub(super) fn inode(&mut self, depth: usize) -> Result<()> {
        self.inodes += 1;
        if self.inodes > self.limits.inodes {
            let what = format!("it has more than {} members", self.limits.inodes);
            return Err(over(what, "--max-inodes"));
        }
        if depth > self.limits.depth {
            let what = format!("its path is deeper than {} directories", self.limits.depth);
            return Err(over(what, "--max-depth"));
        }
        Ok(())
    }

    /// Takes bytes of file data, before they are written.
    pub(super) fn data(&mut self, bytes: u64) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(limit) = self.limits.bytes.filter(|&limit| self.bytes > limit) {
            let what = format!("it holds more than {limit} bytes of files");
            return Err(over(what, "--max-bytes"));
        }
        if self.bytes > self.space {
            let what = format!(
                "it holds more than the {} bytes that are free, less a reserve of 5 %",
                self.space
            );
            return Err(Error::new(Kind::Failed, what));
        }
        Ok(())
    }

    /// Takes memory for what is kept of a directory.
    pub(super) fn directory(&mut self, memory: usize) -> Result<()> {
        self.directory_memory += memory as u64;
        if self.directory_memory > DIRECTORY_MEMORY {
            let what = "its directories take more than 512 MiB of memory";
            return Err(Error::new(Kind::BadInput, what));
        }
        Ok(())
    }
}

fn over(what: String, option: &str) -> Error {
    Error::new(Kind::BadInput, what)
        .hint(format!("if the archive is to be trusted, raise {option}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limits: &Limits) -> Budget {
        Budget::new(limits, 1000)
    }

    #[test]
    fn the_reserve_is_a_twentieth_of_what_is_free() {
        assert!(budget(&Limits::default()).data(950).is_ok());
        let error = budget(&Limits::default()).data(951).unwrap_err();
        assert_eq!(error.kind(), Kind::Failed);
    }

    #[test]
    fn a_given_limit_blames_the_archive() {
        let limits = Limits {
            bytes: Some(10),
            ..Limits::default()
        };
        let mut budget = budget(&limits);
        budget.data(10).unwrap();
        assert_eq!(budget.data(1).unwrap_err().kind(), Kind::BadInput);
    }

    #[test]
    fn sizes_that_overflow_are_over_the_limit() {
        let mut budget = budget(&Limits::default());
        budget.data(1).unwrap();
        assert!(budget.data(u64::MAX).is_err());
    }

    #[test]
    fn counts_inodes_and_depth() {
        let limits = Limits {
            inodes: 2,
            depth: 3,
            ..Limits::default()
        };
        let mut one = budget(&limits);
        one.inode(3).unwrap();
        one.inode(1).unwrap();
        assert!(one.inode(1).is_err());
        assert!(budget(&limits).inode(4).is_err());
    }
}
