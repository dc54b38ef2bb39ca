//! `nsrun install-compat`: links by which nsrun is called as the programs whose command lines it
//! understands.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use nsrun_runtime::{Context, Error, Kind, Result};

use crate::compat::Peer;
use crate::globals::Globals;
use crate::report;

pub const HELP: &str = "\
Examples:
  nsrun install-compat /usr/local/sbin
  nsrun install-compat --remove /usr/local/sbin

By the name of a link nsrun understands that program's command line, and has its defaults,
messages and exit statuses. What it does not do it refuses by name, with status 1.";

#[derive(clap::Args, Debug)]
pub struct InstallCompatArgs {
    /// The directory of the links, such as one that comes early in PATH
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: PathBuf,

    /// Remove the links; what is no link to nsrun stays
    #[arg(long)]
    remove: bool,
}

/// What is at a link's place.
enum Place {
    Free,
    /// A link to a program of the name nsrun.
    Ours,
    Other,
}

/// Makes the links, all or none, or removes them.
pub fn run(args: &InstallCompatArgs, globals: &Globals) -> Result<()> {
    let program = std::env::current_exe().cannot(|| "find nsrun's own path")?;
    let done = if args.remove {
        remove(&args.dir)?
    } else {
        install(&args.dir, &program)?
    };
    if globals.json {
        return report::json(&serde_json::json!({ "links": done }));
    }
    for link in done.iter().filter(|_| !globals.quiet) {
        let (link, program) = (link.display(), program.display());
        match args.remove {
            true => report::line(format_args!("removed {link}")),
            false => report::line(format_args!("{link} -> {program}")),
        }
    }
    Ok(())
}

fn install(dir: &Path, program: &Path) -> Result<Vec<PathBuf>> {
    let links = Peer::ALL.map(|peer| dir.join(peer.name()));
    for link in &links {
        if let Place::Other = look(link)? {
            let what = format!("cannot install {}", link.display());
            return Err(Error::new(Kind::Busy, what)
                .because("there is another program of that name")
                .hint("choose a directory that comes before it in PATH"));
        }
    }
    for link in &links {
        replace(link, program).cannot(|| format!("make link {}", link.display()))?;
    }
    Ok(links.into())
}

/// At no time is there no link where there was one.
fn replace(link: &Path, program: &Path) -> std::io::Result<()> {
    let mut new = link.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    symlink(program, &new)?;
    fs::rename(&new, link).inspect_err(|_| drop(fs::remove_file(&new)))
}

fn remove(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for link in Peer::ALL.map(|peer| dir.join(peer.name())) {
        if let Place::Ours = look(&link)? {
            fs::remove_file(&link).cannot(|| format!("remove {}", link.display()))?;
            removed.push(link);
        }
    }
    Ok(removed)
}

/// A link to nsrun is ours wherever it leads: the program may have been moved since.
fn look(link: &Path) -> Result<Place> {
    match fs::symlink_metadata(link) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Place::Free),
        found => found.cannot(|| format!("look at {}", link.display()))?,
    };
    Ok(match fs::read_link(link) {
        Ok(target) if target.file_name() == Some(OsStr::new("nsrun")) => Place::Ours,
        _ => Place::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn links_are_made_again_and_removed() {
        let dir = dir();
        for program in ["/old/nsrun", "/usr/bin/nsrun"] {
            let links = install(dir.path(), Path::new(program)).unwrap();
            assert_eq!(links.len(), Peer::ALL.len());
            for link in links {
                assert_eq!(fs::read_link(link).unwrap(), Path::new(program));
            }
        }
        assert_eq!(remove(dir.path()).unwrap().len(), Peer::ALL.len());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(remove(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn other_programs_stay_and_nothing_is_made_beside_them() {
        for other in ["machinectl", "importctl"] {
            let dir = dir();
            let path = dir.path().join(other);
            fs::write(&path, "theirs").unwrap();
            let error = install(dir.path(), Path::new("/usr/bin/nsrun")).unwrap_err();
            assert_eq!(error.kind(), Kind::Busy);
            assert!(remove(dir.path()).unwrap().is_empty());
            assert_eq!(fs::read(path).unwrap(), b"theirs");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
        let dir = dir();
        symlink("/usr/bin/busybox", dir.path().join("machinectl")).unwrap();
        let _ = install(dir.path(), Path::new("/usr/bin/nsrun")).unwrap_err();
        assert!(remove(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let dir = dir();
        let missing = dir.path().join("missing");
        let _ = install(&missing, Path::new("/usr/bin/nsrun")).unwrap_err();
        assert!(!missing.exists());
    }
}
