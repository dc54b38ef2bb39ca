//! A command of a shell in a machine.

use std::cell::RefCell;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use nsrun_runtime::{Context, attach};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::hosts;
use super::machine::{Machine, within};
use super::protocol::{Bytes, Execute, Failure, duration};
use super::source::own_words;

/// The environment is that of a login. bash knows `pipefail`, other shells may not.
const SHELL: &str = "\
if [ -r /etc/profile ]; then . /etc/profile >/dev/null 2>&1; fi
if command -v bash >/dev/null; then exec bash -c \"set -euo pipefail; $1\"; fi
exec sh -c \"set -eu; $1\"";

/// The status of timeout(1) when the time is up.
const TIMED_OUT: u8 = 124;

/// How long errors are waited for whose writer may go on for ever.
const ERRORS: Duration = Duration::from_millis(20);

/// What was written, or the first part of it.
#[derive(Debug, Default)]
struct Written {
    bytes: Vec<u8>,
    lost: usize,
}

/// Runs it, and answers with its exit status and what it wrote.
pub(super) async fn run(machine: &Machine, execute: Execute) -> Result<Value, Failure> {
    let patience = duration(execute.timeout_usec);
    let deadline = patience.map(|patience| Instant::now() + patience);
    let life = machine.wait_up(patience).await?;
    hosts::settle(machine, &life).await?;
    let mut child = start(machine, &execute)?;
    if execute.detach {
        tokio::task::spawn_local(async move { child.wait().await });
        return Ok(json!({ "status": null }));
    }
    let number = child.id();
    let (output, errors) = (share(), share());
    let reading = read(child.stderr.take(), Rc::clone(&errors), execute.limit_bytes);
    let mut reading = tokio::task::spawn_local(reading);
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let ended = within(left, finish(&mut child, &execute, &output)).await;
    let timed_out = ended.is_none();
    let status = match ended {
        Some(status) => code(status.cannot(|| "wait for a command")?),
        None => {
            if let Some(number) = number {
                attach::end_command(&machine.dirs, &machine.real, number)?;
            }
            let _ = child.wait().await;
            TIMED_OUT
        }
    };
    let _ = tokio::time::timeout(ERRORS, &mut reading).await;
    reading.abort();
    let (output, errors) = (output.take(), errors.take());
    Ok(json!({
        "status": status,
        "timed_out": timed_out,
        "stdout": Bytes(output.bytes),
        "stdout_lost_bytes": output.lost,
        "stderr": Bytes(errors.bytes),
        "stderr_lost_bytes": errors.lost,
    }))
}

fn start(machine: &Machine, execute: &Execute) -> Result<Child, Failure> {
    let stream = || match execute.detach {
        true => Stdio::null(),
        false => Stdio::piped(),
    };
    let mut command = command(machine, &["sh", "-c", SHELL, "nsrun", &execute.command]);
    let command = command.stdin(stream()).stdout(stream()).stderr(stream());
    Ok(command.spawn().cannot(|| "start a command")?)
}

/// A command in the machine, without a shell.
pub(super) fn command(machine: &Machine, words: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("nsrun")
        .args(own_words(&machine.dirs))
        .args(["--quiet", "exec", "--no-tty", "--no-set-environment"])
        .args(["--keep-processes", machine.real.as_str(), "--"])
        .args(words)
        .kill_on_drop(true);
    command
}

/// Gives it its input, takes its output to the end of it, and waits.
async fn finish(
    child: &mut Child,
    execute: &Execute,
    output: &Rc<RefCell<Written>>,
) -> std::io::Result<ExitStatus> {
    let input = child.stdin.take();
    let give = async {
        if let Some(mut input) = input {
            // It need not read all of it.
            let _ = input.write_all(&execute.stdin.0).await;
        }
    };
    let take = read(child.stdout.take(), Rc::clone(output), execute.limit_bytes);
    let ((), ()) = tokio::join!(give, take);
    child.wait().await
}

fn share() -> Rc<RefCell<Written>> {
    Rc::default()
}

async fn read(from: Option<impl AsyncRead + Unpin>, into: Rc<RefCell<Written>>, limit: usize) {
    let Some(mut from) = from else { return };
    let mut piece = vec![0; 64 * 1024];
    // An error is an end, too.
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let mut into = into.borrow_mut();
        let room = limit.saturating_sub(into.bytes.len()).min(length);
        into.bytes.extend(piece.get(..room).unwrap_or_default());
        into.lost += length - room;
    }
}

fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
