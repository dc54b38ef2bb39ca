//! Another nsrun that does a part of our work.

use std::process::Command;

use crate::dirs::Dirs;

/// A command of this same program with the same directories. What joins a PID namespace cannot
/// leave it, so a command that goes on has a process of its own join.
pub(crate) fn nsrun(dirs: &Dirs) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("--image-root").arg(dirs.image_root());
    if let Some(root) = dirs.state_root() {
        command.arg("--state-root").arg(root);
    }
    command
}
