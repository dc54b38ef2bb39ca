//! From what a machine is to be made of to the words that start it.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nsrun_runtime::image::{System, lookup};
use nsrun_runtime::state::Incarnation;
use nsrun_runtime::{Context, Dirs, Error, Kind, MachineName, Result};
use sha2::{Digest, Sha256};

use super::hosts::Hosts;
use super::machine::Machine;
use super::protocol::{Create, Failure};

/// How often it is looked whether another has imported the same.
const GLANCE: Duration = Duration::from_millis(200);

/// The machine, whose image is imported if it is an archive that was not before.
pub(super) async fn machine(create: &Create, dirs: &Dirs) -> std::result::Result<Machine, Failure> {
    let name: MachineName = create.machine.parse()?;
    // Other clients have machines of the same name.
    let real = name.with_suffix(&Incarnation::new()?.to_string())?;
    let mut words = own_words(dirs);
    words.splice(0..0, ["--supervise", "--tied"].map(OsString::from));
    words.push("start".into());
    words.extend(
        [
            "--ephemeral=memory".to_owned(),
            format!("--machine={real}"),
            format!("--hostname={name}"),
            "--network=private".to_owned(),
        ]
        .map(OsString::from),
    );
    words.extend(create.options.iter().map(OsString::from));
    words.extend(source(&create.source, dirs).await?);
    let hosts = Hosts::new(&create.hosts);
    Ok(Machine::new(&create.machine, real, dirs, words, hosts))
}

/// The options by which another nsrun has our directories.
pub(super) fn own_words(dirs: &Dirs) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["--image-root".into(), dirs.image_root().into()];
    if let Some(root) = dirs.state_root() {
        words.extend(["--state-root".into(), root.into()]);
    }
    words
}

async fn source(text: &str, dirs: &Dirs) -> Result<Vec<OsString>> {
    let path = Path::new(text);
    if text.contains('/') && path.is_file() && !text.ends_with(".raw") {
        return Ok(vec![import(path, dirs).await?.into()]);
    }
    if text.contains('/') && path.join("init").exists() && System::find(path).is_ok() {
        let path = std::path::absolute(path).cannot(|| format!("find {text}"))?;
        let digest = short(&Sha256::digest(path.as_os_str().as_encoded_bytes()));
        let system = OsString::from_iter([OsString::from("--system="), path.into()]);
        return Ok(vec![system, format!("test-{digest}").into()]);
    }
    if text.contains('/') && !path.exists() {
        let what = format!("there is no file or directory {text}");
        return Err(Error::new(Kind::NotFound, what));
    }
    if !text.contains('/') {
        lookup::find(dirs, &text.parse()?).map_err(|error| {
            error.hint("images are made by `nsrun import FILE NAME`; a file is given with a slash")
        })?;
    }
    Ok(vec![text.into()])
}

/// Imports an archive under a name that its content decides, so that it is imported once.
async fn import(path: &Path, dirs: &Dirs) -> Result<String> {
    let what = || format!("import {}", path.display());
    let digest = digest(path).cannot(what)?;
    let image: MachineName = format!("test-{digest}").parse()?;
    loop {
        match lookup::find(dirs, &image) {
            Ok(_) => return Ok(image.to_string()),
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut command = tokio::process::Command::new("/proc/self/exe");
        let command = command
            .arg0("nsrun")
            .args(own_words(dirs))
            .args(["--quiet", "import", "--"])
            .arg(path)
            .arg(image.as_str())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let done = command.output().await.cannot(what)?;
        let busy = i32::from(Kind::Busy.exit_status());
        match done.status.code() {
            Some(0) => {}
            // Another imports the same.
            Some(code) if code == busy => tokio::time::sleep(GLANCE).await,
            code => return Err(failed(code, &done.stderr)).cannot(what),
        }
    }
}

fn failed(code: Option<i32>, complaints: &[u8]) -> Error {
    let kinds = [Kind::Usage, Kind::NotFound, Kind::HostLacks, Kind::BadInput];
    let is = |kind: &Kind| code == Some(i32::from(kind.exit_status()));
    let kind = kinds.into_iter().find(is).unwrap_or(Kind::Failed);
    let text = String::from_utf8_lossy(complaints);
    let text = text.trim();
    Error::new(kind, text.strip_prefix("nsrun: ").unwrap_or(text))
}

fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut sum = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(short(&sum.finalize())),
            length => sum.update(piece.get(..length).unwrap_or_default()),
        }
    }
}

/// Enough of a sum to tell apart all that a host will ever have.
fn short(sum: &[u8]) -> String {
    sum.iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
