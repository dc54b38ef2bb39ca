//! Finds images by name where machined looks for them.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::dirs::{Dirs, IMAGE_ROOT};
use crate::error::{Error, Kind, Result};
use crate::name::MachineName;
use crate::suggest::nearest;

/// Where machined looks besides [`IMAGE_ROOT`]: before it and after it.
const BEFORE: [&str; 2] = ["/etc/machines", "/run/machines"];
const AFTER: [&str; 3] = [
    "/var/lib/container",
    "/usr/local/lib/machines",
    "/usr/lib/machines",
];

/// What form an image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// A directory that holds the tree.
    Directory,
    /// `NAME.raw`, a disk image in a file.
    Raw,
    /// A block device.
    Block,
    /// `NAME.mstack`, a stack of layers.
    Stack,
    /// `NAME.v`, a directory of versions to pick from.
    Versions,
}

impl ImageKind {
    /// Its name in lists, as machined has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Raw => "raw",
            Self::Block => "block",
            Self::Stack => "mstack",
            Self::Versions => "versions",
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Directory => "a directory",
            Self::Raw => "a raw disk image",
            Self::Block => "a block device",
            Self::Stack => "a stack of layers (.mstack)",
            Self::Versions => "a directory of versions (.v)",
        }
    }
}

/// An image that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Where it is. The last component may be a symbolic link.
    pub path: PathBuf,
    /// What form it has.
    pub kind: ImageKind,
}

impl Image {
    /// The path of the image's tree.
    ///
    /// # Errors
    /// [`Kind::BadInput`] if the image is no directory: other forms are not supported.
    pub fn tree(&self) -> Result<&Path> {
        if self.kind == ImageKind::Directory {
            return Ok(&self.path);
        }
        let what = format!(
            "image {} is {}, and only directories are supported",
            self.path.display(),
            self.kind.text()
        );
        Err(Error::new(Kind::BadInput, what))
    }
}

/// The directories that are searched, in order: all of machined's, or the image root
/// alone if it is not the usual one.
#[must_use]
pub fn search_path(dirs: &Dirs) -> Vec<PathBuf> {
    let root = dirs.image_root();
    if root != Path::new(IMAGE_ROOT) {
        return vec![root.to_owned()];
    }
    let all = BEFORE.into_iter().chain([IMAGE_ROOT]).chain(AFTER);
    all.map(PathBuf::from).collect()
}

/// Finds the image `name`; the first directory that has it wins.
///
/// # Errors
/// [`Kind::NotFound`] if none has it.
pub fn find(dirs: &Dirs, name: &MachineName) -> Result<Image> {
    find_named(dirs, name.as_str())
}

/// Finds an image that need not have a machine's name.
pub(super) fn find_named(dirs: &Dirs, name: &str) -> Result<Image> {
    let path = search_path(dirs);
    if let Some(image) = path.iter().find_map(|dir| find_in(dir, name)) {
        return Ok(image);
    }
    let places: Vec<_> = path.iter().map(|dir| dir.display().to_string()).collect();
    let what = format!("no image {name} in {}", places.join(", "));
    let error = Error::new(Kind::NotFound, what);
    Err(match similar(&path, name) {
        Some(other) => error.hint(format!("did you mean {other}?")),
        None => error,
    })
}

/// The name of an image that was probably meant by `name`.
fn similar(path: &[PathBuf], name: &str) -> Option<String> {
    let entries = path.iter().filter_map(|dir| std::fs::read_dir(dir).ok());
    let names = entries.flatten().flatten().map(|entry| entry.file_name());
    let names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    let shown = names
        .iter()
        .map(|name| name.strip_suffix(".raw").unwrap_or(name));
    let shown = shown.filter(|name| !name.starts_with('.'));
    nearest(name, shown).map(str::to_owned)
}

/// Finds the image `name` in one directory. A directory is preferred, since it is what
/// can be booted.
pub(super) fn find_in(dir: &Path, name: &str) -> Option<Image> {
    let plain = dir.join(name);
    let plain_kind = match std::fs::metadata(&plain) {
        Ok(found) if found.is_dir() => Some(ImageKind::Directory),
        Ok(found) if found.file_type().is_block_device() => Some(ImageKind::Block),
        _ => None,
    };
    if let Some(kind) = plain_kind {
        return Some(Image { path: plain, kind });
    }
    [
        ("raw", ImageKind::Raw),
        ("mstack", ImageKind::Stack),
        ("v", ImageKind::Versions),
        ("raw.v", ImageKind::Versions),
    ]
    .into_iter()
    .map(|(suffix, kind)| (dir.join(format!("{name}.{suffix}")), kind))
    .find(|(path, kind)| {
        let must_be_file = *kind == ImageKind::Raw;
        std::fs::metadata(path).is_ok_and(|found| found.is_file() == must_be_file)
    })
    .map(|(path, kind)| Image { path, kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn directories_files_and_links_to_them_are_images() {
        let root = tempfile::tempdir().unwrap();
        let dirs = Dirs::new(Some(root.path()), None);
        fs::create_dir(root.path().join("web")).unwrap();
        fs::write(root.path().join("disk.raw"), "").unwrap();
        fs::write(root.path().join("plain"), "").unwrap();
        fs::create_dir(root.path().join("many.v")).unwrap();
        std::os::unix::fs::symlink("web", root.path().join("link")).unwrap();
        let kind = |n| find_named(&dirs, n).map(|image| image.kind).ok();
        assert_eq!(kind("web"), Some(ImageKind::Directory));
        assert_eq!(kind("link"), Some(ImageKind::Directory));
        assert_eq!(kind("disk"), Some(ImageKind::Raw));
        assert_eq!(kind("many"), Some(ImageKind::Versions));
        assert_eq!(kind("plain"), None);
    }

    #[test]
    fn what_cannot_be_booted_is_refused_with_the_reason() {
        let root = tempfile::tempdir().unwrap();
        let dirs = Dirs::new(Some(root.path()), None);
        fs::write(root.path().join("disk.raw"), "").unwrap();
        let error = find_named(&dirs, "disk").unwrap().tree().unwrap_err();
        assert_eq!(error.kind(), Kind::BadInput);
        assert!(error.to_string().contains("a raw disk image"), "{error}");
        fs::create_dir(root.path().join("disk")).unwrap();
        assert!(find_named(&dirs, "disk").unwrap().tree().is_ok());
    }

    #[test]
    fn a_misspelt_name_is_answered_with_the_likely_one() {
        let root = tempfile::tempdir().unwrap();
        let dirs = Dirs::new(Some(root.path()), None);
        for name in ["trixie", ".#secret", "other.raw"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let advice = |name| {
            let error = find_named(&dirs, name).unwrap_err();
            error.advice().map(str::to_owned)
        };
        assert_eq!(advice("trixe").as_deref(), Some("did you mean trixie?"));
        assert_eq!(advice("ohter").as_deref(), Some("did you mean other?"));
        assert_eq!(advice("something"), None);
        assert_eq!(advice("secret"), None);
    }

    #[test]
    fn a_missing_image_names_where_it_was_sought() {
        let root = tempfile::tempdir().unwrap();
        let dirs = Dirs::new(Some(root.path()), None);
        let error = find_named(&dirs, "web").unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        let expected = format!("no image web in {}", root.path().display());
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn the_usual_root_is_searched_with_its_neighbours_in_machineds_order() {
        let path = search_path(&Dirs::default());
        assert_eq!(path[0], Path::new("/etc/machines"));
        assert_eq!(path[2], Path::new("/var/lib/machines"));
        assert_eq!(path.len(), 6);
        let own = Dirs::new(Some(Path::new("/own")), None);
        assert_eq!(search_path(&own), [Path::new("/own")]);
    }
}
