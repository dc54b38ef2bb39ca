//! Lists to which files and options contribute, and in which two entries may be about one thing.

use super::Winner;
use crate::error::{Kind, Result};
use crate::plan::LinksRequest;
use crate::plan::bound::BoundUsers;
use crate::plan::mounts::{Mount, arrange};
use crate::plan::tuning::AskedLimit;
use crate::settings::model::Settings;
use crate::settings::read::{Collected, Line};

/// Of two mounts on one path the winner's is made.
///
/// # Errors
/// [`Kind::BadInput`] for one of a file that is never made.
pub(super) fn mounts(all: &Collected, options: &mut Vec<Mount>, winner: Winner) -> Result<()> {
    let settings = &all.settings;
    let lists = [
        list("Bind", &settings.bind),
        list("BindReadOnly", &settings.bind_read_only),
        list("TemporaryFileSystem", &settings.temporary_file_system),
        list("Inaccessible", &settings.inaccessible),
        list("Overlay", &settings.overlay),
        list("OverlayReadOnly", &settings.overlay_read_only),
    ];
    let of_file = lists.into_iter().flatten();
    let of_file: Vec<Mount> = of_file.map(|(key, mount)| named(all, key, mount)).collect();
    arrange(&of_file).map_err(|error| error.kinded(Kind::BadInput))?;
    combine(options, of_file, winner, |a, b| a.target == b.target);
    Ok(())
}

/// Of two limits of one resource the winner's is set.
pub(super) fn limits(of_file: Vec<AskedLimit>, options: &mut Vec<AskedLimit>, winner: Winner) {
    combine(options, of_file, winner, |a, b| a.resource == b.resource);
}

/// Users of the host, each once.
pub(super) fn bound_users(settings: &Settings, bound: &mut BoundUsers, winner: Winner) {
    let of_file = settings.bind_user.iter().map(|user| user.0.clone());
    combine(&mut bound.names, of_file.collect(), winner, |a, b| a == b);
    if settings.bind_user_shell.is_some() {
        bound.shell.clone_from(&settings.bind_user_shell);
    }
}

/// Links of both are made; of bridge and zone there is one, the file's if it names one.
pub(super) fn links(settings: &Settings, options: &mut LinksRequest) {
    options.interfaces.extend_from_slice(&settings.interface);
    options.macvlans.extend_from_slice(&settings.macvlan);
    options.ipvlans.extend_from_slice(&settings.ipvlan);
    options
        .extra
        .extend_from_slice(&settings.virtual_ethernet_extra);
    options.ports.extend_from_slice(&settings.port);
    if settings.bridge.is_some() || settings.zone.is_some() {
        options.bridge.clone_from(&settings.bridge);
        options.zone.clone_from(&settings.zone);
    }
}

/// Adds a file's entries to those of options. Of two that are about the same thing the loser's goes.
fn combine<T>(
    options: &mut Vec<T>,
    mut of_file: Vec<T>,
    winner: Winner,
    same: impl Fn(&T, &T) -> bool,
) {
    let has = |list: &[T], entry: &T| list.iter().any(|other| same(other, entry));
    match winner {
        Winner::CommandLine => of_file.retain(|entry| !has(options, entry)),
        Winner::File => options.retain(|entry| !has(&of_file, entry)),
    }
    options.append(&mut of_file);
}

type Keyed<'a> = Vec<(&'static str, &'a Mount)>;

fn list<'a, T: AsRef<Mount>>(key: &'static str, values: &'a [T]) -> Keyed<'a> {
    values.iter().map(|value| (key, value.as_ref())).collect()
}

/// The mount, spelled for messages as in its file.
fn named(all: &Collected, key: &str, mount: &Mount) -> Mount {
    let (_, value) = mount.spelling.split_once('=').unwrap_or_default();
    let is_its =
        |line: &&Line| line.key.name == key && *value == *line.value.escape_debug().to_string();
    let mut mount = mount.clone();
    if let Some(line) = all.lines.iter().find(is_its) {
        mount.spelling = format!("{}: {key}={value}", line.place);
    }
    mount
}
