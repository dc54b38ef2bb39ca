//! Names in an image root that stand for work under way, each with a lock file that tells
//! whether somebody still does it.

use rustix::fs::Dir;
use rustix::rand::{GetRandomFlags, getrandom};

use super::name::ImageName;
use super::root::ImageRoot;
use crate::error::{Context, Result};
use crate::lock::{LockFile, Mode};

/// Hexadecimal digits at the end of a hidden name.
const DIGITS: usize = 16;

/// What is being done to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A directory that becomes the image.
    Making,
    /// What was the image.
    Removing,
    /// A link that names what the image is to be called.
    Renaming,
    /// Nothing: only the image's attributes change, or it is read.
    Marking,
    /// Nothing: settings are copied for an image that is about to appear.
    Cloning,
}

impl Work {
    const ALL: [Self; 5] = [
        Self::Removing,
        Self::Renaming,
        Self::Marking,
        Self::Cloning,
        Self::Making,
    ];

    /// No machine's name has a colon: these cannot be taken for images being made.
    fn prefix(self) -> &'static str {
        match self {
            Self::Making => "",
            Self::Removing => "removed:",
            Self::Renaming => "renamed:",
            Self::Marking => "marked:",
            Self::Cloning => "cloned:",
        }
    }
}

/// `.#`, the work, the image's name and 16 digits. The lock file is made before what it
/// stands for and removed after it, so that whatever is killed in between, the next sweep
/// finds a free lock.
#[derive(Debug)]
pub(super) struct Hidden {
    name: String,
    lock: LockFile,
}

impl Hidden {
    /// A name that nobody has. Nothing but its lock file is made.
    pub(super) fn claim(root: &ImageRoot, work: Work, image: &str) -> Result<Self> {
        let what = || format!("take a hidden name in {}", root.path().display());
        loop {
            let mut random = [0; DIGITS / 2];
            getrandom(&mut random, GetRandomFlags::empty()).cannot(what)?;
            let random = u64::from_ne_bytes(random);
            let base = format!("{}{image}{random:016x}", work.prefix());
            let path = root.path().join(lock_name(&base));
            if let Some(lock) = LockFile::take(&path, Mode::Exclusive).cannot(what)? {
                let name = format!(".#{base}");
                return Ok(Self { name, lock });
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn lock(&self) -> &LockFile {
        &self.lock
    }
}

/// Work that nobody does any more, its lock held.
#[derive(Debug)]
pub(super) struct Abandoned {
    pub(super) work: Work,
    pub(super) image: ImageName,
    pub(super) hidden: Hidden,
}

impl Abandoned {
    /// All in an image root. What cannot be locked is under way, or no lock file of ours.
    pub(super) fn all(root: &ImageRoot) -> Result<Vec<Self>> {
        let bases = bases(root)?;
        let locked = bases.into_iter().filter_map(|base| {
            let (work, image) = parse(&base)?;
            let path = root.path().join(lock_name(&base));
            let lock = LockFile::take_existing(&path, Mode::Exclusive).ok()??;
            let name = format!(".#{base}");
            let hidden = Hidden { name, lock };
            Some(Self {
                work,
                image,
                hidden,
            })
        });
        Ok(locked.collect())
    }
}

fn bases(root: &ImageRoot) -> Result<Vec<String>> {
    let what = || format!("read image root {}", root.path().display());
    let mut bases = Vec::new();
    for entry in Dir::read_from(root.as_fd()).cannot(what)? {
        let entry = entry.cannot(what)?;
        let name = entry.file_name().to_str().unwrap_or_default();
        let base = name.strip_prefix(".#").and_then(|n| n.strip_suffix(".lck"));
        bases.extend(base.map(str::to_owned));
    }
    Ok(bases)
}

/// The work and the image that a hidden name stands for.
fn parse(base: &str) -> Option<(Work, ImageName)> {
    let (front, random) = base.split_at_checked(base.len().checked_sub(DIGITS)?)?;
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if !random.bytes().all(digit) {
        return None;
    }
    let parts = |work: Work| Some((work, front.strip_prefix(work.prefix())?));
    let (work, image) = Work::ALL.into_iter().find_map(parts)?;
    let image = match work {
        Work::Making | Work::Cloning => ImageName::of_new(image),
        _ => image.parse(),
    };
    Some((work, image.ok()?))
}

/// The name of the lock file that nspawn and machined take for the image `name`.
pub(super) fn lock_name(name: &str) -> String {
    format!(".#{name}.lck")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_names() {
        for (base, work, image) in [
            ("web0123456789abcdef", Work::Making, "web"),
            (".web0123456789abcdef", Work::Making, ".web"),
            ("removed:my_web0123456789abcdef", Work::Removing, "my_web"),
            ("renamed:web0123456789abcdef", Work::Renaming, "web"),
        ] {
            assert_eq!(parse(base), Some((work, image.parse().unwrap())));
        }
        for other in [
            "0123456789abcdef",
            "web0123456789abcdeF",
            "web",
            "..0123456789abcdef",
            "other:web0123456789abcdef",
            "removed:0123456789abcdef",
            "",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
