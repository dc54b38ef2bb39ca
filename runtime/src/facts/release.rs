//! What operating system an image or a machine says that it is.

use serde::{Deserialize, Serialize};

use super::image::{ImageRoot, NIXOS_SYSTEM};
use crate::text::escaped;

/// Fields of os-release(5), escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// `PRETTY_NAME`: for people.
    pub os: Option<String>,
    /// `ID`: for programs.
    pub os_id: Option<String>,
    /// `VERSION_ID`.
    pub os_version: Option<String>,
}

impl Release {
    /// Reads the file below a root, resolved as the machine would. NixOS has it in `/etc` once it has
    /// booted for the first time.
    pub(crate) fn look(root: &ImageRoot) -> Self {
        let content = root
            .read("etc/os-release")
            .or_else(|_| root.read("usr/lib/os-release"))
            .or_else(|_| root.read(&format!("{NIXOS_SYSTEM}/etc/os-release")))
            .unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&content))
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn parse(text: &str) -> Self {
        let field = |key: &str| {
            // The last of several lines counts, as in a shell.
            let value = text.lines().rev().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                (name.trim_start() == key).then_some(value)
            })?;
            let value = escaped(value.trim().trim_matches(['"', '\'']));
            (!value.is_empty()).then_some(value)
        };
        Self {
            os: field("PRETTY_NAME"),
            os_id: field("ID"),
            os_version: field("VERSION_ID"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_that_never_booted_has_it_in_its_profile() {
        let image = tempfile::tempdir().unwrap();
        let store = image.path().join("nix/store/1-system");
        let profiles = image.path().join("nix/var/nix/profiles");
        std::fs::create_dir_all(store.join("etc")).unwrap();
        std::fs::create_dir_all(&profiles).unwrap();
        std::fs::write(store.join("etc/os-release"), "ID=nixos\n").unwrap();
        let link = profiles.join("system");
        std::os::unix::fs::symlink("/nix/store/1-system", link).unwrap();
        let look = || Release::look(&ImageRoot::open(image.path()).unwrap()).os_id;
        assert_eq!(look().as_deref(), Some("nixos"));
        std::fs::create_dir(image.path().join("etc")).unwrap();
        std::fs::write(image.path().join("etc/os-release"), "ID=other\n").unwrap();
        assert_eq!(look().as_deref(), Some("other"));
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text =
            "# comment\nVERSION_ID=\"25.05\"\nBUILD_ID=x\nID=nixos\nPRETTY_NAME='NixOS 25.05'\n";
        let release = Release::parse(text);
        assert_eq!(release.os.as_deref(), Some("NixOS 25.05"));
        assert_eq!(release.os_id.as_deref(), Some("nixos"));
        assert_eq!(release.os_version.as_deref(), Some("25.05"));
        assert_eq!(Release::parse("VERSION_ID=\nnothing"), Release::default());
        assert_eq!(Release::parse("ID=a\nID=b").os_id.as_deref(), Some("b"));
    }
}
