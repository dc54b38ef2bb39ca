//! Which files speak for a machine, and whether they may.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open, openat};
use rustix::io::Errno;

use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::image::lookup;
use crate::name::MachineName;

/// The administrator's directories; the first one that has a file or drop-in wins.
const ADMINISTRATORS: [&str; 2] = ["/etc/systemd/nspawn", "/run/systemd/nspawn"];

/// Longest file in bytes: no more than one line may have.
const LONGEST: u64 = 1 << 20;

/// Where files are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPath {
    pub(super) administrators: Vec<PathBuf>,
    pub(super) beside: Option<PathBuf>,
}

impl SearchPath {
    /// The directories of systemd, then the one that holds the image.
    #[must_use]
    pub fn beside(image: &Path) -> Self {
        Self {
            administrators: ADMINISTRATORS.map(PathBuf::from).to_vec(),
            beside: image.parent().map(Path::to_owned),
        }
    }

    /// The same for an image that is found by name, and need not exist.
    #[must_use]
    pub fn of(dirs: &Dirs, machine: &MachineName) -> Self {
        match lookup::find(dirs, machine) {
            Ok(image) => Self::beside(&image.path),
            Err(_) => Self::beside(&dirs.image_root().join(machine.as_str())),
        }
    }

    /// Finds a machine's file and drop-ins, in the order of reading.
    ///
    /// # Errors
    /// [`Kind::BadInput`] if others than root could have written one of the administrator's;
    /// [`Kind::Failed`] if one cannot be read.
    pub fn find(&self, machine: &str) -> Result<Found> {
        let mut found = Found::default();
        let name = format!("{machine}.nspawn");
        for dir in &self.administrators {
            if let Some(file) = administrators_file(dir, OsStr::new(&name))? {
                found.files.push(file);
                break;
            }
        }
        if found.files.is_empty()
            && let Some(dir) = &self.beside
        {
            match images_file(dir, OsStr::new(&name)) {
                Ok(file) => found.files.extend(file),
                Err(why) => found.skipped.push(why.to_string()),
            }
        }
        found.files.extend(self.drop_ins(&format!("{name}.d"))?);
        Ok(found)
    }

    /// Drop-ins of all directories by the order of their names; of several with one name the first
    /// directory's counts.
    fn drop_ins(&self, directory: &str) -> Result<Vec<SettingsFile>> {
        let mut places = std::collections::BTreeMap::new();
        for dir in self.administrators.iter().map(|dir| dir.join(directory)) {
            for name in names(&dir)? {
                places.entry(name).or_insert_with(|| dir.clone());
            }
        }
        let files = places
            .iter()
            .map(|(name, dir)| administrators_file(dir, name));
        files.filter_map(Result::transpose).collect()
    }
}

/// The files of a machine.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// In the order of reading.
    pub files: Vec<SettingsFile>,
    /// Why files beside the image were passed over.
    pub skipped: Vec<String>,
}

/// A file and its content.
#[derive(Clone, Debug)]
pub struct SettingsFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub content: Vec<u8>,
    /// It is the administrator's.
    pub trusted: bool,
}

/// Names of drop-ins in a directory that may be missing.
fn names(dir: &Path) -> Result<Vec<std::ffi::OsString>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).cannot(|| format!("list {}", dir.display())),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry
            .cannot(|| format!("list {}", dir.display()))?
            .file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if !hidden && Path::new(&name).extension() == Some(OsStr::new("conf")) {
            names.push(name);
        }
    }
    Ok(names)
}

/// A file that is believed. Links are followed: on NixOS they lead to the store.
pub(super) fn administrators_file(dir: &Path, name: &OsStr) -> Result<Option<SettingsFile>> {
    let Some(opened) = open_file(dir, name, OFlags::empty())? else {
        return Ok(None);
    };
    let path = dir.join(name);
    let refuse = |at: &Path, why: String| {
        let what = format!("cannot use settings of {}: {why}", path.display());
        let at = at.display();
        Error::new(Kind::BadInput, what).hint(format!("chown root:root {at}; chmod go-w {at}"))
    };
    for (at, stat) in [(dir, &opened.dir_stat), (&path, &opened.stat)] {
        if let Some(who) = foreign_writer(stat) {
            return Err(refuse(at, format!("{who} can change {}", at.display())));
        }
    }
    opened.read(path, true).map(Some)
}

/// A file that came with the image, or may have.
fn images_file(dir: &Path, name: &OsStr) -> Result<Option<SettingsFile>> {
    let Some(opened) = open_file(dir, name, OFlags::NOFOLLOW)? else {
        return Ok(None);
    };
    let path = dir.join(name);
    if let Some(who) = foreign_writer(&opened.stat) {
        let what = format!(
            "settings of {} are ignored: {who} can change the file",
            path.display()
        );
        return Err(Error::new(Kind::BadInput, what));
    }
    opened.read(path, false).map(Some)
}

struct Opened {
    file: OwnedFd,
    stat: Stat,
    dir_stat: Stat,
}

/// Opens a file in a directory; `None` if one of them is missing.
fn open_file(dir: &Path, name: &OsStr, how: OFlags) -> Result<Option<Opened>> {
    let path = || dir.join(name).display().to_string();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = match open(dir, flags, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error).cannot(|| format!("open {}", path())),
    };
    // A fifo that nobody writes to must not hold us up.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | how;
    let file = match openat(&dir, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error).cannot(|| format!("open {}", path())),
    };
    let look = |fd: &OwnedFd| fstat(fd).cannot(|| format!("look at {}", path()));
    Ok(Some(Opened {
        stat: look(&file)?,
        dir_stat: look(&dir)?,
        file,
    }))
}

impl Opened {
    fn read(self, path: PathBuf, trusted: bool) -> Result<SettingsFile> {
        let wrong = |what: &str| {
            let what = format!("cannot read settings from {}: {what}", path.display());
            Error::new(Kind::BadInput, what)
        };
        let mut content = Vec::new();
        if !is_null(&self.stat) {
            if !FileType::from_raw_mode(self.stat.st_mode).is_file() {
                return Err(wrong("it is no regular file"));
            }
            let file = File::from(self.file);
            let read = file.take(LONGEST + 1).read_to_end(&mut content);
            read.cannot(|| format!("read {}", path.display()))?;
        }
        if content.len() as u64 > LONGEST {
            return Err(wrong("it is longer than 1 MiB"));
        }
        Ok(SettingsFile {
            path,
            content,
            trusted,
        })
    }
}

/// Whether it is `/dev/null`: a link to it takes the place of a file and says nothing.
fn is_null(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_char_device()
        && (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        ) == (1, 3)
}

/// Who can change a file or directory besides root.
fn foreign_writer(stat: &Stat) -> Option<String> {
    if is_null(stat) {
        None
    } else if stat.st_uid != 0 {
        Some(format!("user {}", stat.st_uid))
    } else if stat.st_mode & 0o020 != 0 && stat.st_gid != 0 {
        Some(format!("group {}", stat.st_gid))
    } else if stat.st_mode & 0o002 != 0 {
        Some("everybody".into())
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
