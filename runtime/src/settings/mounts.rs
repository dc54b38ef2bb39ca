//! Values of keys about mounts: those of the options, from files.

use super::field::Item;
use super::values::invalid;
use crate::error::Result;
use crate::plan::mounts::{Mount, Source, What};

/// `Bind=` and `BindReadOnly=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bind<const READ_ONLY: bool>(Mount);

impl<const READ_ONLY: bool> AsRef<Mount> for Bind<READ_ONLY> {
    fn as_ref(&self) -> &Mount {
        &self.0
    }
}

impl<const READ_ONLY: bool> Item for Bind<READ_ONLY> {
    const WHAT: &'static str = "SOURCE[:TARGET[:OPTIONS]]";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        let key = if READ_ONLY { "BindReadOnly" } else { "Bind" };
        let mount = Mount::bind_by(key, text, READ_ONLY)?;
        absolute(text, &mount).map(|()| vec![Self(mount)])
    }
}

/// `Overlay=` and `OverlayReadOnly=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overlay<const READ_ONLY: bool>(Mount);

impl<const READ_ONLY: bool> AsRef<Mount> for Overlay<READ_ONLY> {
    fn as_ref(&self) -> &Mount {
        &self.0
    }
}

impl<const READ_ONLY: bool> Item for Overlay<READ_ONLY> {
    const WHAT: &'static str = "LOWER[:LOWER…]:UPPER:TARGET";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        let key = if READ_ONLY {
            "OverlayReadOnly"
        } else {
            "Overlay"
        };
        let mount = Mount::overlay_by(key, text, READ_ONLY)?;
        absolute(text, &mount).map(|()| vec![Self(mount)])
    }
}

/// `TemporaryFileSystem=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tmpfs(Mount);

impl AsRef<Mount> for Tmpfs {
    fn as_ref(&self) -> &Mount {
        &self.0
    }
}

impl Item for Tmpfs {
    const WHAT: &'static str = "PATH[:OPTIONS]";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        Mount::tmpfs_by("TemporaryFileSystem", text).map(|mount| vec![Self(mount)])
    }
}

/// `Inaccessible=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inaccessible(Mount);

impl AsRef<Mount> for Inaccessible {
    fn as_ref(&self) -> &Mount {
        &self.0
    }
}

impl Item for Inaccessible {
    const WHAT: &'static str = "absolute path";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        Mount::inaccessible(text).map(|mount| vec![Self(mount)])
    }
}

/// A file has no directory that its paths would be relative to.
fn absolute(text: &str, mount: &Mount) -> Result<()> {
    let sources: Vec<&Source> = match &mount.what {
        What::Bind { source, .. } => vec![source],
        What::Overlay { lowers, upper } => lowers.iter().chain([upper]).collect(),
        What::Tmpfs(_) | What::Inaccessible => Vec::new(),
    };
    let is_relative = |source: &&Source| match source {
        Source::Host(path) => path.is_relative(),
        _ => false,
    };
    match sources.into_iter().find(is_relative) {
        Some(_) => Err(invalid("path", text, "those of the host must begin with /")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_of_the_host_are_absolute() {
        for text in ["/srv", "+/etc:/mnt", ":/new", "/a:/b:idmap"] {
            let mounts = Bind::<true>::parse_line(text).unwrap();
            assert!(mounts[0].0.read_only, "{text}");
        }
        for text in ["srv:/srv", "./a:/b", "/a:/b:what", "/a:b"] {
            assert!(Bind::<false>::parse_line(text).is_err(), "{text}");
        }
        assert!(Overlay::<false>::parse_line("/a:/b::/c").is_ok());
        assert!(Overlay::<false>::parse_line("/a:b:/c").is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC{0,40}|[:/+,a-z\\\\]{0,30}") {
            let _ = Bind::<false>::parse_line(&text);
            let _ = Overlay::<true>::parse_line(&text);
            let _ = Tmpfs::parse_line(&text);
            let _ = Inaccessible::parse_line(&text);
        }
    }
}
