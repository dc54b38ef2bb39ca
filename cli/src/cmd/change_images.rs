//! `nsrun remove`, `rename`, `read-only` and `clean`.

use indicatif::BinaryBytes;
use nsrun_runtime::image::{self, Cleaned, ImageName};
use nsrun_runtime::{Error, Kind, Result};
use serde_json::json;

use crate::globals::Globals;
use crate::report;

#[derive(clap::Args, Debug)]
pub(crate) struct RemoveArgs {
    /// The images' names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<ImageName>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct RenameArgs {
    /// The image's name
    old: ImageName,

    /// The name that it gets
    #[arg(value_parser = ImageName::of_new)]
    new: ImageName,
}

const READ_ONLY_EXAMPLES: &str = "\
Examples:
  nsrun read-only web
  nsrun read-only web no";

#[derive(clap::Args, Debug)]
#[command(after_help = READ_ONLY_EXAMPLES)]
pub(crate) struct ReadOnlyArgs {
    /// The image's name
    name: ImageName,

    /// Whether it is to be read-only
    #[arg(value_name = "BOOL", default_value = "yes", action = clap::ArgAction::Set, value_parser = parse_bool)]
    read_only: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct CleanArgs {
    /// Remove all images, not only hidden ones
    #[arg(short, long)]
    all: bool,
}

/// Removes images.
pub(crate) fn remove(args: &RemoveArgs, globals: &Globals) -> Result<()> {
    image::remove(&globals.dirs, &args.names)?;
    if globals.json {
        return report::json(&json!({ "removed": args.names }));
    }
    for name in args.names.iter().filter(|_| !globals.quiet) {
        report::line(format_args!("removed {name}"));
    }
    Ok(())
}

/// Renames an image.
pub(crate) fn rename(args: &RenameArgs, globals: &Globals) -> Result<()> {
    let RenameArgs { old, new } = args;
    image::rename(&globals.dirs, old, new)?;
    if globals.json {
        return report::json(&json!({ "old": old, "new": new }));
    }
    if !globals.quiet {
        report::line(format_args!("renamed {old} to {new}"));
    }
    Ok(())
}

/// Makes an image read-only or writable.
pub(crate) fn read_only(args: &ReadOnlyArgs, globals: &Globals) -> Result<()> {
    let ReadOnlyArgs { name, read_only } = args;
    image::set_read_only(&globals.dirs, name, *read_only)?;
    if globals.json {
        return report::json(&json!({ "name": name, "read_only": read_only }));
    }
    if !globals.quiet {
        let word = if *read_only { "read-only" } else { "writable" };
        report::line(format_args!("{name} is {word}"));
    }
    Ok(())
}

/// Removes what is hidden and left behind, or all images.
pub(crate) fn clean(args: &CleanArgs, globals: &Globals) -> Result<()> {
    let cleaning = image::clean(&globals.dirs, args.all)?;
    if globals.json {
        let (removed, busy) = (&cleaning.removed, &cleaning.busy);
        report::json(&json!({ "removed": removed, "busy": busy }))?;
    } else if !globals.quiet {
        cleaning.removed.iter().for_each(cleaned);
        for name in &cleaning.busy {
            report::note(format_args!("{name} is in use and was kept"));
        }
        let bytes = cleaning.removed.iter().filter_map(|image| image.bytes);
        let (count, bytes) = (cleaning.removed.len(), BinaryBytes(bytes.sum()));
        report::line(format_args!("removed {count} images, {bytes}"));
    }
    let failed = cleaning.problems.len();
    match cleaning.problems.into_iter().next() {
        None => Ok(()),
        Some(first) => {
            let what = format!("cannot remove {failed} images, the first");
            Err(Error::new(first.kind(), what).because(first))
        }
    }
}

fn cleaned(image: &Cleaned) {
    let name = &image.name;
    match image.bytes {
        Some(bytes) => report::line(format_args!("removed {name}: {}", BinaryBytes(bytes))),
        None => report::line(format_args!("removed {name}")),
    }
}

/// The words that systemd takes.
fn parse_bool(text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Ok(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Ok(false),
        _ => Err(Error::new(Kind::Usage, "it is neither yes nor no")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_systemds() {
        for (text, value) in [("yes", true), ("ON", true), ("0", false), ("no", false)] {
            assert_eq!(parse_bool(text).unwrap(), value, "{text}");
        }
        for bad in ["", "foo", "-1"] {
            assert!(parse_bool(bad).is_err(), "{bad}");
        }
    }
}
