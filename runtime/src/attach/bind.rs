//! Mounting what the host has into a running machine, and taking it off again.
//!
//! The tree is made as for a start. A process puts it into the machine's mount namespace: it has
//! no number in the machine, and is the machine's root before it looks at any path inside.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, StatxAttributes, StatxFlags, open, statx};
use rustix::io::Errno;

use super::entrance::Entrance;
use super::errand::{Errand, Failure};
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::facts::open_sources;
use crate::launch::live::{self, Live};
use crate::launch::wire::{self, Kind as Word, Message};
use crate::machine::Cgroups;
use crate::mountinfo;
use crate::name::MachineName;
use crate::plan::mounts::{Mount, Planned, Shape, arrange};
use crate::state::{Bind, Store};

/// What is to be mounted into a running machine.
#[derive(Clone, Debug)]
pub struct BindRequest {
    /// From [`Mount::live`].
    pub mount: Mount,
    /// The target is made if it is missing.
    pub mkdir: bool,
}

/// The steps in words, by the number that a failure is reported with.
const STEPS: [&str; 6] = [
    "shield the process from the machine",
    "lock the mount's attributes",
    "enter the namespaces of the machine",
    "find the place in the machine",
    "wait until the mount is noted",
    "mount it",
];

/// The step whose failure is that of the target.
const FIND: u32 = 3;

/// Mounts a file or directory of the host into a running machine.
///
/// # Errors
/// [`Kind::NotFound`] if the machine is not up, or the source or the target is not there;
/// [`Kind::BadInput`] if the one is a directory and the other is not, or for a device node;
/// [`Kind::HostLacks`] if the source's file system has no idmapped mounts.
pub fn bind(dirs: &Dirs, name: &MachineName, request: &BindRequest) -> Result<Bind> {
    let what = || format!("bind {} in {name}", request.mount.spelling);
    let store = Store::new(dirs, Arc::new(Cgroups::probe()?));
    let entrance = Entrance::find(&store, name)?;
    let mount = arrange(std::slice::from_ref(&request.mount))?.pop();
    let mount = mount.ok_or_else(|| Error::new(Kind::Failed, "there is nothing to mount"))?;
    put(&store, name, &entrance, mount, request.mkdir).cannot(what)
}

fn put(
    store: &Store,
    name: &MachineName,
    entrance: &Entrance,
    mount: Mount,
    mkdir: bool,
) -> Result<Bind> {
    let opened = open_sources(
        std::slice::from_ref(&mount),
        entrance.root(),
        entrance.root(),
    )?
    .pop();
    let missing = || Error::new(Kind::Usage, "it has no source on the host");
    let opened = opened.ok_or_else(missing)?;
    if opened.shape == Shape::File && !opened.nodes.is_empty() {
        return Err(Error::new(Kind::BadInput, "it is a device node").hint(
            "which devices a machine may use is settled when it starts: nsrun start --bind=NODE",
        ));
    }
    let (source, target) = (source_of(&mount), mount.target.clone());
    let read_only = mount.read_only;
    let planned = Planned {
        shape: opened.shape,
        mount,
    };
    let source_fd = opened.fd.ok_or_else(missing)?;
    let live = Live::new(
        &planned,
        mkdir,
        entrance.range(),
        source_fd,
        entrance.root(),
    );
    let live = live.map_err(of_ids)?;
    let errand = Errand::start(|control| mounting(entrance, &live, control))?;
    let tree = errand.ready().map_err(explain)?;
    let bind = Bind {
        source,
        target,
        read_only,
        mount: mountinfo::mount_id(tree.as_fd())
            .ok_or_else(|| Error::new(Kind::Failed, "cannot tell the number of the mount"))?,
        leader: *entrance.identity(),
    };
    store.note_bind(name, &bind)?;
    match errand.go_on() {
        Ok(()) => Ok(bind),
        Err(failure) => {
            store.forget_bind(name, bind.mount);
            Err(explain(failure))
        }
    }
}

fn source_of(mount: &Mount) -> String {
    let sources = mount.what.sources();
    sources.first().map(ToString::to_string).unwrap_or_default()
}

/// The hint of a start names options that this verb spells otherwise.
fn of_ids(error: Error) -> Error {
    if error.kind() != Kind::HostLacks {
        return error;
    }
    Error::new(Kind::HostLacks, error.to_string()).hint(
        "with --options=noidmap its files belong to nobody; norbind leaves out the mounts below",
    )
}

/// In the process that enters.
fn mounting(entrance: &Entrance, live: &Live, control: &OwnedFd) -> Result<(), Failure> {
    let at = |step: u32| move |errno: Errno| Failure { step, errno };
    entrance.shield().map_err(at(0))?;
    let tree = if entrance.range().is_some() {
        live.stage().map_err(at(1))?;
        entrance.enter_users().map_err(at(2))?;
        live.locked().map_err(at(1))?
    } else {
        live.plain().map_err(at(1))?
    };
    entrance.enter_mounts().map_err(at(2))?;
    entrance.become_root().map_err(at(2))?;
    let target = live.find().map_err(at(FIND))?;
    let ready = Message::plain(Word::Ready);
    wire::send(control.as_fd(), ready, &[tree.as_fd()]).map_err(at(4))?;
    match wire::receive(control.as_fd()).map_err(at(4))? {
        Some((message, _)) if message.kind == Word::Start => {}
        _ => return Err(at(4)(Errno::PIPE)),
    }
    live::mount(tree.as_fd(), target.as_fd()).map_err(at(5))
}

/// What a failure of the process that enters means.
fn explain(failure: Failure) -> Error {
    let step = usize::try_from(failure.step).ok();
    let step = step.and_then(|step| STEPS.get(step));
    let cause = std::io::Error::from(failure.errno);
    let error = Error::new(
        Kind::Failed,
        format!("cannot {}", step.unwrap_or(&"enter the machine")),
    )
    .because(cause);
    match (failure.step, failure.errno) {
        (FIND, Errno::NOENT) => error
            .kinded(Kind::NotFound)
            .hint("--mkdir makes it, a directory or an empty file"),
        (FIND, Errno::NOTDIR | Errno::ISDIR) => error
            .kinded(Kind::BadInput)
            .hint("a directory is mounted on a directory, anything else on a file"),
        _ => error,
    }
}

/// Takes off what [`bind`] has mounted at `target`, or with `force` whatever is mounted there. What
/// is open in it stays open until it is closed.
///
/// # Errors
/// [`Kind::NotFound`] if the machine is not up, or nothing of the kind is there.
pub fn unbind(dirs: &Dirs, name: &MachineName, target: &str, force: bool) -> Result<()> {
    let what = || format!("unbind {} in {name}", target.escape_debug());
    let store = Store::new(dirs, Arc::new(Cgroups::probe()?));
    let entrance = Entrance::find(&store, name)?;
    if !target.starts_with('/') || target.contains('\0') {
        return Err(Error::new(
            Kind::Usage,
            "the path in the machine is not absolute",
        ))
        .cannot(what);
    }
    take(&store, name, &entrance, target, force).cannot(what)
}

fn take(
    store: &Store,
    name: &MachineName,
    entrance: &Entrance,
    target: &str,
    force: bool,
) -> Result<()> {
    let at = entrance.root().place(target).map_err(|errno| {
        let kind = match errno {
            Errno::NOENT | Errno::NOTDIR => Kind::NotFound,
            _ => Kind::Failed,
        };
        Error::new(kind, "cannot find it").because(std::io::Error::from(errno))
    })?;
    let stat = statx(&at, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
    let stat = stat.cannot(|| "look at it")?;
    if !stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Err(Error::new(Kind::NotFound, "nothing is mounted there"));
    }
    let mount = mountinfo::mount_id(at.as_fd());
    let binds = store.binds(name, entrance.identity())?;
    let noted = binds.iter().find(|bind| Some(bind.mount) == mount);
    if noted.is_none() && !force {
        let what = "what is mounted there was not put there by nsrun bind";
        return Err(Error::new(Kind::NotFound, what).hint("--force unmounts it nevertheless"));
    }
    Errand::start(|_| unmounting(entrance, &at))?
        .done()
        .map_err(explain_unmounting)?;
    if let Some(bind) = noted {
        store.forget_bind(name, bind.mount);
    }
    Ok(())
}

/// In the process that enters.
fn unmounting(entrance: &Entrance, at: &OwnedFd) -> Result<(), Failure> {
    let step = |step: u32| move |errno: Errno| Failure { step, errno };
    entrance.shield().map_err(step(0))?;
    let fds = own_descriptors().map_err(step(0))?;
    entrance.enter_users().map_err(step(2))?;
    entrance.enter_mounts().map_err(step(2))?;
    live::detach(at.as_fd(), &fds).map_err(step(5))
}

/// `/proc/self/fd` of the host's procfs.
fn own_descriptors() -> rustix::io::Result<OwnedFd> {
    let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open("/proc/self/fd", how, Mode::empty())
}

fn explain_unmounting(failure: Failure) -> Error {
    let error = Error::new(Kind::Failed, "cannot unmount it");
    let error = error.because(std::io::Error::from(failure.errno));
    match failure.errno {
        Errno::INVAL => {
            error.hint("the kernel has locked it: it belongs to the machine's own mounts")
        }
        _ => error,
    }
}
