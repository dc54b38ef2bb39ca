//! The grammar of machinectl and importctl.

use clap::{ArgAction, Args, Parser, Subcommand};

const THIS_IS_NSRUN: &str = "\
This is nsrun. It is not systemd, but understands its command lines; what it does not do it
refuses with exit status 1.";

/// Control machines and images
#[derive(Debug, Parser)]
#[command(
    name = "machinectl",
    display_name = "systemd",
    version = crate::compat::VERSION,
    max_term_width = 100,
    after_help = THIS_IS_NSRUN,
    disable_version_flag = true,
    args_override_self = true
)]
pub(crate) struct Machinectl {
    #[command(flatten)]
    pub(super) options: Options,

    /// What to do [default: list]
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,

    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// Import, export and list images
#[derive(Debug, Parser)]
#[command(
    name = "importctl",
    display_name = "systemd",
    version = crate::compat::VERSION,
    max_term_width = 100,
    after_help = THIS_IS_NSRUN,
    disable_version_flag = true,
    args_override_self = true
)]
pub(crate) struct Importctl {
    /// Set the class of the images; `machine` is the only one that is supported
    #[arg(long, global = true, value_name = "CLASS", alias = "image-class")]
    pub(super) class: Option<String>,

    /// The same as --class=machine
    #[arg(short = 'm', global = true)]
    pub(super) of_machines: bool,

    /// Refused
    #[arg(short = 'P', global = true)]
    pub(super) portable: bool,

    /// Refused
    #[arg(short = 'S', global = true)]
    pub(super) sysext: bool,

    /// Refused
    #[arg(short = 'C', global = true)]
    pub(super) confext: bool,

    /// Keep the archive as it was downloaded: refused
    #[arg(long, global = true, value_name = "BOOL")]
    pub(super) keep_download: Option<String>,

    /// The same as --keep-download=no
    #[arg(short = 'N', global = true)]
    pub(super) no_download: bool,

    /// Print JSON: `pretty`, `short` or `off`
    #[arg(short, long, global = true, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "pretty")]
    pub(super) json: Option<String>,

    #[command(flatten)]
    pub(super) transfer: TransferOptions,

    #[command(flatten)]
    pub(super) common: CommonOptions,

    /// What to do [default: list-transfers]
    #[command(subcommand)]
    pub(super) verb: Option<ImportVerb>,

    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// Options of both.
#[derive(Args, Debug, Default)]
pub(super) struct CommonOptions {
    /// Print errors only
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,

    /// Print rows only, without heading and count
    #[arg(long, global = true)]
    pub(super) no_legend: bool,

    /// Accepted: there is no pager
    #[arg(long, global = true)]
    no_pager: bool,

    /// Accepted: nobody is asked
    #[arg(long, global = true)]
    no_ask_password: bool,

    /// Accepted: machines are root's
    #[arg(long, global = true)]
    system: bool,
}

/// Options of transfers in both.
#[derive(Args, Debug, Default)]
pub(super) struct TransferOptions {
    /// Make what is made read-only
    #[arg(long, global = true)]
    pub(super) read_only: bool,

    /// Replace what exists
    #[arg(long, global = true)]
    pub(super) force: bool,

    /// Check what is pulled: `checksum` or `no`; `signature` is refused
    #[arg(long, global = true, value_name = "MODE")]
    pub(super) verify: Option<String>,

    /// Compress an export by uncompressed, xz, gzip, bzip2 or zstd
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(super) format: Option<String>,
}

/// Options of machinectl, which go before or after the verb.
#[derive(Args, Debug, Default)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: CommonOptions,

    #[command(flatten)]
    pub(super) transfer: TransferOptions,

    /// Show these properties only
    #[arg(short, long, global = true, value_name = "NAME", value_delimiter = ',')]
    pub(super) property: Vec<String>,

    /// Print values without the properties' names
    #[arg(long, global = true)]
    pub(super) value: bool,

    /// The same as --value --property=NAME
    #[arg(short = 'P', global = true, value_name = "NAME", value_delimiter = ',')]
    pub(super) values_of: Vec<String>,

    /// Show what is hidden, or empty; clean: remove all images
    #[arg(short, long, global = true)]
    pub(super) all: bool,

    /// Do not cut lines
    #[arg(short = 'l', long, global = true)]
    pub(super) full: bool,

    /// Send a signal to `leader` or `all`
    #[arg(long, global = true, value_name = "WHOM", alias = "kill-who")]
    pub(super) kill_whom: Option<String>,

    /// Send this signal
    #[arg(short, long, global = true, value_name = "SIGNAL")]
    pub(super) signal: Option<String>,

    /// Open the session of this user
    #[arg(long, global = true, value_name = "USER")]
    pub(super) uid: Option<String>,

    /// Set an environment variable, or pass one on
    #[arg(short = 'E', long, global = true, value_name = "NAME[=VALUE]")]
    pub(super) setenv: Vec<String>,

    /// Make the target of a bind mount if it is missing
    #[arg(long, global = true)]
    pub(super) mkdir: bool,

    /// Show so many lines of the console
    #[arg(short = 'n', long, global = true, value_name = "N")]
    pub(super) lines: Option<String>,

    /// Show so many addresses, or `all`
    #[arg(long, global = true, value_name = "N")]
    pub(super) max_addresses: Option<String>,

    /// Print tables as JSON: `json` or `json-pretty`
    #[arg(short, long, global = true, value_name = "MODE")]
    pub(super) output: Option<String>,

    /// enable, disable: start or power off as well
    #[arg(long, global = true)]
    pub(super) now: bool,

    /// `nspawn` is the only one that is supported
    #[arg(long, global = true, value_name = "RUNNER")]
    pub(super) runner: Option<String>,

    /// Refused
    #[arg(short = 'V', global = true)]
    pub(super) vmspawn: bool,

    /// Refused
    #[arg(short = 'H', long, global = true, value_name = "HOST")]
    pub(super) host: Option<String>,

    /// Refused
    #[arg(short = 'M', long, global = true, value_name = "CONTAINER")]
    pub(super) machine: Option<String>,

    /// Refused
    #[arg(long, global = true)]
    pub(super) user: bool,
}

/// Names of machines or images.
#[derive(Args, Debug)]
pub(super) struct Names {
    /// Names
    #[arg(value_name = "NAME", required = true)]
    pub(super) names: Vec<String>,
}

/// Names, if there are any.
#[derive(Args, Debug)]
pub(super) struct MaybeNames {
    /// Names
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
}

/// A machine, and a path in and out of it.
#[derive(Args, Debug)]
pub(super) struct Paths {
    /// The machine
    pub(super) name: String,
    /// From here
    pub(super) source: String,
    /// To here [default: the same path]
    pub(super) target: Option<String>,
}

/// Verbs of machinectl.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List running machines
    List,
    /// Show what is known of machines
    Status(Names),
    /// Print properties of machines
    Show(MaybeNames),
    /// Start machines
    Start(Names),
    /// Log in to a machine
    Login(MaybeNames),
    /// Open a session in a machine
    Shell {
        /// The machine and the user, then the command and its arguments
        #[arg(value_name = "[USER@]NAME [COMMAND]", trailing_var_arg = true)]
        words: Vec<String>,
    },
    /// Start machines when the host starts
    Enable(Names),
    /// Do not
    Disable(Names),
    /// Ask machines to power off
    Poweroff(Names),
    /// Stop machines, and wait for their end
    Stop(Names),
    /// Ask machines to reboot
    #[command(alias = "restart")]
    Reboot(Names),
    /// End machines at once
    Terminate(Names),
    /// Send a signal to machines
    Kill(Names),
    /// Stop all processes of machines where they are
    Pause(Names),
    /// Let them go on
    Resume(Names),
    /// Show a file or directory of the host in a machine
    Bind(Paths),
    /// Copy into a machine
    CopyTo(Paths),
    /// Copy from a machine
    CopyFrom(Paths),
    /// Verbs for images.
    #[command(flatten)]
    Image(ImageVerb),
    /// Verbs for transfers.
    #[command(flatten)]
    Transfer(ImportVerb),
}

/// Verbs for images.
#[derive(Debug, Subcommand)]
pub(super) enum ImageVerb {
    /// Show what is known of images
    ImageStatus(MaybeNames),
    /// Print properties of images
    ShowImage(MaybeNames),
    /// Edit a settings file
    Edit(Names),
    /// Print settings files
    Cat(Names),
    /// Copy an image
    Clone {
        /// The image
        source: String,
        /// The copy
        name: String,
    },
    /// Give an image another name
    Rename {
        /// The image
        old: String,
        /// Its new name
        new: String,
    },
    /// Make an image read-only or writable
    ReadOnly {
        /// The image
        name: String,
        /// Whether it is to be read-only
        how: Option<String>,
    },
    /// Remove images
    Remove(Names),
    /// Set how much space an image may take
    SetLimit {
        /// The image, and the limit
        #[arg(required = true, num_args = 1..=2)]
        words: Vec<String>,
    },
    /// Remove hidden images
    Clean,
}

/// Verbs for transfers and their results, which importctl has too.
#[derive(Debug, Subcommand)]
pub(super) enum ImportVerb {
    /// List images
    ListImages,
    /// Make an image from a tar archive
    ImportTar(Transfer),
    /// Make an image from a disk image
    ImportRaw(Transfer),
    /// Make an image from a directory
    ImportFs(Transfer),
    /// Write an image as a tar archive
    ExportTar(Transfer),
    /// Write a disk image
    ExportRaw(Transfer),
    /// Make an image from a tar archive on a server
    PullTar(Transfer),
    /// Make an image from a disk image on a server
    PullRaw(Transfer),
    /// Make an image from one of a registry
    PullOci(Transfer),
    /// List transfers that are going on: there are none
    #[command(alias = "list-transfer")]
    ListTransfers,
    /// End transfers
    CancelTransfer(Names),
}

/// Where from, and where to.
#[derive(Args, Debug)]
pub(super) struct Transfer {
    /// From here
    #[arg(value_name = "FROM")]
    pub(super) from: String,
    /// To here
    #[arg(value_name = "TO")]
    pub(super) to: Option<String>,
}
