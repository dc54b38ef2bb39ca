//! Verbs for transfers, of both programs.

use super::args::{ImportVerb, Importctl, Options, Transfer, TransferOptions};
use super::{Json, Refusal, Step, Style, Subject, Translation, words};
use crate::compat::table::Addresses;

/// What a verb of machinectl's comes to.
pub(super) fn machinectl(verb: &ImportVerb, options: &Options) -> Result<Translation, Refusal> {
    let style = options.style()?;
    translate(verb, &options.transfer, options.common.quiet, style)
}

/// What a command line of importctl's comes to.
pub(super) fn importctl(cli: &Importctl) -> Result<Translation, Refusal> {
    let json = match cli.json.as_deref() {
        Some("short") => Some(Json::Short),
        Some("pretty") => Some(Json::Pretty),
        _ => None,
    };
    let style = Style {
        no_legend: cli.common.no_legend || json.is_some(),
        json,
        all: false,
        addresses: Addresses::default(),
    };
    let verb = cli.verb.as_ref().unwrap_or(&ImportVerb::ListTransfers);
    check_class(cli, verb)?;
    if matches!(verb, ImportVerb::ListImages) {
        return Ok(steps(vec![Step::ImagesWithPaths(style)]));
    }
    if cli.keep_download.as_deref().is_some_and(is_true) && !cli.no_download {
        let why = "what is downloaded is unpacked at once";
        return Err(Refusal::of("--keep-download=yes", why));
    }
    translate(verb, &cli.transfer, cli.common.quiet, style)
}

fn is_true(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    matches!(&*text, "1" | "yes" | "y" | "true" | "t" | "on")
}

/// A class has to be named where something is made or read.
fn check_class(cli: &Importctl, verb: &ImportVerb) -> Result<(), Refusal> {
    let listing = matches!(
        verb,
        ImportVerb::ListImages | ImportVerb::ListTransfers | ImportVerb::CancelTransfer(_)
    );
    let other = [
        (cli.portable, "portable"),
        (cli.sysext, "sysext"),
        (cli.confext, "confext"),
    ];
    let other = other
        .iter()
        .find(|(given, _)| *given)
        .map(|(_, class)| *class);
    match (other.or(cli.class.as_deref()), cli.of_machines) {
        (Some("machine") | None, true) | (Some("machine"), false) => Ok(()),
        (None, false) if listing => Ok(()),
        (None, false) => Err(Refusal::Unsupported(
            "No image class specified, use --class= or -m.".to_owned(),
        )),
        (Some(class), _) => Err(Refusal::of(
            &format!("--class={}", class.escape_debug()),
            "it has images of machines only",
        )),
    }
}

fn translate(
    verb: &ImportVerb,
    options: &TransferOptions,
    quiet: bool,
    style: Style,
) -> Result<Translation, Refusal> {
    let disk = "a disk image is a file, which is copied as it is";
    match verb {
        ImportVerb::ListImages => Ok(steps(vec![Step::Images(style)])),
        ImportVerb::ListTransfers => {
            let line = (!style.no_legend).then(|| Step::Say("No transfers.".to_owned()));
            Ok(steps(line.into_iter().collect()))
        }
        ImportVerb::CancelTransfer(_) => Err(Refusal::of(
            "cancel-transfer",
            "transfers end with the command that they were started by",
        )),
        ImportVerb::ImportTar(transfer) => import("import", transfer, options, quiet),
        ImportVerb::ImportFs(transfer) => import("import-fs", transfer, options, quiet),
        ImportVerb::PullTar(transfer) => pull(transfer, options, quiet),
        ImportVerb::ExportTar(transfer) => Ok(export(transfer, options, quiet)),
        ImportVerb::ImportRaw(transfer) => import("import-raw", transfer, options, quiet),
        ImportVerb::ExportRaw(_) => Err(Refusal::of("export-raw", disk)),
        ImportVerb::PullRaw(_) => Err(Refusal::of("pull-raw", disk)),
        ImportVerb::PullOci(_) => Err(Refusal::of("pull-oci", "it has no registries")),
    }
}

fn steps(steps: Vec<Step>) -> Translation {
    Translation {
        steps,
        failure: "",
        subject: Subject::Image,
    }
}

/// What the peer says before and after a transfer.
fn told(quiet: bool, before: String, step: Vec<Step>) -> Translation {
    let note = |text: String| Step::Note(text);
    let mut all = Vec::new();
    if !quiet {
        all.push(note(before));
    }
    all.extend(step);
    if !quiet {
        all.push(note("Operation completed successfully.".to_owned()));
    }
    Translation {
        steps: all,
        failure: "Failed to transfer image",
        subject: Subject::Image,
    }
}

/// A line about nothing in particular.
fn line(quiet: bool, given: &[&str]) -> Step {
    let quiet: &[&str] = if quiet { &["--quiet"] } else { &[] };
    Step::Nsrun {
        words: words(&[quiet, given].concat()),
        name: None,
    }
}

fn checked(options: &TransferOptions, to: Option<&str>) -> Result<(), Refusal> {
    if options.force {
        let why = "an image is replaced by removing it first";
        return Err(Refusal::of("--force", why));
    }
    if options.read_only && to.is_none() {
        let why = "the image is marked by its name afterwards";
        return Err(Refusal::of("--read-only without the image's name", why));
    }
    Ok(())
}

fn marked(options: &TransferOptions, to: Option<&str>) -> Option<Step> {
    let name = to.filter(|_| options.read_only)?;
    Some(line(true, &["read-only", name]))
}

fn import(
    verb: &str,
    transfer: &Transfer,
    options: &TransferOptions,
    quiet: bool,
) -> Result<Translation, Refusal> {
    let (from, to) = (&*transfer.from, transfer.to.as_deref());
    checked(options, to)?;
    let given: Vec<&str> = [verb, "--", from].into_iter().chain(to).collect();
    let mut all = vec![line(quiet, &given)];
    all.extend(marked(options, to));
    Ok(told(quiet, saving("Importing", from, to), all))
}

fn saving(what: &str, from: &str, to: Option<&str>) -> String {
    let saved = to.map(|name| format!(", saving as '{name}'"));
    format!("{what} '{from}'{}.", saved.unwrap_or_default())
}

fn pull(
    transfer: &Transfer,
    options: &TransferOptions,
    quiet: bool,
) -> Result<Translation, Refusal> {
    let (from, to) = (&*transfer.from, transfer.to.as_deref());
    checked(options, to)?;
    let verify = match options.verify.as_deref() {
        Some(mode @ ("no" | "checksum")) => format!("--verify={mode}"),
        _ => {
            let why = "it checks checksums only; say --verify=checksum";
            return Err(Refusal::of("--verify=signature, the default,", why));
        }
    };
    let given = ["pull", &verify, "--", from].into_iter().chain(to);
    let mut all = vec![line(quiet, &given.collect::<Vec<_>>())];
    all.extend(marked(options, to));
    Ok(told(quiet, saving("Pulling", from, to), all))
}

fn export(transfer: &Transfer, options: &TransferOptions, quiet: bool) -> Translation {
    let (name, file) = (&*transfer.from, transfer.to.as_deref());
    let format = options.format.as_ref().map(|f| format!("--format={f}"));
    let given = ["export"].into_iter().chain(format.as_deref());
    let given = given.chain(["--", name]).chain(file);
    let given: Vec<&str> = given.collect();
    let to = file.filter(|file| *file != "-");
    let before = match to {
        Some(file) => format!("Exporting '{name}', saving to '{file}'."),
        None => format!("Exporting '{name}', writing to stdout."),
    };
    told(quiet, before, vec![line(quiet, &given)])
}
