//! Options for the payload's processes and secrets, in nspawn's spelling.

use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use clap::builder::{BoolishValueParser, NonEmptyStringValueParser};
use nsrun_runtime::caps::CapSet;
use nsrun_runtime::plan::credentials::{self, Credential};
use nsrun_runtime::plan::tuning::{AskedLimit, CpuList, OomScore, Personality, Tuning};
use nsrun_runtime::plan::{ConsoleMode, LinkJournal};
use nsrun_runtime::supervise::Signal;
use nsrun_runtime::{Context, Error, Kind, Result};

use super::machine_args::capabilities;

/// Where they are in the help: by each option, since a group's heading would hold for what follows.
const HEADING: &str = "Processes and secrets";

// How processes run, and what they are told in secret.
#[derive(clap::Args, Debug)]
pub struct ProcessArgs {
    /// Set a resource limit; `infinity` is one, sizes end with K, M, G, T
    #[arg(help_heading = HEADING, long, value_name = "NAME=SOFT[:HARD]")]
    rlimit: Vec<AskedLimit>,

    /// Set how much the kernel would like to kill the payload, from -1000 to 1000
    #[arg(help_heading = HEADING, long, value_name = "SCORE", allow_hyphen_values = true)]
    oom_score_adjust: Option<OomScore>,

    /// Run on these processors alone, such as 0,2-3
    #[arg(help_heading = HEADING, long, value_name = "LIST")]
    cpu_affinity: Option<CpuList>,

    /// Set what programs are told of the processor, such as x86 on x86-64
    #[arg(help_heading = HEADING, long, value_name = "PROCESSOR")]
    personality: Option<Personality>,

    /// Ask the payload to stop by this signal [default: SIGRTMIN+3 for boot]
    #[arg(help_heading = HEADING, long, value_name = "SIGNAL")]
    kill_signal: Option<Signal>,

    /// Run as a user of the image, by name or number [default: root]
    #[arg(help_heading = HEADING, short, long, alias = "uid", value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new())]
    pub user: Option<String>,

    /// Give the command capabilities that it has as any user, separated by commas
    #[arg(help_heading = HEADING, long, value_name = "LIST", value_parser = capabilities)]
    pub ambient_capability: Vec<CapSet>,

    /// Choose the console: `interactive`, `read-only`, `passive`, `pipe` for nsrun's streams, or
    /// `autopipe` [default: a terminal for boot, autopipe for run]
    #[arg(help_heading = HEADING, long, value_name = "MODE")]
    console: Option<ConsoleMode>,

    /// Hand nsrun's streams over, as --console=pipe
    #[arg(help_heading = HEADING, short = 'P', long, conflicts_with = "console")]
    pipe: bool,

    /// Tell the service manager that the machine is ready when it says so [default: yes for boot]
    #[arg(help_heading = HEADING, long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        value_parser = BoolishValueParser::new(),
        overrides_with = "no_notify_ready"
    )]
    notify_ready: Option<bool>,

    /// Do not wait for it
    #[arg(long, hide = true, overrides_with = "notify_ready")]
    no_notify_ready: bool,

    /// Show the machine's journal on the host: in a directory of the `host`, or by a link to that of
    /// the `guest`; `try-host`, `try-guest` if the host keeps journals; `auto` as it is; `no`
    #[arg(help_heading = HEADING, long, value_name = "MODE")]
    link_journal: Option<LinkJournal>,

    /// Link the journal if the host keeps journals, as --link-journal=try-guest
    #[arg(help_heading = HEADING, short = 'j', conflicts_with = "link_journal")]
    journal: bool,

    /// Give the payload a secret, with C's escapes in the VALUE
    #[arg(help_heading = HEADING, long, value_name = "ID:VALUE")]
    set_credential: Vec<String>,

    /// Give the payload a secret from a file, a socket, or nsrun's own credential of that name
    #[arg(help_heading = HEADING, long, value_name = "ID:PATH")]
    load_credential: Vec<String>,
}

impl ProcessArgs {
    /// What the standard streams are.
    pub fn console(&self) -> Option<ConsoleMode> {
        self.console.or(self.pipe.then_some(ConsoleMode::Pipe))
    }

    /// Whether readiness is what the payload says.
    pub fn notify_ready(&self) -> Option<bool> {
        self.notify_ready.or(self.no_notify_ready.then_some(false))
    }

    /// Whose directory the machine's journal is in.
    pub fn link_journal(&self) -> LinkJournal {
        let short = self.journal.then_some(LinkJournal::TryGuest);
        self.link_journal.or(short).unwrap_or_default()
    }

    /// How processes run.
    pub fn tuning(&self) -> Tuning {
        Tuning {
            limits: self.rlimit.clone(),
            oom_score: self.oom_score_adjust,
            cpus: self.cpu_affinity.clone(),
            personality: self.personality,
            stop_signal: self.kill_signal,
        }
    }

    /// The secrets, read from where they are.
    pub fn credentials(&self) -> Result<Vec<Credential>> {
        let set = self
            .set_credential
            .iter()
            .map(|text| Credential::parse(text).map_err(|error| of("--set-credential", error)));
        let loaded = self
            .load_credential
            .iter()
            .map(|text| load(text).map_err(|error| of("--load-credential", error)));
        set.chain(loaded).collect()
    }
}

/// An error about the value of an option.
fn of(option: &str, error: Error) -> Error {
    Error::new(error.kind(), format!("cannot use {option}")).because(error)
}

fn load(text: &str) -> Result<Credential> {
    let (id, source) = credentials::split(text)?;
    let path = located(source)?;
    let value = read(&path).cannot(|| {
        format!(
            "read credential '{}' from {}",
            id.escape_debug(),
            path.display()
        )
    })?;
    Credential::new(id, value)
}

/// A path, or a file in the directory of nsrun's own credentials.
fn located(source: &str) -> Result<PathBuf> {
    if source.contains('/') {
        return Ok(source.into());
    }
    let own = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|_| !source.is_empty());
    own.map(|dir| Path::new(&dir).join(source)).ok_or_else(|| {
        let source = source.escape_debug();
        Error::new(Kind::Usage, format!("cannot find credential '{source}'"))
            .hint("give a path with a slash; without one, $CREDENTIALS_DIRECTORY is searched")
    })
}

/// One byte more than there may be, so that too much is noticed.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let limit = u64::try_from(credentials::MAX_SIZE).unwrap_or(u64::MAX) + 1;
    let mut value = Vec::new();
    if std::fs::metadata(path)?.file_type().is_socket() {
        UnixStream::connect(path)?
            .take(limit)
            .read_to_end(&mut value)?;
    } else {
        std::fs::File::open(path)?
            .take(limit)
            .read_to_end(&mut value)?;
    }
    Ok(value)
}
