//! Where images and state live on the host.

use std::path::{Path, PathBuf};

use crate::name::MachineName;

/// The image root that machinectl uses too.
pub const IMAGE_ROOT: &str = "/var/lib/machines";

/// The directories that everything else is placed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirs {
    image_root: PathBuf,
    run: PathBuf,
    lib: PathBuf,
    state_root: Option<PathBuf>,
}

impl Default for Dirs {
    fn default() -> Self {
        Self {
            image_root: IMAGE_ROOT.into(),
            run: "/run/nsrun".into(),
            lib: "/var/lib/nsrun".into(),
            state_root: None,
        }
    }
}

impl Dirs {
    /// The defaults, with the given roots in their place. A state root `S` holds both
    /// kinds of state: `S/run`, gone with a reboot's tmpfs otherwise, and `S/lib`.
    #[must_use]
    pub fn new(image_root: Option<&Path>, state_root: Option<&Path>) -> Self {
        let mut dirs = Self::default();
        if let Some(root) = image_root {
            dirs.image_root = root.to_owned();
        }
        if let Some(root) = state_root {
            dirs.run = root.join("run");
            dirs.lib = root.join("lib");
            dirs.state_root = Some(root.to_owned());
        }
        dirs
    }

    /// Where images are found and imported to.
    #[must_use]
    pub fn image_root(&self) -> &Path {
        &self.image_root
    }

    /// The state root that was given, if one was.
    #[must_use]
    pub fn state_root(&self) -> Option<&Path> {
        self.state_root.as_deref()
    }

    /// State of running machines; does not outlive a boot of the host.
    #[must_use]
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Lasting state: metadata of images.
    #[must_use]
    pub fn lib(&self) -> &Path {
        &self.lib
    }

    /// Where the output of a machine in the background is kept.
    #[must_use]
    pub fn console_log(&self, name: &MachineName) -> PathBuf {
        self.lib.join("consoles").join(format!("{name}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_root_relocates_both_kinds_of_state() {
        let dirs = Dirs::new(Some(Path::new("/i")), Some(Path::new("/s")));
        assert_eq!(dirs.image_root(), Path::new("/i"));
        assert_eq!(dirs.run(), Path::new("/s/run"));
        assert_eq!(dirs.lib(), Path::new("/s/lib"));
    }

    #[test]
    fn defaults_are_those_of_machinectl_and_the_hierarchy_standard() {
        let dirs = Dirs::new(None, None);
        assert_eq!(dirs.image_root(), Path::new("/var/lib/machines"));
        assert_eq!(dirs.run(), Path::new("/run/nsrun"));
        assert_eq!(dirs.lib(), Path::new("/var/lib/nsrun"));
    }
}
