//! Starting a machine in the foreground and running it to its end, through its reboots.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::background;
use super::explain::{Prepared, look, prepare};
use super::host::Cgroups;
use super::link_journal;
use super::owners;
use super::register;
use super::restart::{Restart, Waits};
use super::root;
use super::run::Machine;
use super::scratch;
use crate::cgroup::{self, Scope};
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::facts::{ImageRoot, Release};
use crate::host_limits::{Crowd, Share};
use crate::lock::{ImageLocks, Mode};
use crate::network::Attached;
use crate::plan::network::Uplink;
use crate::plan::{self, Console, Plan, Request, Shown};
use crate::range::{PrivateUsers, Range};
use crate::state::{self, Claim, Identity, Incarnation, Item, Record, Since, Store};
use crate::supervise::{Cause, ConsoleMode, Hub, Outcome, Session};

/// How long the processes of an ended machine may take to disappear.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a start is allowed to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartOptions {
    /// The machine has no terminal: its console is served, and logged.
    pub background: bool,
    /// The machine does not outlive the process that has started this one.
    pub tied: bool,
    /// What becomes of a machine that ends by itself.
    pub restart: Restart,
}

/// What the caller is told while a machine starts.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Something is unusual but does not keep the machine from starting.
    Warning(&'a str),
    /// So many of the image's files have new owners.
    Owners {
        /// Files and directories that are done.
        done: u64,
        /// All there are.
        total: u64,
    },
}

/// Starts the machine and returns when it has ended and nothing of it is left.
///
/// # Errors
/// [`Kind::Busy`] if the machine runs already or its image or ids are in use;
/// [`Kind::NotFound`] without the image; [`Kind::BadInput`] for an image that cannot start;
/// [`Kind::HostLacks`] if the host cannot run it. Nothing is left of the attempt.
pub fn start(
    request: &Request,
    dirs: &Dirs,
    options: StartOptions,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    if options.tied {
        background::tie()?;
    }
    if request.users == PrivateUsers::No {
        crate::sys::seal::ensure().cannot(|| "go on as a sealed copy of nsrun")?;
    }
    let cgroups = Arc::new(Cgroups::probe()?);
    let store = Store::new(dirs, cgroups.clone());
    let mut claim = None;
    let disk = look(request)?;
    let mut mode = lock_mode(request);
    if let Some(disk) = &disk {
        // To mount a file system may change it, so that it is locked before anything is known of it.
        sweep(&store, dirs, tell)?;
        if disk.read_only().is_some() {
            mode = Mode::Shared;
        }
        let claim = claim.insert(store.claim(&request.machine)?);
        claim.lock_image(&ImageLocks::of(&request.root)?, mode)?;
    }
    let is_directory = disk.is_none();
    let Prepared {
        image,
        root,
        plan,
        opened,
    } = prepare(request, disk, mode == Mode::Exclusive)?;
    if is_directory && let Some(warning) = root::check(&plan.root, request.allow_unsafe_root)? {
        tell(Event::Warning(&warning));
    }
    if options.background && plan.console == Console::Inherited {
        let what = "a machine in the background cannot have the caller's streams";
        return Err(Error::new(Kind::Usage, what).hint("leave --console=pipe out"));
    }
    let warnings = plan.warnings.iter();
    warnings.for_each(|warning| tell(Event::Warning(warning)));
    // From here on signals wait until the machine can be told of them.
    let mut session = if options.background {
        Session::in_background(background::take_starter()?)?
    } else {
        Session::open(console_mode(&plan))?
    };
    register::expect(&plan)?;
    let mut claim = match claim {
        Some(claim) => claim,
        None => {
            sweep(&store, dirs, tell)?;
            let mut claim = store.claim(&plan.machine)?;
            claim.lock_image(&ImageLocks::of(&plan.root)?, mode)?;
            claim
        }
    };
    if options.background {
        session.serve(Hub::new(claim.path(), &dirs.console_log(&plan.machine))?);
    }
    let (range, map) = owners::settle(&plan, &image, &mut claim, &mut session, tell)?;
    let base = range.map_or(0, Range::base);
    let top = map.show(root.owner()?, base);
    if let Some(journal) = &plan.journal {
        link_journal::prepare(journal)?;
    }
    let gathered = scratch::gather(&plan, &root, opened, (base, top), &mut claim)?;
    let mut scope = make_scope(&plan, cgroups.host(), &mut claim)?;
    if plan.boots {
        scope.enter_supervisor()?;
    }
    let share = match plan.boots {
        true => Some(share(&plan, &store, tell)?),
        false => None,
    };
    let record = record(&plan, &root, range, scope.path(), cgroups.host())?;
    let machine = Machine {
        gathered,
        range,
        map,
        store,
        links: Attached::default(),
        lib: dirs.lib().to_owned(),
        plan,
        image,
        root,
        claim,
        scope,
        record,
        unlisted: None,
        share,
    };
    to_the_end(machine, &mut session, Waits::new(options.restart), tell)
}

/// Takes away what dead machines and killed commands left. What stays is told, and no reason not to start.
fn sweep(store: &Store, dirs: &Dirs, tell: &mut dyn FnMut(Event<'_>)) -> Result<()> {
    for swept in store.sweep_machines()? {
        if let Err(error) = swept.result {
            let name = swept.name;
            let text = format!("cannot clear up what is left of {name}: {error}");
            tell(Event::Warning(&text));
        }
    }
    if let Err(error) = crate::image::sweep(dirs) {
        let text = format!("cannot clear up what was left of images: {error}");
        tell(Event::Warning(&text));
    }
    Ok(())
}

/// A system needs its part of what the whole host shares.
fn share(plan: &Plan, store: &Store, tell: &mut dyn FnMut(Event<'_>)) -> Result<Share> {
    let _turn = store.turn()?;
    let held =
        |machine: &Result<state::Machine>| machine.as_ref().is_ok_and(state::Machine::is_held);
    let machines = store.list()?.iter().filter(|machine| held(machine)).count();
    let crowd = Crowd {
        machines: u64::try_from(machines).unwrap_or(u64::MAX),
        linked: !plan.links.is_empty(),
    };
    Share::take(crowd, &mut |text| tell(Event::Warning(text)))
}

fn to_the_end(
    mut machine: Machine,
    session: &mut Session,
    mut waits: Waits,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    loop {
        let begun = Instant::now();
        let outcome = machine.run(session, tell)?;
        let wait = waits.after(&outcome, begun.elapsed());
        let again = wait.is_some_and(|wait| outcome.cause == Cause::Payload && session.rests(wait));
        if !again {
            machine.end(Instant::now() + PATIENCE)?;
            return Ok(outcome);
        }
        machine.scope.renew_payload(Instant::now() + PATIENCE)?;
        machine.retire_links()?;
        machine.begin_anew()?;
    }
}

fn console_mode(plan: &Plan) -> ConsoleMode {
    match plan.console {
        Console::Terminal(Shown::AsItGoes | Shown::Interactive) => ConsoleMode::detect(),
        Console::Terminal(Shown::ReadOnly) => ConsoleMode::ReadOnly,
        Console::Terminal(Shown::Not) | Console::Inherited => ConsoleMode::Passive,
    }
}

fn lock_mode(request: &Request) -> Mode {
    match plan::writes(request) {
        true => Mode::Exclusive,
        false => Mode::Shared,
    }
}

fn make_scope(plan: &Plan, host: &cgroup::Host, claim: &mut Claim) -> Result<Scope> {
    let path = host.scope_path(&plan.machine, &plan.scope)?;
    claim.note(Item::Cgroup {
        path: below_mount(&path, host),
    })?;
    Scope::create(&plan.machine, host, &plan.scope)
}

/// A cgroup's path below the root of the hierarchy.
fn below_mount(path: &Path, host: &cgroup::Host) -> String {
    let mount = host.layout.mount().map(|mount| mount.point.as_path());
    let below = mount.and_then(|point| path.strip_prefix(point).ok());
    below.unwrap_or(path).display().to_string()
}

fn record(
    plan: &Plan,
    root: &ImageRoot,
    range: Option<Range>,
    scope: &Path,
    host: &cgroup::Host,
) -> Result<Record> {
    Ok(Record {
        name: plan.machine.to_string(),
        boot_id: state::boot_id()?,
        incarnation: Incarnation::new()?,
        since: Since::now(),
        class: "container".to_owned(),
        supervisor: Identity::own().cannot(|| "identify this process")?,
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
        zone: match &plan.links.host0 {
            Some(Uplink::Zone(zone)) => Some(zone.to_string()),
            _ => None,
        },
        ports: plan.links.ports.iter().map(ToString::to_string).collect(),
        init: plan.argv.clone(),
        restrictions: plan.restrictions.clone(),
        release: Release::look(root),
        ready: false,
        status: None,
    })
}
