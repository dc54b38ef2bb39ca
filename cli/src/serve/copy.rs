//! Files and directories into a machine, and out of it.

use std::process::Stdio;

use nsrun_runtime::Context;
use serde_json::{Value, json};
use tokio::process::Command;

use super::machine::Machine;
use super::protocol::{Copy, Failure};
use super::source::own_words;

/// Copies what the host has into the machine; what is there is replaced.
pub(super) async fn to(machine: &Machine, copy: &Copy) -> Result<Value, Failure> {
    run(machine, "copy-to", copy).await
}

/// Copies what the machine has to the host.
pub(super) async fn from(machine: &Machine, copy: &Copy) -> Result<Value, Failure> {
    run(machine, "copy-from", copy).await
}

async fn run(machine: &Machine, verb: &str, copy: &Copy) -> Result<Value, Failure> {
    machine.wait_up(None).await?;
    let what = || format!("copy {}", copy.source.display());
    let mut command = Command::new("/proc/self/exe");
    let command = command
        .arg0("nsrun")
        .args(own_words(&machine.dirs))
        .args(["--quiet", verb, "--force", "--"])
        .arg(machine.real.as_str())
        .args([&copy.source, &copy.target])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let done = command.output().await.cannot(what)?;
    if done.status.success() {
        return Ok(json!({}));
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let line = said.lines().find(|line| line.starts_with("nsrun: "));
    let line = line.map_or(said.trim(), |line| line.trim_start_matches("nsrun: "));
    let hint = said.lines().find_map(|line| line.strip_prefix("hint: "));
    Err(Failure {
        hint: hint.map(str::to_owned),
        ..Failure::new("failed", line)
    })
}
