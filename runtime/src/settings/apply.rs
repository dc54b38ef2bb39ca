//! What settings change of a request.

mod lists;

use super::Merge;
use super::model::Settings;
use super::problem::Problem;
use super::read::Collected;
use super::values::{InnerPath, UserName, Variable};
use crate::caps::CapSet;
use crate::error::{Error, Kind, Result};
use crate::ownership::Ownership;
use crate::plan::tuning::Tuning;
use crate::plan::{Changes, Mode, Network, Request, is_root};
use crate::seccomp::Restrictions;

/// Whose values win where both have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Winner {
    CommandLine,
    File,
}

/// Puts the settings into the request; those that options outrank are gone already.
pub(super) fn apply(
    all: &mut Collected,
    request: &mut Request,
    winner: Winner,
    merge: Merge,
) -> Result<()> {
    let settings = &all.settings;
    start_mode(settings, request).map_err(|text| contradiction(all, "Boot", text))?;
    network(settings, request, (winner, merge))
        .map_err(|text| contradiction(all, "Private", text))?;
    environment(&settings.environment, request, winner);
    let workdir = settings.working_directory.as_ref();
    set_some(&mut request.workdir, workdir.map(|path| path.0.clone()));
    request.add_capabilities = union(request.add_capabilities, &settings.capability);
    request.drop_capabilities = union(request.drop_capabilities, &settings.drop_capability);
    identity(settings, request).map_err(|(key, text)| contradiction(all, key, text))?;
    set(&mut request.no_new_privileges, settings.no_new_privileges);
    restrictions(settings, &mut request.restrictions, winner);
    let id = settings.machine_id.as_ref();
    set_some(&mut request.uuid, id.map(|id| id.0.clone()));
    set(&mut request.users, settings.private_users);
    let chown = settings.private_users_chown.map(|chown| match chown {
        true => Ownership::Chown,
        false => Ownership::Off,
    });
    set(
        &mut request.ownership,
        settings.private_users_ownership.or(chown),
    );
    set_some(&mut request.pivot_root, settings.pivot_root.clone());
    let hostname = settings.hostname.as_ref();
    set_some(&mut request.hostname, hostname.map(ToString::to_string));
    set(&mut request.read_only, settings.read_only);
    set(&mut request.volatile, settings.volatile);
    set(&mut request.changes, settings.ephemeral.map(changes));
    lists::mounts(all, &mut request.mounts, winner)?;
    lists::bound_users(settings, &mut request.bound, winner);
    tuning(settings, &mut request.tuning, winner);
    set(&mut request.resolv_conf, settings.resolv_conf);
    set(&mut request.timezone, settings.timezone);
    set(&mut request.link_journal, settings.link_journal);
    set_some(&mut request.notify_ready, settings.notify_ready);
    all.warnings.extend(ignored(all));
    Ok(())
}

/// Whom the payload runs as, which a system decides itself.
fn identity(
    settings: &Settings,
    request: &mut Request,
) -> Result<(), (&'static str, &'static str)> {
    let boots = matches!(request.mode, Mode::Boot { .. });
    if let Some(UserName(name)) = &settings.user {
        if boots && !is_root(name) {
            return Err((
                "User",
                "a system is booted by root: the key is for a command",
            ));
        }
        request.user = Some(name.clone());
    }
    let ambient = union(CapSet::default(), &settings.ambient_capability);
    if boots && ambient != CapSet::default() {
        let text = "a system sets its ambient capabilities itself: the key is for a command";
        return Err(("AmbientCapability", text));
    }
    request.ambient_capabilities = request.ambient_capabilities | ambient;
    Ok(())
}

/// What may be called. What is refused by file or option is refused; families are those of one of them.
fn restrictions(settings: &Settings, restrictions: &mut Restrictions, winner: Winner) {
    let calls = settings.system_call_filter.iter().cloned();
    restrictions.calls.extend(calls);
    if winner == Winner::File && !settings.restrict_address_families.is_empty() {
        restrictions.families.clear();
    }
    let families = settings.restrict_address_families.iter().cloned();
    restrictions.families.extend(families);
    set(&mut restrictions.suppress_sync, settings.suppress_sync);
}

fn tuning(settings: &Settings, tuning: &mut Tuning, winner: Winner) {
    set_some(&mut tuning.oom_score, settings.oom_score_adjust);
    set_some(&mut tuning.personality, settings.personality);
    set_some(&mut tuning.stop_signal, settings.kill_signal);
    let cpus: Vec<String> = settings
        .cpu_affinity
        .iter()
        .map(ToString::to_string)
        .collect();
    set_some(&mut tuning.cpus, cpus.join(",").parse().ok());
    lists::limits(settings.limits.asked(), &mut tuning.limits, winner);
}

fn changes(ephemeral: bool) -> Changes {
    if ephemeral {
        Changes::InMemory
    } else {
        Changes::Kept
    }
}

fn set_some<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
}

fn set<T: Copy>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn union(own: CapSet, lines: &[CapSet]) -> CapSet {
    lines.iter().fold(own, |all, set| all | *set)
}

fn environment(variables: &[Variable], request: &mut Request, winner: Winner) {
    let of_file = variables
        .iter()
        .map(|Variable(name, value)| (name.clone(), value.clone()));
    // Later variables win over earlier ones of the same name.
    let at = match winner {
        Winner::CommandLine => 0,
        Winner::File => request.env.len(),
    };
    request.env.splice(at..at, of_file);
}

/// What runs. The verb says it, unless the file is to win.
fn start_mode(settings: &Settings, request: &mut Request) -> Result<(), &'static str> {
    let (boot, second) = (settings.boot, settings.process_two);
    if boot == Some(true) && second == Some(true) {
        return Err("contradicts ProcessTwo=yes");
    }
    let words = &settings.parameters;
    request.mode = match (request.mode.clone(), boot, second) {
        (Mode::Boot { .. }, Some(false), _) | (Mode::Boot { .. }, _, Some(true)) => {
            if words.is_empty() {
                return Err("without a system to boot, Parameters= has to name a command");
            }
            Mode::Run {
                command: words.clone(),
                as_pid1: second == Some(false),
            }
        }
        (Mode::Run { .. }, Some(true), _) => Mode::Boot {
            init: None,
            parameters: words.clone(),
        },
        (Mode::Boot { init, parameters }, _, _) => Mode::Boot {
            init,
            parameters: or(words, parameters),
        },
        (Mode::Run { command, as_pid1 }, _, _) => Mode::Run {
            command: or(words, command),
            as_pid1: second.map_or(as_pid1, |second| !second),
        },
    };
    Ok(())
}

fn or(words: &[String], else_these: Vec<String>) -> Vec<String> {
    if words.is_empty() {
        else_these
    } else {
        words.to_vec()
    }
}

/// Whose network it is. As with systemd-nspawn, `VirtualEthernet=no` alone gives the host's, and any
/// key that asks for a link a private one.
fn network(
    settings: &Settings,
    request: &mut Request,
    (winner, merge): (Winner, Merge),
) -> Result<(), &'static str> {
    let links = [
        &settings.virtual_ethernet_extra,
        &settings.interface,
        &settings.macvlan,
        &settings.ipvlan,
    ];
    let asks_for_links = links.iter().any(|list| !list.is_empty())
        || settings.bridge.is_some()
        || settings.zone.is_some()
        || settings.namespace_path.is_some();
    let chosen = match (settings.private, settings.virtual_ethernet) {
        (Some(false), Some(true)) => return Err("contradicts VirtualEthernet=yes"),
        (Some(false), _) if asks_for_links => return Err("contradicts keys that ask for a link"),
        (Some(false), _) => Some(Network::Host),
        (_, Some(true)) if settings.namespace_path.is_some() => {
            return Err("with NamespacePath= there is no VirtualEthernet=yes");
        }
        (_, Some(true)) => Some(Network::Veth),
        (Some(true), Some(false)) => Some(Network::Private),
        (None, Some(false)) if asks_for_links => Some(Network::Private),
        (None, Some(false)) => Some(Network::Host),
        (_, None) => {
            let wants_own = settings.private == Some(true) || asks_for_links;
            // By groups, a link that the options ask for is gone when the file says anything.
            let outranks = winner == Winner::File && request.network == Some(Network::Host);
            let replaces = merge == Merge::ByGroup || outranks;
            (wants_own && replaces).then_some(Network::Private)
        }
    };
    if let Some(InnerPath(path)) = &settings.namespace_path {
        request.network_namespace = Some(path.into());
    } else if chosen.is_some() {
        request.network = chosen;
        request.network_namespace = None;
    }
    if request.network != Some(Network::Host) {
        lists::links(settings, &mut request.links);
    }
    Ok(())
}

/// A warning for each key that nothing is done about.
fn ignored(all: &Collected) -> Vec<Problem> {
    let mut keys: Vec<&str> = Vec::new();
    let mut problems = Vec::new();
    for line in all.lines.iter().filter(|line| !line.outranked) {
        if let Some(why) = line.key.ignored
            && !keys.contains(&line.key.name)
        {
            keys.push(line.key.name);
            problems.push(Problem {
                place: line.place.clone(),
                text: format!("{}= is ignored: {why}", line.key.name),
                hint: None,
            });
        }
    }
    problems
}

fn problem(all: &Collected, key: &str, text: &str) -> Option<Problem> {
    let line = all.lines.iter().find(|line| line.key.name == key)?;
    Some(Problem {
        place: line.place.clone(),
        text: format!("{key}=: {text}"),
        hint: None,
    })
}

fn contradiction(all: &Collected, key: &str, text: &str) -> Error {
    let what = match problem(all, key, text) {
        Some(problem) => problem.to_string(),
        None => format!("{key}=: {text}"),
    };
    Error::new(Kind::BadInput, format!("cannot use settings: {what}"))
}

#[cfg(test)]
mod tests;
