//! Starting a machine in the foreground and running it to its end, through its reboots.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::explain::prepare;
use super::host::Cgroups;
use super::root;
use super::run::Machine;
use crate::cgroup::{self, Scope};
use crate::device_policy::{DevicePolicy, Rule};
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::facts::ImageRoot;
use crate::launch;
use crate::lock::{ImageLocks, Mode};
use crate::plan::{Console, Plan, Request};
use crate::range::{PrivateUsers, Range, Ranges, owner_base};
use crate::state::{Claim, Identity, Incarnation, Item, PidFd, Record, Since, Store};
use crate::supervise::{ConsoleMode, Outcome, Session};

/// How long the processes of an ended machine may take to disappear.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a start is allowed to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartOptions {
    /// The root directory need not be root's.
    pub allow_unsafe_root: bool,
}

/// Starts the machine and returns when it has ended and nothing of it is left. `warn` is told
/// what is unusual but does not keep the machine from starting.
///
/// # Errors
/// [`Kind::Busy`] if the machine runs already or its image or ids are in use;
/// [`Kind::NotFound`] without the image; [`Kind::BadInput`] for an image that cannot start;
/// [`Kind::HostLacks`] if the host cannot run it. Nothing is left of the attempt.
pub fn start(
    request: &Request,
    dirs: &Dirs,
    options: StartOptions,
    warn: &mut dyn FnMut(&str),
) -> Result<Outcome> {
    let (root, plan) = prepare(request)?;
    if let Some(warning) = root::check(&plan.root, options.allow_unsafe_root)? {
        warn(&warning);
    }
    plan.warnings.iter().for_each(|warning| warn(warning));
    let cgroups = cgroup::Host::probe()?;
    // From here on signals wait until the machine can be told of them.
    let mut session = Session::open(console_mode(&plan))?;
    let mut claim = Store::new(dirs, Arc::new(Cgroups::probe()?)).claim(&plan.machine)?;
    claim.lock_image(&ImageLocks::of(&plan.root)?, lock_mode(&plan))?;
    let range = range(&plan, &root, &mut claim)?;
    let mut scope = make_scope(&plan, &cgroups, &mut claim)?;
    restrict(&scope, &plan, range, warn)?;
    if plan.boots {
        scope.enter_supervisor()?;
    }
    let record = record(&plan, range, scope.path(), &cgroups)?;
    let script = launch::compile(&plan, range, claim.path())?;
    let machine = Machine {
        plan: &plan,
        root: &root,
        claim,
        scope,
        record,
    };
    to_the_end(machine, &script, &mut session, range)
}

fn to_the_end(
    mut machine: Machine<'_>,
    script: &launch::Script,
    session: &mut Session,
    range: Option<Range>,
) -> Result<Outcome> {
    loop {
        let outcome = machine.run(script, session)?;
        if !outcome.wants_reboot() || session.stop_requested() {
            machine.end(Instant::now() + PATIENCE)?;
            return Ok(outcome);
        }
        machine.scope.renew_payload(Instant::now() + PATIENCE)?;
        restrict(&machine.scope, machine.plan, range, &mut |_| {})?;
        machine.record.incarnation = Incarnation::new()?;
    }
}

fn console_mode(plan: &Plan) -> ConsoleMode {
    match plan.console {
        Console::Terminal => ConsoleMode::detect(),
        Console::Inherited => ConsoleMode::Passive,
    }
}

fn lock_mode(plan: &Plan) -> Mode {
    if plan.read_only {
        Mode::Shared
    } else {
        Mode::Exclusive
    }
}

fn range(plan: &Plan, root: &ImageRoot, claim: &mut Claim) -> Result<Option<Range>> {
    let ranges = Ranges::default();
    match plan.users {
        PrivateUsers::No => Ok(None),
        PrivateUsers::Fixed(range) => claim.hold_range(&ranges, range).map(|()| Some(range)),
        PrivateUsers::Pick => {
            let (uid, gid) = root.owner()?;
            claim.pick_range(&ranges, owner_base(uid, gid)).map(Some)
        }
    }
}

fn make_scope(plan: &Plan, host: &cgroup::Host, claim: &mut Claim) -> Result<Scope> {
    let path = cgroup::scope_path(&plan.machine, host)?;
    claim.note(Item::Cgroup {
        path: below_mount(&path, host),
    })?;
    Scope::create(&plan.machine, host)
}

/// A cgroup's path below the root of the hierarchy.
fn below_mount(path: &Path, host: &cgroup::Host) -> String {
    let mount = host.layout.mount().map(|mount| mount.point.as_path());
    let below = mount.and_then(|point| path.strip_prefix(point).ok());
    below.unwrap_or(path).display().to_string()
}

/// Gives the payload its cgroup, and takes from it the devices that it does not need.
fn restrict(
    scope: &Scope,
    plan: &Plan,
    range: Option<Range>,
    warn: &mut dyn FnMut(&str),
) -> Result<()> {
    let owner = range.map_or(0, Range::base);
    scope.delegate(owner, owner)?;
    let mut policy = DevicePolicy::closed();
    for device in &plan.devices {
        policy = policy.and(match device.to_bytes() {
            b"/dev/fuse" => Rule::FUSE,
            _ => Rule::TUN,
        });
    }
    match scope.restrict_devices(&policy) {
        // Nobody but the owner of the initial user namespace can make device nodes.
        Err(error) if range.is_some() => warn(&format!("{error}; the user namespace has to do")),
        // CAP_SYS_ADMIN would undo whatever mount option took the policy's place.
        Err(error) => return Err(refuse_devices(error)),
        Ok(()) => {}
    }
    Ok(())
}

fn refuse_devices(error: Error) -> Error {
    let what = "without a user namespace the payload could use every device of the host";
    Error::new(Kind::HostLacks, what)
        .because(error)
        .hint("leave --private-users at its default")
}

fn own_identity() -> Result<Identity> {
    let what = || "identify this process";
    let this = PidFd::open(rustix::process::getpid().as_raw_nonzero().get()).cannot(what)?;
    let identity = this.map_or(Ok(None), |this| this.identity()).cannot(what)?;
    identity.ok_or_else(|| Error::new(Kind::Failed, "this process is gone"))
}

fn record(plan: &Plan, range: Option<Range>, scope: &Path, host: &cgroup::Host) -> Result<Record> {
    Ok(Record {
        name: plan.machine.to_string(),
        boot_id: crate::state::boot_id()?,
        incarnation: Incarnation::new()?,
        since: Since::now(),
        class: "container".to_owned(),
        supervisor: own_identity()?,
        leader: None,
        cgroup: Some(below_mount(scope, host)),
        image: plan
            .root
            .file_name()
            .map(|name| name.to_string_lossy().into_owned()),
        root: plan.root.display().to_string(),
        range,
        network: plan.network.word().to_owned(),
        interface: None,
        addresses: Vec::new(),
        init: plan.argv.clone(),
        ready: false,
        status: None,
    })
}
