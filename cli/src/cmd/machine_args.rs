//! Options of every verb that starts a payload, in nspawn's spelling.

use std::path::{Path, PathBuf};

use clap::ValueHint;
use clap::builder::{ArgPredicate, BoolishValueParser, PossibleValuesParser, TypedValueParser};
use nsrun_runtime::caps::CapSet;
use nsrun_runtime::image::{is_read_only, lookup};
use nsrun_runtime::ownership::Ownership;
use nsrun_runtime::plan::{Changes, Mode, PivotRoot, Request, ResolvConf, Timezone, Volatile};
use nsrun_runtime::range::PrivateUsers;
use nsrun_runtime::state::Incarnation;
use nsrun_runtime::{Error, Kind, MachineName, Result};
use rustix::termios::isatty;

use super::defaults::Defaults;
use super::disk_args::DiskArgs;
use super::mount_args::MountArgs;
use super::network_args::NetworkArgs;
use super::process_args::ProcessArgs;
use super::security_args::SecurityArgs;
use super::settings_args::SettingsArgs;
use super::unit_args::UnitArgs;
use super::{system, template};
use crate::globals::Globals;

// What to start, and how.
#[derive(clap::Args, Debug)]
pub struct MachineArgs {
    /// A directory or disk image if the word has a slash, else the name of an image
    #[arg(
        value_name = "ROOTFS|IMAGE",
        value_hint = ValueHint::AnyPath,
        required = false,
        required_unless_present_any = ["disk_image", "system"],
        default_value_ifs = [
            ("disk_image", ArgPredicate::IsPresent, ""),
            ("system", ArgPredicate::IsPresent, "")
        ]
    )]
    pub image: String,

    #[command(flatten)]
    disk: DiskArgs,

    /// Boot the NixOS system PATH of a Nix store, which is mounted; IMAGE keeps the machine's state,
    /// and is made if it is missing [default: the system's host name]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath, 
        conflicts_with_all = ["template", "disk_image"])]
    system: Option<PathBuf>,

    /// Set the machine's name [default: the image's]
    #[arg(short = 'M', long, value_name = "NAME")]
    machine: Option<MachineName>,

    /// Choose the machine's ids: `pick` a free range, `no` for the host's, or BASE[:RANGE]
    /// [default: pick]
    #[arg(long, value_name = "MODE")]
    private_users: Option<PrivateUsers>,

    /// Choose how files get the machine's ids: `auto` leaves the disk alone, `chown` does not
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = ownerships())]
    private_users_ownership: Ownership,

    /// Set the host name [default: the machine's name]
    #[arg(long, value_name = "NAME")]
    hostname: Option<MachineName>,

    /// Set the machine id, if the image has none
    #[arg(long, value_name = "UUID")]
    uuid: Option<String>,

    /// Set an environment variable; without a value, pass the caller's on
    #[arg(short = 'E', long, alias = "env", value_name = "NAME[=VALUE]", value_parser = variable)]
    setenv: Vec<(String, String)>,

    /// Add capabilities, separated by commas
    #[arg(long, value_name = "LIST", value_parser = capabilities)]
    capability: Vec<CapSet>,

    /// Remove capabilities, separated by commas
    #[arg(long, value_name = "LIST", value_parser = capabilities)]
    drop_capability: Vec<CapSet>,

    /// Make the image of this directory if there is none of its name
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    template: Option<PathBuf>,

    /// Drop all changes to the image at the end; keep them in `memory` or on `disk` until then
    #[arg(
        short = 'x',
        long,
        value_name = "PLACE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "memory",
        value_parser = places(),
        overrides_with = "no_ephemeral"
    )]
    ephemeral: Option<Changes>,

    /// Keep changes
    #[arg(long, hide = true, overrides_with = "ephemeral")]
    no_ephemeral: bool,

    /// Show `yes`: /usr alone, `state`: all but /var, `overlay`: all; drop changes to the rest
    #[arg(
        long,
        value_name = "MODE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        default_value = "no",
        hide_default_value = true,
        value_parser = volatiles()
    )]
    volatile: Volatile,

    /// Take NEW, a directory of the image, for its root, and show the image's top at OLD
    #[arg(long, value_name = "NEW[:OLD]")]
    pivot_root: Option<PivotRoot>,

    /// Make the root file system read-only
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        value_parser = BoolishValueParser::new(),
        overrides_with = "no_read_only"
    )]
    read_only: Option<bool>,

    /// Leave it writable
    #[arg(long, hide = true, overrides_with = "read_only")]
    no_read_only: bool,

    /// Show TEXT in /proc/cmdline [default: empty]
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    kernel_cmdline: String,

    /// Let the machine mount its own /proc and /sys, as nested containers and sandboxes do
    #[arg(long, overrides_with = "no_nesting")]
    nesting: bool,

    /// Do not
    #[arg(long, hide = true, overrides_with = "nesting")]
    no_nesting: bool,

    /// Fill the machine's resolv.conf: `auto` with the host's if it has the host's network; or `off`,
    /// `delete`, {copy,replace,bind}-{host,static,uplink,stub}
    #[arg(
        long,
        value_name = "MODE",
        default_value = "auto",
        hide_default_value = true
    )]
    resolv_conf: ResolvConf,

    /// Set the machine's time zone: `auto` as the host's if the image has it; or `off`, `copy`,
    /// `bind`, `symlink`, `delete`
    #[arg(
        long,
        value_name = "MODE",
        default_value = "auto",
        hide_default_value = true
    )]
    timezone: Timezone,

    /// Start from an image that does not belong to root, or that others may write to
    #[arg(long)]
    pub allow_unsafe_root: bool,

    /// Print the plan and its steps, and do nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Fill in what neither options nor settings files say as this program does
    #[arg(
        long,
        value_enum,
        value_name = "PROGRAM",
        default_value = "nsrun",
        hide = true
    )]
    pub defaults: Defaults,

    #[command(flatten)]
    pub settings: SettingsArgs,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    mounts: MountArgs,

    #[command(flatten)]
    processes: ProcessArgs,

    #[command(flatten)]
    unit: UnitArgs,

    #[command(flatten)]
    security: SecurityArgs,
}

impl MachineArgs {
    /// The request that these options make.
    pub fn request(&self, mode: Mode, globals: &Globals) -> Result<Request> {
        let root = self.root(globals)?;
        let mut machine = self.name(&root)?;
        if self.machine.is_none() && self.changes().is_some() {
            machine = machine.with_suffix(&Incarnation::new()?.to_string())?;
        }
        let mut request = Request::new(machine, root, mode);
        request.trust_image = self.disk.trust;
        request.allow_unsafe_root = self.allow_unsafe_root;
        request.users = self.private_users.unwrap_or(self.defaults.users());
        request.ownership = self.private_users_ownership;
        self.network.apply(&mut request)?;
        request.pivot_root.clone_from(&self.pivot_root);
        request.hostname = self.hostname.as_ref().map(ToString::to_string);
        request.uuid.clone_from(&self.uuid);
        request.env.clone_from(&self.setenv);
        request.add_capabilities = union(&self.capability);
        request.drop_capabilities = union(&self.drop_capability);
        request.no_new_privileges = self.security.no_new_privileges();
        request.restrictions = self.security.restrictions();
        request.changes = self.changes().unwrap_or_default();
        request.volatile = self.volatile;
        // An image may be marked as read-only, by machinectl too.
        request.read_only =
            (self.read_only.unwrap_or(false) && !self.no_read_only) || is_read_only(&request.root);
        request.kernel_cmdline.clone_from(&self.kernel_cmdline);
        request.nesting = self.nesting && !self.no_nesting;
        request.resolv_conf = self.resolv_conf;
        request.timezone = self.timezone;
        request.mounts = self.mounts.mounts()?;
        request.bound = self.mounts.bound_users();
        if let Some(path) = &self.system {
            request.mounts.push(system::mount(path)?);
        }
        request.user.clone_from(&self.processes.user);
        request.ambient_capabilities = union(&self.processes.ambient_capability);
        request.link_journal = self.processes.link_journal();
        request.console = self.processes.console();
        request.notify_ready = self.processes.notify_ready();
        request.tuning = self.processes.tuning();
        request.scope = self.unit.scope();
        request.register = self.unit.register;
        request.credentials = self.processes.credentials()?;
        request.interactive = isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout());
        Ok(request)
    }

    /// What becomes of changes, if they are not kept.
    fn changes(&self) -> Option<Changes> {
        self.ephemeral.filter(|_| !self.no_ephemeral)
    }

    /// The name that was given or is the image's: that of settings files.
    pub fn name(&self, root: &Path) -> Result<MachineName> {
        match &self.machine {
            Some(name) => Ok(name.clone()),
            None => name_of(root),
        }
    }

    fn root(&self, globals: &Globals) -> Result<PathBuf> {
        if let Some(image) = &self.disk.image {
            return self.disk.path(image, &self.image);
        }
        if let Some(path) = &self.system {
            return system::root(&self.image, path, self.dry_run, globals);
        }
        if let Some(template) = &self.template {
            return template::root(&self.image, template, self.dry_run, globals);
        }
        if self.image.contains('/') {
            return std::path::absolute(&self.image).map_err(|e| {
                Error::new(Kind::Failed, "cannot tell the current directory").because(e)
            });
        }
        let found = self.image.parse().and_then(|name| {
            let image = lookup::find(&globals.dirs, &name)?;
            image.startable().map(Path::to_owned)
        });
        found.map_err(|error| match error.kind() {
            Kind::NotFound | Kind::Usage if error.advice().is_none() => {
                error.hint(self.other_image())
            }
            _ => error,
        })
    }

    /// What was meant, if not an image of that name.
    fn other_image(&self) -> String {
        let image = &self.image;
        if Path::new(image).is_dir() {
            format!("a directory is given with a slash: ./{image}")
        } else {
            "images are made by `nsrun import FILE NAME`; a directory is given with a slash".into()
        }
    }
}

fn name_of(root: &Path) -> Result<MachineName> {
    let last = root.file_name().map(|name| name.to_string_lossy());
    let whole = |name: &str| match name.strip_suffix(".raw") {
        Some(stem) if !root.is_dir() => MachineName::cleaned(stem),
        _ => MachineName::cleaned(name),
    };
    last.and_then(|name| whole(&name)).ok_or_else(|| {
        let root = root.display();
        Error::new(
            Kind::Usage,
            format!("cannot make a machine name from {root}"),
        )
        .hint("name the machine with --machine=NAME")
    })
}

/// Reads `NAME=VALUE` or, for the caller's value, `NAME`.
pub fn environment(texts: &[String]) -> Result<Vec<(String, String)>> {
    texts.iter().map(|text| variable(text)).collect()
}

fn variable(text: &str) -> Result<(String, String)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => (text, std::env::var(text).unwrap_or_default()),
    };
    if name.is_empty() {
        let text = text.escape_debug();
        return Err(Error::new(
            Kind::Usage,
            format!("invalid environment variable '{text}'"),
        ));
    }
    Ok((name.to_owned(), value))
}

/// Capabilities between commas.
pub fn capabilities(text: &str) -> Result<CapSet> {
    if text.is_empty() {
        return Err(Error::new(Kind::Usage, "it names no capability"));
    }
    text.parse()
}

fn union(sets: &[CapSet]) -> CapSet {
    sets.iter().fold(CapSet::default(), |all, set| all | *set)
}

fn ownerships() -> impl TypedValueParser<Value = Ownership> {
    PossibleValuesParser::new(Ownership::ALL.map(Ownership::word)).try_map(|word| {
        let found = Ownership::ALL.into_iter().find(|mode| mode.word() == word);
        found.ok_or("no such mode")
    })
}

fn places() -> impl TypedValueParser<Value = Changes> {
    PossibleValuesParser::new(["memory", "disk"]).map(|word| match word.as_str() {
        "disk" => Changes::OnDisk,
        _ => Changes::InMemory,
    })
}

fn volatiles() -> impl TypedValueParser<Value = Volatile> {
    const ALL: [(&str, Volatile); 4] = [
        ("no", Volatile::No),
        ("yes", Volatile::Yes),
        ("state", Volatile::State),
        ("overlay", Volatile::Overlay),
    ];
    PossibleValuesParser::new(ALL.map(|(word, _)| word)).try_map(|word| {
        let found = ALL.into_iter().find(|(name, _)| *name == word);
        found.map(|(_, mode)| mode).ok_or("no such mode")
    })
}
