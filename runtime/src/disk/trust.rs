//! Whether the host's kernel may be shown what an image holds, and a machine root's hands be put
//! into it.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::format::FileSystem;
use crate::error::{Context, Error, Kind, Result};

/// What the user vouches for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trust {
    /// The kernel may parse the image, whatever file system it holds.
    pub(crate) content: bool,
    /// Who can write to the image may be another user.
    pub(crate) owner: bool,
}

/// Permissions of a group and of others.
const OTHERS: u32 = 0o077;

/// Permissions of a group and of others to write.
const OTHERS_WRITE: u32 = 0o022;

pub(super) fn check(
    path: &Path,
    metadata: &Metadata,
    file_system: FileSystem,
    trust: Trust,
) -> Result<()> {
    let is_file = !metadata.file_type().is_block_device();
    if is_file && !trust.owner {
        check_writers(metadata)?;
    }
    if file_system.is_read_only() || trust.content {
        return Ok(());
    }
    if is_file && is_roots_alone(path).cannot(|| "look at its directory")? {
        return Ok(());
    }
    let what = format!(
        "it holds {file_system}, which the host's kernel would parse: a file system made to harm it \
         could take over the host"
    );
    let hint = match is_file {
        true => {
            "if you know where the image is from, use --trust-image, or keep it in a directory of \
             root's with mode 0700"
        }
        false => "if you know what the device holds, use --trust-image",
    };
    Err(Error::new(Kind::BadInput, what).hint(hint))
}

/// Nobody but root may change what root runs in a machine, nor change a file system while the kernel
/// has it mounted.
fn check_writers(metadata: &Metadata) -> Result<()> {
    let what = if metadata.uid() != 0 {
        format!("it belongs to user {}, not to root", metadata.uid())
    } else if metadata.mode() & OTHERS_WRITE != 0 {
        "others than root may write to it".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::BadInput, what).hint(
        "who can write to the image can change what root runs in it; if that is you, use \
         --allow-unsafe-root",
    ))
}

/// Whether the file's directory belongs to root and nobody else gets into it.
fn is_roots_alone(path: &Path) -> std::io::Result<bool> {
    let Some(parent) = path.parent() else {
        return Ok(false);
    };
    let found = std::fs::metadata(parent)?;
    Ok(found.uid() == 0 && found.mode() & OTHERS == 0)
}
