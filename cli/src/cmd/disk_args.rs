//! Options for disk images.

use std::path::{Path, PathBuf};

use clap::ValueHint;
use nsrun_runtime::{Error, Kind, Result, disk};

// A disk image, and what is thought of it.
#[derive(clap::Args, Debug)]
pub struct DiskArgs {
    /// Start from a disk image: a file or block device with a file system, or a partition table
    #[arg(
        id = "disk_image",
        short = 'i',
        long = "image",
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with = "template"
    )]
    pub image: Option<PathBuf>,

    /// Let the host's kernel parse the image even if it holds ext4, xfs or btrfs
    #[arg(id = "trust_image", long = "trust-image")]
    pub trust: bool,
}

impl DiskArgs {
    /// The image's path, if no other image is named.
    pub fn path(&self, image: &Path, other: &str) -> Result<PathBuf> {
        if !other.is_empty() {
            let what = format!("both {other} and --image name what to start from");
            return Err(Error::new(Kind::Usage, what).hint("leave one of them out"));
        }
        disk::check_named(image)?;
        std::path::absolute(image)
            .map_err(|e| Error::new(Kind::Failed, "cannot tell the current directory").because(e))
    }
}
