//! A machine's part of the host's packet filter. The table is counted by its owners: it goes with
//! the last.

use nsrun_netns::nft::{Rules, Table, Tag};

use crate::error::{Error, Kind, Result};

/// Rules that are in the kernel; removed when dropped.
#[derive(Debug)]
pub(super) struct Filter([Rules; 1]);

impl Filter {
    /// Adds the rules.
    ///
    /// # Errors
    /// [`Kind::Busy`] if a port is published already; [`Kind::HostLacks`] if the kernel has no
    /// nftables, or not all that is needed of them.
    pub(super) fn install(rules: Rules) -> Result<Self> {
        let rules = [rules];
        let added = Table::open().and_then(|table| table.install(&rules));
        added.map_err(|error| refused(&error))?;
        Ok(Self(rules))
    }

    /// The text by which they are found.
    pub(super) fn tag(&self) -> String {
        let Self([rules]) = self;
        rules.tag.to_string()
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // A failure leaves them to the next command, which finds them by their tag.
        let _ = Table::open().and_then(|table| table.remove(&self.0));
    }
}

fn refused(error: &nsrun_netns::Error) -> Error {
    use nix::errno::Errno;
    let kind = match error.errno() {
        None => Kind::Busy,
        // Protocol, table, expression: each has a module of its own.
        Some(Errno::EPROTONOSUPPORT | Errno::EOPNOTSUPP | Errno::ENOENT) => Kind::HostLacks,
        Some(_) => Kind::Failed,
    };
    Error::new(kind, error.to_string())
}

/// A text as a tag.
pub(super) fn tag(text: &str) -> Result<Tag> {
    text.parse::<Tag>()
        .map_err(|error| Error::new(Kind::Failed, format!("cannot tag rules: {error}")))
}

/// Removes the rules of an owner that is no more, of that whole tag and no other.
///
/// # Errors
/// If the kernel refuses.
pub(crate) fn sweep(text: &str) -> Result<()> {
    let owner = tag(text)?;
    let swept = Table::open().and_then(|table| table.remove_owner(&owner));
    swept
        .map(drop)
        .map_err(|error| Error::new(Kind::Failed, error.to_string()))
}
