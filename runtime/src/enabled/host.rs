//! Who starts services on this host, and how enabled machines come to be among them.

use std::path::{Path, PathBuf};

use super::{openrc, systemd};
use crate::dirs::Dirs;
use crate::error::Result;
use crate::name::MachineName;

/// What starts an enabled machine when the host boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Starter {
    /// This unit of systemd's.
    Unit(String),
    /// OpenRC's service `nsrun`.
    Service,
    /// Whatever runs `nsrun start --all-enabled`.
    Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Init {
    Systemd,
    OpenRc,
    Other,
}

/// The host's root directory, which tests replace, and its init.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) root: PathBuf,
    pub(super) init: Init,
}

impl Host {
    pub(super) fn probe() -> Self {
        Self::at(Path::new("/"))
    }

    /// Asks as sd_booted(3) and OpenRC's own programs do.
    pub(super) fn at(root: &Path) -> Self {
        let has = |path: &str| root.join(path).exists();
        let init = if has("run/systemd/system") {
            Init::Systemd
        } else if has("run/openrc/softlevel") {
            Init::OpenRc
        } else {
            Init::Other
        };
        let root = root.to_owned();
        Self { root, init }
    }

    /// Refuses a name whose unit belongs to another state root.
    pub(super) fn expect_ours(&self, dirs: &Dirs, name: &MachineName) -> Result<()> {
        match self.init {
            Init::Systemd => systemd::expect_ours(&self.root, dirs, name),
            Init::OpenRc | Init::Other => Ok(()),
        }
    }

    pub(super) fn begin_to_start(
        &self,
        dirs: &Dirs,
        name: &MachineName,
        options: &[String],
    ) -> Result<Starter> {
        match self.init {
            Init::Systemd => systemd::enable(&self.root, dirs, name, options)?,
            Init::OpenRc if dirs.state_root().is_none() => openrc::install(&self.root)?,
            Init::OpenRc | Init::Other => {}
        }
        Ok(self.starter(dirs, name))
    }

    /// Tells whether the host would have started it. OpenRC's service stays: it is for all.
    pub(super) fn cease_to_start(&self, dirs: &Dirs, name: &str) -> Result<bool> {
        match self.init {
            Init::Systemd => systemd::disable(&self.root, dirs, name),
            Init::OpenRc | Init::Other => Ok(false),
        }
    }

    /// Whether the host starts the machine, provided that there is a mark.
    pub(super) fn starts(&self, dirs: &Dirs, name: &str) -> bool {
        match self.init {
            Init::Systemd => systemd::is_enabled(&self.root, dirs, name),
            Init::OpenRc | Init::Other => true,
        }
    }

    pub(super) fn starter(&self, dirs: &Dirs, name: &MachineName) -> Starter {
        match self.init {
            Init::Systemd => Starter::Unit(systemd::unit(name.as_str())),
            Init::OpenRc if dirs.state_root().is_none() => Starter::Service,
            Init::OpenRc | Init::Other => Starter::Command,
        }
    }
}
