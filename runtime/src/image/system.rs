//! Images of systems whose programs stay in a Nix store of the host's.
//!
//! Such an image holds the machine's state and links to its system; the store is mounted when it
//! starts. NixOS makes all other files when it is activated.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, chmodat, mkdirat, openat2, readlinkat, renameat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::lookup::{self, ImageKind};
use super::name::ImageName;
use super::root::ImageRoot;
use super::staging::Staging;
use super::subject::{Claim, Found};
use super::sweep::sweep;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;
use crate::plan::mounts::NIX_STORE;

/// Directories of an image, with their modes.
const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc", 0o755),
    ("nix", 0o755),
    ("nix/store", 0o755),
    ("nix/var", 0o755),
    ("nix/var/nix", 0o755),
    ("nix/var/nix/daemon-socket", 0o755),
    ("nix/var/nix/db", 0o755),
    ("nix/var/nix/gcroots", 0o755),
    ("nix/var/nix/profiles", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("var", 0o755),
    ("var/lib", 0o755),
    ("var/lib/private", 0o700),
];

/// Where the link to the system is.
const PROFILES: &str = "nix/var/nix/profiles";
const PROFILE: &str = "system";
/// The name of the next link until it takes the place of the one before.
const NEXT: &str = ".system.next";

/// A system in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    store: PathBuf,
    /// Its name in the store.
    name: String,
}

impl System {
    /// Finds the system that `path` is or links to.
    ///
    /// # Errors
    /// [`Kind::NotFound`] without it; [`Kind::BadInput`] if it is no system, or in no store.
    pub fn find(path: &Path) -> Result<Self> {
        let what = || format!("use the system {}", path.display());
        #[expect(
            clippy::disallowed_methods,
            reason = "the path is the user's, and on the host"
        )]
        let found = std::fs::canonicalize(path).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => Kind::NotFound,
                _ => Kind::Failed,
            };
            Error::new(kind, format!("cannot {}", what())).because(error)
        })?;
        let system = Self::of_path(&found).cannot(what)?;
        let is_there = |file| found.join(file).symlink_metadata().is_ok();
        if !is_there("init") && !is_there("prepare-root") {
            return Err(Error::new(Kind::BadInput, "it has no init"))
                .cannot(what)
                .map_err(|error| error.hint("a system is what `nixos-rebuild build` makes"));
        }
        Ok(system)
    }

    /// A path that ends in `nix/store` and one name.
    fn of_path(path: &Path) -> Result<Self> {
        let (store, name) = (path.parent(), path.file_name());
        match (store, name.and_then(OsStr::to_str)) {
            (Some(store), Some(name)) if store.ends_with(&NIX_STORE[1..]) => Ok(Self {
                store: store.to_owned(),
                name: name.to_owned(),
            }),
            _ => {
                let what = format!("{} is not directly in a Nix store", path.display());
                Err(Error::new(Kind::BadInput, what))
            }
        }
    }

    /// The directory to be mounted on `/nix/store`.
    #[must_use]
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// The host name in a name like `HASH-nixos-system-HOST-VERSION`.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it has none.
    pub fn machine(&self) -> Result<MachineName> {
        let host = self.name.split_once("-nixos-system-").map(|(_, rest)| rest);
        let host = host.map(|rest| {
            let digit = |at: &usize| rest[at + 1..].starts_with(|c: char| c.is_ascii_digit());
            let mut hyphens = rest.match_indices('-').map(|(at, _)| at);
            hyphens.rfind(digit).map_or(rest, |at| &rest[..at])
        });
        host.and_then(MachineName::cleaned).ok_or_else(|| {
            let what = format!("{} tells no name for the machine", self.name);
            Error::new(Kind::Usage, what).hint("name it: nsrun boot --system PATH NAME")
        })
    }

    /// Its path inside the machine.
    fn inside(&self) -> String {
        format!("{NIX_STORE}/{}", self.name)
    }

    /// The directory in which its store's garbage collector looks for what is in use.
    fn roots(&self) -> Option<PathBuf> {
        let nix = self.store.parent()?;
        Some(nix.join("var/nix/gcroots/auto"))
    }
}

/// What became of an image that is to have a system.
#[derive(Debug)]
pub struct Prepared {
    /// The image's directory.
    pub path: PathBuf,
    /// Why the store's garbage collector does not know that the system is in use.
    pub unprotected: Option<Error>,
}

/// Gives the image `name` the system; makes the image if there is none.
///
/// # Errors
/// [`Kind::Busy`] if the image is in use and has another system; [`Kind::BadInput`] if it has a
/// store of its own.
pub fn prepare(dirs: &Dirs, name: &MachineName, system: &System) -> Result<Prepared> {
    let what = || format!("give image {name} the system {}", system.inside());
    let path = match lookup::find(dirs, name) {
        Ok(image) if image.kind != ImageKind::Directory => {
            Err(Error::new(Kind::BadInput, "it is no directory"))
        }
        Ok(image) => renew(dirs, name, &image.path, system).map(|()| image.path),
        Err(error) if error.kind() == Kind::NotFound => make(dirs, name, system),
        Err(error) => Err(error),
    };
    let path = path.cannot(what)?;
    let unprotected = protect(&path, system).err();
    Ok(Prepared { path, unprotected })
}

fn make(dirs: &Dirs, name: &MachineName, system: &System) -> Result<PathBuf> {
    let root = ImageRoot::open(dirs.image_root())?;
    sweep(dirs)?;
    let staging = Staging::new(&root, name.as_str())?;
    let _claim = Claim::take(dirs, &root, &ImageName::of_new(name.as_str())?)?;
    fill(&staging, system).cannot(|| "make its directories")?;
    staging.publish(name.as_str(), None, true)?;
    Ok(root.path().join(name.as_str()))
}

fn fill(staging: &Staging<'_>, system: &System) -> Result<(), Errno> {
    let top = staging.dir();
    chmodat(top, c".", Mode::from_raw_mode(0o755), AtFlags::empty())?;
    for (path, mode) in DIRECTORIES {
        let mode = Mode::from_raw_mode(*mode);
        mkdirat(top, *path, mode)?;
        // Whatever the umask is.
        chmodat(top, *path, mode, AtFlags::empty())?;
    }
    symlinkat(system.inside(), top, format!("{PROFILES}/{PROFILE}"))?;
    // Until NixOS makes its own.
    let release = format!("/{PROFILES}/{PROFILE}/etc/os-release");
    symlinkat(release, top, "etc/os-release")?;
    symlinkat(format!("/{PROFILES}/{PROFILE}/init"), top, "sbin/init")
}

/// Replaces the link of an image that was made like this.
fn renew(dirs: &Dirs, name: &MachineName, path: &Path, system: &System) -> Result<()> {
    let profiles = open_inside(path, PROFILES);
    let link = profiles.as_ref().ok().and_then(link_of);
    match (profiles, link) {
        (_, Some(link)) if link == system.inside() => Ok(()),
        (Ok(profiles), Some(link)) if link.starts_with(NIX_STORE) && !has_store(path) => {
            let found = Found::find(dirs, &ImageName::of_new(name.as_str())?)?;
            let _lock = found.lock()?;
            relink(profiles.as_fd(), &system.inside()).cannot(|| "replace its link")
        }
        _ => {
            let what = "it is there already, and has a system of its own";
            Err(Error::new(Kind::BadInput, what)
                .hint("name another one: nsrun boot --system PATH NAME"))
        }
    }
}

fn open_inside(path: &Path, below: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let image = rustix::fs::open(path, flags, Mode::empty())?;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(image, below, flags, Mode::empty(), how)
}

fn link_of(profiles: &OwnedFd) -> Option<String> {
    let target = readlinkat(profiles, PROFILE, Vec::new()).ok()?;
    target.into_string().ok()
}

fn has_store(path: &Path) -> bool {
    let store = open_inside(path, &NIX_STORE[1..]);
    let entries = store.and_then(rustix::fs::Dir::new);
    entries.is_ok_and(|entries| entries.flatten().count() > 2)
}

fn relink(directory: impl AsFd, target: &str) -> rustix::io::Result<()> {
    let directory = directory.as_fd();
    match unlinkat(directory, NEXT, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    symlinkat(target, directory, NEXT)?;
    renameat(directory, NEXT, directory, PROFILE)
}

/// Has the garbage collector follow the image's link. It forgets the root by itself when the image
/// is gone; nix-store(1), `--add-root`.
fn protect(image: &Path, system: &System) -> Result<()> {
    let Some(roots) = system.roots().filter(|roots| roots.is_dir()) else {
        return Ok(());
    };
    let name = image.display().to_string().replace('/', "-");
    let root = roots.join(format!("nsrun{name}"));
    let link = image.join(PROFILES).join(PROFILE);
    if std::fs::read_link(&root).is_ok_and(|target| target == link) {
        return Ok(());
    }
    let made = unlinkat(CWD, &root, AtFlags::empty());
    match made {
        Ok(()) | Err(Errno::NOENT) => symlinkat(&link, CWD, &root),
        Err(errno) => Err(errno),
    }
    .cannot(|| format!("make the garbage collector's root {}", root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(name: &str) -> System {
        System::of_path(&Path::new("/nix/store").join(name)).unwrap()
    }

    #[test]
    fn the_machine_is_called_as_the_system() {
        let machine = |name: &str| system(name).machine().map(|name| name.to_string()).ok();
        let of = |rest| machine(&format!("abc-nixos-system-{rest}"));
        assert_eq!(of("web-25.05.20250101.abcdef").as_deref(), Some("web"));
        assert_eq!(of("web-1-25.11pre-git").as_deref(), Some("web-1"));
        assert_eq!(of("mail").as_deref(), Some("mail"));
        assert_eq!(machine("abc-hello-2.12"), None);
    }

    #[test]
    fn a_store_may_be_anywhere_and_a_system_only_in_one() {
        let path = |path: &str| System::of_path(Path::new(path));
        let found = path("/srv/other/nix/store/abc-nixos-system-web-25.05").unwrap();
        assert_eq!(found.store(), Path::new("/srv/other/nix/store"));
        assert_eq!(found.inside(), "/nix/store/abc-nixos-system-web-25.05");
        for wrong in [
            "/",
            "/nix/store",
            "/nix/store/abc-x/bin",
            "/srv/abc-nixos-system-web-1",
        ] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }
}
