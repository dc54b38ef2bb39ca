//! Renaming images. Several files change their names, so the intention is written down first.

use std::ffi::OsString;

use rustix::fs::{AtFlags, RenameFlags, renameat_with, symlinkat, unlinkat};
use rustix::io::Errno;

use super::hidden::{Hidden, Work};
use super::lookup::{Image, ImageKind};
use super::name::ImageName;
use super::read_only;
use super::root::ImageRoot;
use super::sidecars::Sidecars;
use super::staging::exists;
use super::subject::{Claim, Found};
use super::sweep::sweep;
use crate::dirs::Dirs;
use crate::error::{Context, Result};

/// What a killed renaming was to come to; the target of a link that leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) new: ImageName,
    pub(super) read_only: bool,
}

impl Intent {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mode, new) = text.split_once(':')?;
        Some(Self {
            new: new.parse().ok()?,
            read_only: match mode {
                "ro" => true,
                "rw" => false,
                _ => return None,
            },
        })
    }

    fn text(&self) -> String {
        let mode = if self.read_only { "ro" } else { "rw" };
        format!("{mode}:{}", self.new)
    }
}

/// Gives an image another name, and what belongs to it as well.
///
/// # Errors
/// [`crate::Kind::Busy`] if it is in use, or if the new name is taken or has settings already;
/// [`crate::Kind::NotFound`] if there is no such image. A killed renaming is finished or undone by
/// the next command.
pub fn rename(dirs: &Dirs, old: &ImageName, new: &ImageName) -> Result<()> {
    sweep(dirs)?;
    carry_out(dirs, old, new).cannot(|| format!("rename image {old} to {new}"))
}

fn carry_out(dirs: &Dirs, old: &ImageName, new: &ImageName) -> Result<()> {
    let found = Found::find(dirs, old)?;
    let intent = Intent {
        new: new.clone(),
        read_only: !found.is_link() && read_only::is_locked(&found.image)?,
    };
    let hidden = Hidden::claim(&found.dir, Work::Renaming, old.as_str())?;
    let _note = Note::leave(&found.dir, hidden.name(), &intent)?;
    let _lock = found.lock()?;
    let _claim = Claim::take(dirs, &found.dir, new)?;
    let sidecars = Sidecars::of(dirs, &found.dir);
    sidecars.expect_none(new.as_str())?;
    move_image(&found, &intent)?;
    sidecars.rename(old.as_str(), new.as_str())
}

/// The link that holds the intention. When this process dies, the next sweep does what is
/// left to do, and removes it.
struct Note<'a> {
    dir: &'a ImageRoot,
    name: &'a str,
}

impl<'a> Note<'a> {
    fn leave(dir: &'a ImageRoot, name: &'a str, intent: &Intent) -> Result<Self> {
        symlinkat(intent.text(), dir.as_fd(), name).cannot(|| "write down the new name")?;
        Ok(Self { dir, name })
    }
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        let _ = unlinkat(self.dir.as_fd(), self.name, AtFlags::empty());
    }
}

/// Renames the image alone. One that is read-only by its flag is so afterwards too.
fn move_image(found: &Found, intent: &Intent) -> Result<()> {
    let mut file = OsString::from(intent.new.as_str());
    if found.image.kind == ImageKind::Raw {
        file.push(".raw");
    }
    if intent.read_only {
        read_only::unlock(&found.image)?;
    }
    let (dir, flags) = (found.dir.as_fd(), RenameFlags::NOREPLACE);
    let renamed = renameat_with(dir, found.file(), dir, &file, flags);
    let name = if renamed.is_ok() {
        &*file
    } else {
        found.file()
    };
    if intent.read_only {
        let image = Image {
            path: found.dir.path().join(name),
            kind: found.image.kind,
        };
        read_only::set(&image, true)?;
    }
    match renamed {
        Err(Errno::EXIST) => Err(exists(&found.dir, &file.to_string_lossy())),
        other => other.cannot(|| "rename it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_read_back() {
        for read_only in [true, false] {
            let new = "my web".parse().unwrap();
            let intent = Intent { new, read_only };
            assert_eq!(Intent::parse(&intent.text()), Some(intent));
        }
        for bad in ["", "web", "ro:", "ro:..", "rx:web", "rw:a/b"] {
            assert_eq!(Intent::parse(bad), None, "{bad}");
        }
    }
}
