//! A session of a user in a machine.

use std::sync::Arc;

use super::enter::{Command, exec, running};
use super::user::User;
use crate::dirs::Dirs;
use crate::error::Result;
use crate::facts::ImageRoot;
use crate::machine::Cgroups;
use crate::name::MachineName;
use crate::state::Store;

/// Asks who the user's shell is, also of a name service, and becomes that.
const LOGIN_SHELL: &str = r#"shell=$(getent passwd "$1" 2>/dev/null) && exec "${shell##*:}" -l; exec "${SHELL:-/bin/sh}" -l"#;

/// A session to be opened.
#[derive(Clone, Debug, Default)]
pub struct Shell {
    /// Whose; a name or number of the machine's.
    pub user: Option<String>,
    /// The command and its arguments, by path; a login shell if there are none.
    pub words: Vec<String>,
    /// More environment.
    pub env: Vec<(String, String)>,
    /// Where it starts; the user's home if not said.
    pub workdir: Option<String>,
    /// Whether it has a terminal.
    pub terminal: bool,
}

/// Opens the session through the machine's systemd, with all that PAM does for a login; in a machine
/// without it, the command is run as the user and nothing more. Returns its exit status.
///
/// # Errors
/// As [`exec`].
pub fn shell(dirs: &Dirs, name: &MachineName, shell: &Shell) -> Result<u8> {
    let store = Store::new(dirs, Arc::new(Cgroups::probe()?));
    let machine = running(&store, name)?;
    let leader = machine.leader()?.map(|leader| leader.pid());
    let command = match leader.filter(|leader| runs_systemd(*leader)) {
        Some(_) => through_systemd(shell),
        None => plainly(leader, shell)?,
    };
    exec(dirs, name, &command)
}

/// Whether the machine's PID 1 is systemd and can be asked, as sd_booted(3) tells.
fn runs_systemd(leader: i32) -> bool {
    let path = format!("/proc/{leader}/root");
    let root = ImageRoot::open(path.as_ref());
    let bus = |root: &ImageRoot| root.has("run/systemd/private");
    let program = |root: &ImageRoot| {
        let places = ["run/current-system/sw/bin", "usr/bin", "bin"];
        places
            .iter()
            .any(|place| root.has(&format!("{place}/systemd-run")))
    };
    root.is_ok_and(|root| bus(&root) && program(&root))
}

fn through_systemd(shell: &Shell) -> Command {
    let user = shell.user.as_deref().unwrap_or("root");
    let mut words: Vec<String> = [
        "systemd-run",
        "--quiet",
        "--wait",
        "--collect",
        "--service-type=exec",
    ]
    .map(str::to_owned)
    .to_vec();
    words.push(if shell.terminal { "--pty" } else { "--pipe" }.to_owned());
    words.push(format!("--uid={user}"));
    let workdir = shell.workdir.as_deref().unwrap_or("-~");
    words.push(format!("--property=WorkingDirectory={workdir}"));
    // As machined does for its shells.
    for property in [
        "PAMName=login",
        "UtmpMode=user",
        "SendSIGHUP=yes",
        "KillMode=mixed",
        "TTYReset=yes",
    ] {
        words.push(format!("--property={property}"));
    }
    for (key, value) in &shell.env {
        words.push(format!("--setenv={key}={value}"));
    }
    words.push("--".to_owned());
    words.extend(program(shell, user));
    Command {
        words,
        workdir: "/".to_owned(),
        terminal: shell.terminal,
        ..Command::default()
    }
}

fn program(shell: &Shell, user: &str) -> Vec<String> {
    if !shell.words.is_empty() {
        return shell.words.clone();
    }
    ["/bin/sh", "-c", LOGIN_SHELL, "sh", user]
        .map(str::to_owned)
        .to_vec()
}

fn plainly(leader: Option<i32>, shell: &Shell) -> Result<Command> {
    let user = shell.user.as_deref().unwrap_or("root");
    let root = ImageRoot::open(format!("/proc/{}/root", leader.unwrap_or_default()).as_ref())?;
    let words = if shell.words.is_empty() {
        let found = User::find(&root, user).map(|user| user.shell);
        vec![
            found.unwrap_or_else(|_| "/bin/sh".to_owned()),
            "-l".to_owned(),
        ]
    } else {
        shell.words.clone()
    };
    Ok(Command {
        words,
        env: shell.env.clone(),
        workdir: shell.workdir.clone().unwrap_or_default(),
        user: shell.user.clone(),
        terminal: shell.terminal,
        // A login shell does so itself.
        login_environment: !shell.words.is_empty(),
        leaves_processes: false,
    })
}
