//! Options that every verb takes, before it or after it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueHint;
use nsrun_runtime::Dirs;

use crate::compat::Peer;

/// Global options as typed.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Keep images in DIR [default: /var/lib/machines]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        value_hint = ValueHint::DirPath,
        env = "NSRUN_IMAGE_ROOT",
        hide_env_values = true
    )]
    image_root: Option<PathBuf>,

    /// Keep state in DIR instead of /run/nsrun and /var/lib/nsrun
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        value_hint = ValueHint::DirPath,
        env = "NSRUN_STATE_ROOT",
        hide_env_values = true
    )]
    state_root: Option<PathBuf>,

    /// Print results as JSON
    #[arg(long, global = true)]
    json: bool,

    /// Print errors only
    #[arg(short, long, global = true)]
    quiet: bool,
}

/// Global options as the verbs use them.
#[derive(Debug)]
pub struct Globals {
    /// Where images and state are.
    pub dirs: Dirs,
    /// Results are printed as JSON.
    pub json: bool,
    /// Nothing but errors is printed.
    pub quiet: bool,
    /// This process is a machine's supervisor in the background.
    pub supervise: bool,
    /// It ends with the process that has started it.
    pub tied: bool,
    /// The words after the program's name: a supervisor in the background gets the same.
    pub words: Vec<OsString>,
    /// The program whose name this one was called by, if not by its own.
    pub peer: Option<Peer>,
}

impl GlobalArgs {
    /// Fills in the defaults.
    pub fn resolve(&self) -> Globals {
        Globals {
            dirs: Dirs::new(self.image_root.as_deref(), self.state_root.as_deref()),
            json: self.json,
            quiet: self.quiet,
            supervise: false,
            tied: false,
            words: Vec::new(),
            peer: None,
        }
    }
}
