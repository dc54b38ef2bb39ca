//! Options for mounts, in nspawn's spelling.

use nsrun_runtime::plan::bound::{BoundUsers, Shell};
use nsrun_runtime::plan::mounts::Mount;
use nsrun_runtime::{Error, Kind, Result};

/// Where they are in the help: by each option, since a group's heading would hold for what follows.
const HEADING: &str = "Mounts";

// What is mounted beside the image.
#[derive(clap::Args, Debug)]
pub struct MountArgs {
    /// Show a file, directory or device of the host; SOURCE may be empty for a new directory
    #[arg(help_heading = HEADING, long, value_name = "SOURCE[:TARGET[:OPTIONS]]")]
    bind: Vec<String>,

    /// The same, read-only
    #[arg(help_heading = HEADING, long, value_name = "SOURCE[:TARGET[:OPTIONS]]")]
    bind_ro: Vec<String>,

    /// Mount a file system in memory
    #[arg(help_heading = HEADING, long, value_name = "PATH[:OPTIONS]")]
    tmpfs: Vec<String>,

    /// Put directories on top of one another, `+` for those of the image; UPPER takes the changes, a
    /// new one if empty
    #[arg(help_heading = HEADING, long, value_name = "LOWER[:LOWER...]:UPPER:TARGET")]
    overlay: Vec<String>,

    /// The same, read-only
    #[arg(help_heading = HEADING, long, value_name = "LOWER[:LOWER...]:UPPER:TARGET")]
    overlay_ro: Vec<String>,

    /// Keep everybody from what is at PATH in the machine
    #[arg(help_heading = HEADING, long, value_name = "PATH")]
    inaccessible: Vec<String>,

    /// Have the machine know a user of the host, with its home directory
    #[arg(help_heading = HEADING, long, value_name = "USER", value_parser = BoundUsers::name)]
    bind_user: Vec<String>,

    /// Choose the shell of these users: no, yes for the host's, or a PATH
    #[arg(help_heading = HEADING, long, value_name = "BOOL|PATH")]
    bind_user_shell: Option<Shell>,

    /// Put these users into a group of the machine
    #[arg(help_heading = HEADING, long, value_name = "GROUP", value_parser = BoundUsers::name)]
    bind_user_group: Vec<String>,
}

impl MountArgs {
    /// The users of the host that these options are about.
    pub fn bound_users(&self) -> BoundUsers {
        BoundUsers {
            names: self.bind_user.clone(),
            shell: self.bind_user_shell.clone(),
            groups: self.bind_user_group.clone(),
        }
    }

    /// The mounts that these options ask for.
    pub fn mounts(&self) -> Result<Vec<Mount>> {
        let binds = self.bind.iter().map(|text| Mount::bind(text, false));
        let mounts = binds
            .chain(self.bind_ro.iter().map(|text| Mount::bind(text, true)))
            .chain(self.tmpfs.iter().map(|text| Mount::tmpfs(text)))
            .chain(self.overlay.iter().map(|text| Mount::overlay(text, false)))
            .chain(
                self.overlay_ro
                    .iter()
                    .map(|text| Mount::overlay(text, true)),
            )
            .chain(
                self.inaccessible
                    .iter()
                    .map(|text| Mount::inaccessible(text)),
            );
        let mounts: Result<Vec<Mount>> = mounts.collect();
        let mounts = mounts?;
        if mounts.is_empty() {
            return Ok(mounts);
        }
        let here = std::env::current_dir().map_err(|e| {
            Error::new(Kind::Failed, "cannot tell the current directory").because(e)
        })?;
        Ok(mounts.into_iter().map(|mount| mount.based(&here)).collect())
    }
}
