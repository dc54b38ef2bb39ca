//! A settings file while it is edited: a copy beside it, which takes its place when it is right.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::files::{SearchPath, administrators_file};
use super::read::Collected;
use crate::error::{Context, Error, Kind, Result};
use crate::lock::make_dir;
use crate::name::MachineName;

/// A file's content before and after, with the copy in between.
#[derive(Debug)]
pub struct Draft {
    /// What is to be replaced, or made.
    target: PathBuf,
    /// The copy.
    path: PathBuf,
    /// What the target held when the draft was opened; `None` without the target.
    original: Option<Vec<u8>>,
    /// What the copy held.
    initial: Vec<u8>,
    resumed: bool,
}

impl Draft {
    /// Copies the machine's file: the administrator's where it is, one beside the image to the
    /// administrator's directory, and none at all as a comment. A draft that was left is taken up.
    ///
    /// # Errors
    /// [`Kind::Busy`] if the file is a link and so is kept elsewhere; otherwise if a file cannot be
    /// read or made.
    pub fn open(search: &SearchPath, machine: &MachineName) -> Result<Self> {
        let found = search.find(machine.as_str())?;
        let name = format!("{machine}.nspawn");
        let file = found
            .files
            .into_iter()
            .find(|file| file.path.ends_with(&name));
        let target = match &file {
            Some(file) if file.trusted => file.path.clone(),
            _ => lasting(search)?.join(&name),
        };
        not_a_link(&target)?;
        let original = file.as_ref().filter(|file| file.trusted);
        let original = original.map(|file| file.content.clone());
        let content = file.map_or_else(|| template(machine), |file| file.content);
        Self::copy(target, original, content)
    }

    /// The same for a drop-in that has this name, with or without `.conf`.
    ///
    /// # Errors
    /// [`Kind::Usage`] if no drop-in can have the name; otherwise as [`Self::open`].
    pub fn open_drop_in(search: &SearchPath, machine: &MachineName, name: &str) -> Result<Self> {
        let base = name.strip_suffix(".conf").unwrap_or(name);
        if base.is_empty() || base.starts_with('.') || base.contains(['/', '\0']) {
            let what = format!("invalid name of a drop-in '{}'", name.escape_debug());
            return Err(Error::new(Kind::Usage, what).hint("for example --drop-in=local"));
        }
        let dir = lasting(search)?.join(format!("{machine}.nspawn.d"));
        let target = dir.join(format!("{base}.conf"));
        not_a_link(&target)?;
        let original = read(&target)?;
        let content = original.clone().unwrap_or_else(|| template(machine));
        Self::copy(target, original, content)
    }

    fn copy(target: PathBuf, original: Option<Vec<u8>>, content: Vec<u8>) -> Result<Self> {
        let path = beside(&target);
        let dir = path.parent().unwrap_or(&path);
        make_dir(dir, 0o755).cannot(|| format!("make directory {}", dir.display()))?;
        let mut draft = Self {
            target,
            path,
            original,
            initial: content,
            resumed: false,
        };
        let mut options = OpenOptions::new();
        match options
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&draft.path)
        {
            Ok(mut file) => {
                if let Err(error) = file.write_all(&draft.initial) {
                    let _ = std::fs::remove_file(&draft.path);
                    return Err(error).cannot(|| format!("write {}", draft.path.display()));
                }
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => draft.resumed = true,
            Err(error) => {
                return Err(error).cannot(|| format!("make {}", draft.path.display()));
            }
        }
        Ok(draft)
    }

    /// Where the copy is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it will replace.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Whether it was left by an earlier edit.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Replaces the copy's content.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn write_from(&self, input: &mut dyn Read) -> Result<()> {
        let copied = File::create(&self.path).and_then(|mut file| std::io::copy(input, &mut file));
        copied
            .map(|_| ())
            .cannot(|| format!("write {}", self.path.display()))
    }

    /// Reads the copy as it is now; `None` if it says what the file says, or nothing.
    ///
    /// # Errors
    /// If it is no plain file of root's.
    pub fn check(&self) -> Result<Option<Collected>> {
        let content = self.content()?;
        let same = self.original.as_ref() == Some(&content)
            || (!self.resumed && content == self.initial && self.original.is_none());
        if same || content.trim_ascii().is_empty() {
            return Ok(None);
        }
        let mut all = Collected::default();
        all.read(&self.path, &content, true);
        Ok(Some(all))
    }

    fn content(&self) -> Result<Vec<u8>> {
        match read(&self.path)? {
            Some(content) => Ok(content),
            None => {
                let what = format!("cannot open {}: it is gone", self.path.display());
                Err(Error::new(Kind::Failed, what))
            }
        }
    }

    /// Puts the copy into the file's place.
    ///
    /// # Errors
    /// [`Kind::Busy`] if the file was changed meanwhile; the copy is kept, as after other failures.
    pub fn save(self) -> Result<PathBuf> {
        if read(&self.target)? != self.original {
            let what = format!("{} was changed by somebody else", self.target.display());
            return Err(Error::new(Kind::Busy, what)
                .hint(format!("compare it with the draft {}", self.path.display())));
        }
        let renamed = File::open(&self.path).and_then(|file| {
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.sync_all()?;
            std::fs::rename(&self.path, &self.target)
        });
        renamed.cannot(|| format!("write {}", self.target.display()))?;
        Ok(self.target)
    }

    /// Removes the copy.
    ///
    /// # Errors
    /// If that fails.
    pub fn discard(self) -> Result<()> {
        std::fs::remove_file(&self.path).cannot(|| format!("remove {}", self.path.display()))
    }
}

/// The content of a file, if it exists and is root's.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(None);
    };
    let file = administrators_file(dir, name)?;
    Ok(file.map(|file| file.content))
}

/// The draft of a file: hidden, and with a name that the search for settings passes over.
fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default();
    let mut draft = OsString::from(".");
    draft.push(name);
    draft.push(".draft");
    target.with_file_name(draft)
}

/// The administrator's directory that outlives a boot.
fn lasting(search: &SearchPath) -> Result<&Path> {
    let dir = search.administrators.first();
    dir.map(PathBuf::as_path)
        .ok_or_else(|| Error::new(Kind::Failed, "there is no directory for settings"))
}

/// A link leads to a file that something else makes, such as a NixOS generation.
fn not_a_link(target: &Path) -> Result<()> {
    let Ok(elsewhere) = std::fs::read_link(target) else {
        return Ok(());
    };
    let what = format!(
        "cannot edit {}: it is a link to {}",
        target.display(),
        elsewhere.display()
    );
    let hint = "change it where it is made, or add to it with --drop-in=NAME";
    Err(Error::new(Kind::Busy, what).hint(hint))
}

fn template(machine: &MachineName) -> Vec<u8> {
    let text = format!(
        "# Settings of {machine}, for nsrun and systemd-nspawn.\n\
         # nsrun-settings(5) and systemd.nspawn(5) describe the keys.\n"
    );
    text.into_bytes()
}

#[cfg(test)]
mod tests;
