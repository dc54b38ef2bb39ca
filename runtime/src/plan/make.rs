//! From request and facts to a plan. Pure: every fact was gathered before.

use super::journal::Journal;
use super::mounts::{self, Mount};
use super::request::{Mode, Request, Volatile};
use super::{
    Links, Network, Plan, TTY_GID, bound, console, credentials, env, files, identity, limits,
    network, pivot, volatile,
};
use crate::caps::{self, Isolation};
use crate::error::{Error, Kind, Result};
use crate::facts::{HostFacts, INITS, ImageFacts, Node, Opened};
use crate::ownership::{BUSY_BASE, Ownership};
use crate::range::{PrivateUsers, Range, SIZE};

/// What images test for: a name that systemd knows gets conditions of units right.
const MANAGER: &str = "systemd-nspawn";

/// Fills in the defaults and checks what contradicts. `sources` are those of the `mounts` that were
/// arranged.
///
/// # Errors
/// [`Kind::BadInput`] if the image has nothing to start, [`Kind::Usage`] for arguments that do
/// not go together.
pub(crate) fn make(
    request: &Request,
    host: &HostFacts,
    image: &ImageFacts,
    (mounts, sources): (Vec<Mount>, &[Opened]),
    journal: Option<Journal>,
) -> Result<Plan> {
    let boots = matches!(request.mode, Mode::Boot { .. });
    check_range(request.users)?;
    check_ownership(request.users, request.ownership)?;
    volatile::check(request)?;
    pivot::check(request)?;
    credentials::check(&request.credentials)?;
    let (network, links) = network(request, boots)?;
    let (uuid, uuid_is_random) = uuid(request, host, image)?;
    let (limits, mut warnings) = limits::build(host, &request.tuning.limits);
    if boots && !image.has_os_release {
        warnings.push("the image has no os-release file: is it an operating system?".to_owned());
    }
    warnings.extend(missing_ids(request.users).filter(|_| boots));
    if network == Network::Host && request.users == PrivateUsers::No {
        warnings.push(
            "with the host's users and the host's network the payload is root on the host's \
             abstract sockets"
                .to_owned(),
        );
    }
    let hostname = request.hostname.clone();
    let resolv_conf = files::resolv_conf(
        request,
        host,
        (network, &links.addressing.dns),
        &mut warnings,
    );
    let timezone = files::localtime(request, host, image, &mut warnings);
    let (program, argv) = program(request, image)?;
    let capabilities = caps::bounding_set(
        Isolation {
            private_network: network.is_private(),
            private_users: request.users != PrivateUsers::No,
        },
        request.add_capabilities,
        request.drop_capabilities,
        host.capabilities,
    );
    let nodes = nodes(&mounts, sources);
    let shapes: Vec<mounts::Shape> = sources.iter().map(|source| source.shape).collect();
    let mounts = mounts::settle(mounts, &shapes)?;
    Ok(Plan {
        machine: request.machine.clone(),
        root: request.root.clone(),
        boots,
        users: request.users,
        ownership: request.ownership,
        network,
        links,
        network_namespace: request.network_namespace.clone(),
        pivot_root: request.pivot_root.clone(),
        console: console::of(request)?,
        announces: request.notify_ready.unwrap_or(boots),
        stub: matches!(request.mode, Mode::Run { as_pid1: false, .. }),
        program,
        argv,
        env: env::build(request, host, image, MANAGER, &uuid),
        workdir: request.workdir.clone().unwrap_or_else(|| "/".to_owned()),
        hostname: hostname.unwrap_or_else(|| request.machine.as_str().to_owned()),
        uuid,
        uuid_is_random,
        boot_id: dashed(&host.random_boot_id),
        kernel_cmdline: request.kernel_cmdline.clone(),
        manager: MANAGER.to_owned(),
        host_os_release: host.os_release.clone(),
        account: identity::account(request, image)?,
        ambient: identity::ambient(request, capabilities)?,
        capabilities,
        no_new_privileges: request.no_new_privileges,
        restrictions: request.restrictions.clone(),
        changes: volatile::changes(request),
        empty_root: request.volatile == Volatile::Yes,
        read_only: volatile::read_only(request),
        lock_root: volatile::read_only(request) || image.is_restricted,
        no_devices: false,
        nesting: request.nesting || image.needs_nesting,
        resolv_conf,
        journal,
        timezone,
        devices: host.devices.clone(),
        proc_entries: host.proc_entries.clone(),
        limits,
        tuning: request.tuning.clone(),
        scope: request.scope.clone(),
        register: request.register,
        credentials: request.credentials.clone(),
        users_of_host: bound::users(request, host, image)?,
        mounts,
        nodes,
        warnings,
    })
}

/// Whose network it is.
fn network(request: &Request, boots: bool) -> Result<(Network, Links)> {
    let joined = request.network_namespace.as_ref().map(|_| Network::Joined);
    let usual = if boots {
        Network::Veth
    } else {
        Network::Private
    };
    network::plan(joined.or(request.network), usual, &request.links)
}

/// Device nodes that bind mounts show, and whether they may be written to: of others nobody has said
/// that they are wanted.
fn nodes(mounts: &[Mount], sources: &[Opened]) -> Vec<(Node, bool)> {
    let mut sources = sources.iter();
    let mut nodes = Vec::new();
    for mount in mounts {
        let own = sources.by_ref().take(mount.what.sources().len());
        let is_bind = matches!(mount.what, mounts::What::Bind { .. });
        let shown = own
            .flat_map(|source| &source.nodes)
            .map(|node| (*node, !mount.read_only));
        nodes.extend(shown.filter(|_| is_bind));
    }
    nodes
}

/// Refuses a range that no payload can live in.
fn check_range(users: PrivateUsers) -> Result<()> {
    match users {
        PrivateUsers::Fixed(range) if range.len() <= TTY_GID => {
            let what = format!("cannot start a machine in the id range {range}: it is too small");
            Err(Error::new(Kind::Usage, what).hint(format!(
                "terminals belong to group {TTY_GID} (tty), so it takes {} ids at least",
                TTY_GID + 1
            )))
        }
        PrivateUsers::Fixed(range) => range.check_holdable(),
        PrivateUsers::No | PrivateUsers::Pick => Ok(()),
    }
}

/// What a system misses in a range that holds fewer than the ids of 16 bits.
fn missing_ids(users: PrivateUsers) -> Option<String> {
    let PrivateUsers::Fixed(range) = users else {
        return None;
    };
    (range.len() < SIZE).then(|| {
        format!(
            "the system has no ids from {} on; it expects those up to 65535, of which 65534 is \
             nobody",
            range.len()
        )
    })
}

/// Owners can be shifted by whole spaces of 65536, and only for a user namespace.
fn check_ownership(users: PrivateUsers, ownership: Ownership) -> Result<()> {
    match (users, ownership) {
        (PrivateUsers::No, Ownership::Map | Ownership::Chown) => {
            let what = format!("owners cannot be shifted by '{ownership}' for the host's users");
            Err(Error::new(Kind::Usage, what).hint(
                "to give an image's files back to the host's root: --private-users=0 \
                 --private-users-ownership=chown",
            ))
        }
        (PrivateUsers::Fixed(range), Ownership::Chown) if !is_space(range) => {
            let what = format!("owners on the disk cannot be changed to the range {range}");
            Err(Error::new(Kind::Usage, what)
                .hint("it takes 65536 ids from a multiple of 65536 below 4294836224 on"))
        }
        _ => Ok(()),
    }
}

fn is_space(range: Range) -> bool {
    range.len() == SIZE && range.base().is_multiple_of(SIZE) && range.base() < BUSY_BASE
}

/// What is executed, and its arguments with its own name first.
fn program(request: &Request, image: &ImageFacts) -> Result<(String, Vec<String>)> {
    let path = image
        .program
        .clone()
        .ok_or_else(|| nothing_to_start(request, image))?;
    let argv = match &request.mode {
        Mode::Boot { parameters, .. } => {
            let is_argument = |p: &&String| env::assignment(p).is_none();
            let arguments = parameters.iter().filter(is_argument).cloned();
            [path.clone()].into_iter().chain(arguments).collect()
        }
        Mode::Run { command, .. } => command.clone(),
    };
    Ok((path, argv))
}

fn nothing_to_start(request: &Request, image: &ImageFacts) -> Error {
    let root = request.root.display();
    match &request.mode {
        Mode::Boot { .. } => {
            let places = INITS.join(", ");
            let what = format!("cannot boot {root}: it has no init; looked for {places}");
            let hint = if image.lacks_its_system {
                "its system is in a Nix store that it does not have: --bind-ro=/nix/store mounts the \
                 host's, and --system=PATH does that too"
            } else {
                "name one with --init=PATH, or start a command with `nsrun run`"
            };
            Error::new(Kind::BadInput, what).hint(hint)
        }
        Mode::Run { command, .. } => {
            let name = command.first().map_or("", String::as_str).escape_debug();
            let what = format!("cannot run '{name}': no such command in {root}");
            let places = super::search_path(image.is_nixos);
            Error::new(Kind::NoCommand, what).hint(format!(
                "looked for in {places}; a command elsewhere takes its path"
            ))
        }
    }
}

/// The image's own id, or the one asked for, or a new one; in dashed form.
fn uuid(request: &Request, host: &HostFacts, image: &ImageFacts) -> Result<(String, bool)> {
    let asked = request.uuid.as_deref().map(asked_id).transpose()?;
    Ok(match image.machine_id.or(asked) {
        Some(id) => (dashed(&id), false),
        None => (dashed(&host.random_uuid), true),
    })
}

fn asked_id(text: &str) -> Result<[u8; 16]> {
    parse_id(text).ok_or_else(|| {
        let text = text.escape_debug();
        Error::new(Kind::Usage, format!("invalid machine id --uuid='{text}'"))
            .hint("32 hexadecimal digits, not all zero, with or without dashes")
    })
}

/// The machine's id, of 32 digits.
///
/// # Errors
/// [`Kind::Usage`] if the one that was asked for is none.
pub(crate) fn machine_id(
    request: &Request,
    host: &HostFacts,
    image: &ImageFacts,
) -> Result<String> {
    let (dashed, _) = uuid(request, host, image)?;
    Ok(dashed.replace('-', ""))
}

/// Reads a 128-bit id in either form; all zeros is none.
pub(crate) fn parse_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|&c| c != '-').collect();
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let id = u128::from_str_radix(&digits, 16).ok()?;
    (id != 0).then(|| id.to_be_bytes())
}

/// A new random id, in dashed form.
pub(crate) fn new_id() -> Result<String> {
    crate::facts::random_id().map(|id| dashed(&id))
}

fn dashed(id: &[u8; 16]) -> String {
    let hex: String = id.iter().map(|b| format!("{b:02x}")).collect();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_on_the_disk_change_by_whole_spaces() {
        let check = |base, len| {
            let range = Range::new(base, len).unwrap();
            check_ownership(PrivateUsers::Fixed(range), Ownership::Chown)
        };
        assert!(check(0, SIZE).is_ok());
        assert!(check(655_360, SIZE).is_ok());
        for (base, len) in [(655_361, SIZE), (655_360, SIZE - 1), (BUSY_BASE, SIZE)] {
            let error = check(base, len).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{base}:{len}");
        }
        assert!(check_ownership(PrivateUsers::No, Ownership::Chown).is_err());
        assert!(check_ownership(PrivateUsers::No, Ownership::Auto).is_ok());
        assert!(check_ownership(PrivateUsers::Pick, Ownership::Chown).is_ok());
    }

    #[test]
    fn a_range_holds_the_terminals_group_and_can_be_held() {
        let check = |base, len| check_range(PrivateUsers::Fixed(Range::new(base, len).unwrap()));
        let error = check(655_360, TTY_GID).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(
            error.to_string(),
            "cannot start a machine in the id range 655360:5: it is too small"
        );
        assert!(error.advice().unwrap().ends_with("6 ids at least"));
        assert!(check(655_360, TTY_GID + 1).is_ok());
        assert_eq!(check(0, u32::MAX).unwrap_err().kind(), Kind::Usage);
        assert!(check_range(PrivateUsers::No).is_ok());
    }

    #[test]
    fn a_system_is_told_which_ids_it_lacks() {
        let missing = |len| missing_ids(PrivateUsers::Fixed(Range::new(655_360, len).unwrap()));
        assert!(missing(1000).unwrap().contains("no ids from 1000 on"));
        assert!(missing(SIZE - 1).is_some());
        assert_eq!(missing(SIZE), None);
        assert_eq!(missing_ids(PrivateUsers::Pick), None);
    }

    #[test]
    fn ids_are_read_in_both_forms() {
        let id = parse_id("d1a94b33-2b1c-4e14-a6f3-b7d5c6a0e1f2").unwrap();
        assert_eq!(parse_id("d1a94b332b1c4e14a6f3b7d5c6a0e1f2"), Some(id));
        assert_eq!(dashed(&id), "d1a94b33-2b1c-4e14-a6f3-b7d5c6a0e1f2");
    }

    #[test]
    fn zero_short_and_foreign_ids_are_none() {
        assert_eq!(parse_id("00000000000000000000000000000000"), None);
        assert_eq!(parse_id("uninitialized"), None);
        assert_eq!(parse_id("+1a94b332b1c4e14a6f3b7d5c6a0e1f2"), None);
    }
}
