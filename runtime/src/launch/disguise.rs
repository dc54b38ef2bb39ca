//! File system ids of this thread, for a while.
//!
//! An overlay writes with the ids of who made it, and a mount with shifted ids takes nothing from an id
//! that it does not show. So who makes an overlay in an image has to be root of the machine.

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::thread::{
    CapabilitiesSecureBits, capabilities_secure_bits, set_capabilities_secure_bits,
};

use crate::error::{Context, Result};

/// While it lives, files are made as a user and group of this number, with all capabilities.
#[derive(Debug)]
pub(super) struct Disguise {
    bits: CapabilitiesSecureBits,
    own: (Uid, Gid),
}

impl Disguise {
    pub(super) fn begin(id: u32) -> Result<Self> {
        let what = || format!("make files as user {id}");
        let bits = capabilities_secure_bits().cannot(what)?;
        // Without it the capabilities to do with files would go.
        let kept = bits | CapabilitiesSecureBits::NO_SETUID_FIXUP;
        set_capabilities_secure_bits(kept).cannot(what)?;
        let own = (setfsuid(Uid::from_raw(id)), setfsgid(Gid::from_raw(id)));
        Ok(Self { bits, own })
    }
}

impl Drop for Disguise {
    fn drop(&mut self) {
        setfsuid(self.own.0);
        setfsgid(self.own.1);
        // It was permitted a moment ago.
        let _ = set_capabilities_secure_bits(self.bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn files_are_anothers_only_meanwhile() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, "").unwrap();
            let metadata = std::fs::metadata(path).unwrap();
            (metadata.uid(), metadata.gid())
        };
        let disguise = Disguise::begin(4711).unwrap();
        assert_eq!(made("a"), (4711, 4711), "in a directory of root's");
        drop(disguise);
        assert_eq!(made("b"), (0, 0));
    }
}
