//! Facts about an image. Its content is hostile: every path is resolved inside its root.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use super::accounts::{self, Account};
use super::composed::{self, Shown};
use super::program;
use crate::disk::Mounted;
use crate::error::{Context, Error, Kind, Result};
use crate::mountinfo;
use crate::plan::{Mode as Start, Request, parse_id};
use crate::within::open_within;

/// Longest file of an image that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

/// The profile that a NixOS image's init belongs to.
pub(super) const NIXOS_SYSTEM: &str = "nix/var/nix/profiles/system";

/// The image as planning sees it.
#[derive(Clone, Debug, Default)]
pub struct ImageFacts {
    /// Path of what is to be executed, inside the image.
    pub program: Option<String>,
    /// The user that the request names, if there is such.
    pub account: Option<Account>,
    /// Names that its users and groups have.
    pub account_names: HashSet<String>,
    /// Their numbers.
    pub account_ids: HashSet<u32>,
    /// Content of `/etc/machine-id`, if it is one.
    pub machine_id: Option<[u8; 16]>,
    /// Whether there is an os-release file.
    pub has_os_release: bool,
    /// Whether it is a NixOS system.
    pub is_nixos: bool,
    /// Whether it links to a NixOS system that is not there.
    pub lacks_its_system: bool,
    /// Whether it has the file that the host's time zone link would point to.
    pub zone_file: bool,
    /// Whether its mount forbids writing, programs, devices or the set-user-ID bit.
    pub is_restricted: bool,
    /// Whether its systemd cannot sandbox units without mounting a new /proc: version 247.
    pub needs_nesting: bool,
}

/// Where a root directory is.
#[derive(Debug)]
enum Top {
    /// On the host.
    Directory(OwnedFd),
    /// In the file system of a disk image.
    Disk(Mounted),
}

/// The root directory of an image.
#[derive(Debug)]
pub(crate) struct ImageRoot {
    top: Top,
    /// What will be mounted in it.
    mounts: Vec<Shown>,
}

impl ImageRoot {
    /// Opens the directory on the host.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
            .map(Self::of)
            .map_err(|errno| {
                let kind = match errno {
                    Errno::NOENT => Kind::NotFound,
                    Errno::NOTDIR => Kind::BadInput,
                    _ => Kind::Failed,
                };
                let what = format!("cannot open image {}", path.display());
                Error::new(kind, what).because(std::io::Error::from(errno))
            })
    }

    /// Has paths lead into what the host has at `source`, where it will be mounted.
    pub(crate) fn show(&mut self, target: &str, source: &Path) {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        if let Ok(source) = rustix::fs::open(source, flags, Mode::empty()) {
            self.mounts.push(Shown::new(target, source));
        }
    }

    /// The directory at a path inside, as a root of its own.
    ///
    /// # Errors
    /// [`Kind::BadInput`] if there is none.
    pub(crate) fn directory(&self, path: &str) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = self.resolve(path, flags).map(Self::of);
        opened.map_err(|errno| {
            let what = format!("cannot open {} in the image", path.escape_debug());
            Error::new(Kind::BadInput, what).because(std::io::Error::from(errno))
        })
    }

    fn of(directory: OwnedFd) -> Self {
        Self {
            top: Top::Directory(directory),
            mounts: Vec::new(),
        }
    }

    /// That of a disk image.
    pub(crate) fn of_disk(disk: Mounted) -> Self {
        Self {
            top: Top::Disk(disk),
            mounts: Vec::new(),
        }
    }

    /// User and group that own the directory.
    pub(crate) fn owner(&self) -> Result<(u32, u32)> {
        let stat = rustix::fs::fstat(self).cannot(|| "look at the root directory")?;
        Ok((stat.st_uid, stat.st_gid))
    }

    /// Another mount of it, with those in it if `recursive`, that is attached nowhere.
    pub(crate) fn mount(&self, recursive: bool) -> Result<OwnedFd> {
        let what = || "clone the mount of the image";
        match &self.top {
            Top::Directory(fd) => {
                let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
                    | OpenTreeFlags::OPEN_TREE_CLOEXEC
                    | OpenTreeFlags::AT_EMPTY_PATH;
                flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
                rustix::mount::open_tree(fd, c"", flags).cannot(what)
            }
            // Nothing is mounted in it.
            Top::Disk(disk) => disk.again().cannot(what),
        }
    }

    /// Whether it is in a disk image.
    pub(crate) fn is_disk(&self) -> bool {
        matches!(self.top, Top::Disk(_))
    }

    /// The kind of its file system.
    pub(crate) fn file_system(&self) -> Option<String> {
        match &self.top {
            Top::Directory(fd) => mountinfo::file_system(fd.as_fd()),
            Top::Disk(disk) => Some(disk.file_system().to_string()),
        }
    }

    /// Whether its mount has attributes that restrict what can be done in it.
    fn is_restricted(&self) -> bool {
        let restrictions = StatVfsMountFlags::RDONLY
            | StatVfsMountFlags::NOSUID
            | StatVfsMountFlags::NODEV
            | StatVfsMountFlags::NOEXEC;
        rustix::fs::fstatvfs(self).is_ok_and(|stat| stat.f_flag.intersects(restrictions))
    }

    /// Opens a file inside, following links as the payload would, never out of the root.
    pub(crate) fn file(&self, path: &str) -> Result<OwnedFd, Errno> {
        // A fifo that nobody writes to must not hold us up.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.resolve(path, flags)?;
        match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(file),
            FileType::Directory => Err(Errno::ISDIR),
            _ => Err(Errno::INVAL),
        }
    }

    /// Opens whatever is there, for looking at and connecting only.
    pub(crate) fn place(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.resolve(path, OFlags::PATH | OFlags::CLOEXEC)
    }

    /// Whether something is there.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.place(path).is_ok()
    }

    /// Whether it is a NixOS system, or one runs in it.
    pub(crate) fn is_nixos(&self) -> bool {
        self.has(NIXOS_SYSTEM) || self.has("run/current-system")
    }

    fn lacks_its_system(&self) -> bool {
        let link = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.resolve(NIXOS_SYSTEM, link).is_ok() && !self.has(NIXOS_SYSTEM)
    }

    /// Whether a directory is there, not a link to one.
    pub(crate) fn is_directory(&self, name: &str) -> bool {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.resolve(name, flags).is_ok()
    }

    /// Names in a directory.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(directory) = self.resolve(path, flags) else {
            return Vec::new();
        };
        let Ok(entries) = rustix::fs::Dir::new(directory) else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    /// The beginning of a file that somebody may execute.
    pub(crate) fn executable(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let file = self.file(path)?;
        if rustix::fs::fstat(&file)?.st_mode & 0o111 == 0 {
            return Err(Errno::ACCESS);
        }
        beginning(file)
    }

    /// The beginning of a file.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, Errno> {
        beginning(self.file(path)?)
    }

    /// Opens what is at a path as the payload would find it, never out of the root.
    pub(crate) fn resolve(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        if self.mounts.is_empty() {
            open_within(self, path, flags)
        } else {
            composed::resolve(self.as_fd(), &self.mounts, path, flags)
        }
    }
}

fn beginning(file: OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut content = Vec::with_capacity(4096);
    File::from(file)
        .take(LONGEST)
        .read_to_end(&mut content)
        .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    Ok(content)
}

impl AsFd for ImageRoot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.top {
            Top::Directory(fd) => fd.as_fd(),
            Top::Disk(disk) => disk.as_fd(),
        }
    }
}

impl ImageFacts {
    /// Looks at the image that a request names. `zone` is a link below `/etc`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] without the directory; [`Kind::BadInput`] if its program cannot run.
    pub(crate) fn probe(request: &Request, root: &ImageRoot, zone: Option<&str>) -> Result<Self> {
        let mut facts = Self {
            machine_id: machine_id(root),
            has_os_release: root.has("etc/os-release") || root.has("usr/lib/os-release"),
            lacks_its_system: root.lacks_its_system(),
            is_nixos: root.is_nixos(),
            is_restricted: root.is_restricted(),
            zone_file: zone.is_some_and(|z| root.has(&format!("etc/{z}"))),
            needs_nesting: matches!(request.mode, Start::Boot { .. }) && has_systemd_247(root),
            account_names: HashSet::new(),
            account_ids: HashSet::new(),
            program: None,
            account: request.user.as_deref().and_then(|who| account(root, who)),
        };
        if !request.bound.names.is_empty() {
            (facts.account_names, facts.account_ids) = accounts(root);
        }
        facts.program = match &request.mode {
            Start::Boot { init, .. } => program::init(root, &request.root, init.as_deref())?,
            Start::Run { command, .. } => program::command(root, command, &facts),
        };
        Ok(facts)
    }
}

fn account(root: &ImageRoot, who: &str) -> Option<Account> {
    let [passwd, group] = account_files(root);
    accounts::find(&passwd, &group, who)
}

/// Names and numbers that are taken.
fn accounts(root: &ImageRoot) -> (HashSet<String>, HashSet<u32>) {
    let files = account_files(root);
    let lines = files.iter().flat_map(|text| text.lines());
    accounts::taken(lines)
}

fn account_files(root: &ImageRoot) -> [String; 2] {
    ["etc/passwd", "etc/group"].map(|path| {
        let content = root.read(path).unwrap_or_default();
        String::from_utf8_lossy(&content).into_owned()
    })
}

fn machine_id(root: &ImageRoot) -> Option<[u8; 16]> {
    let content = root.read("etc/machine-id").ok()?;
    parse_id(std::str::from_utf8(&content).ok()?.trim_end())
}

/// Version 247 gives up on a unit's sandbox if it may not mount a new /proc; others fall back.
fn has_systemd_247(root: &ImageRoot) -> bool {
    const LIBRARY: &str = "libsystemd-shared-247.so";
    let debian = ["usr/lib/systemd", "lib/systemd"];
    debian
        .iter()
        .any(|dir| root.has(&format!("{dir}/{LIBRARY}")))
        || root
            .names("nix/store")
            .iter()
            .any(|n| n.contains("-systemd-247"))
}
