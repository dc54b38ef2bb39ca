//! Which program of an image is started, and whether it can run here at all.

use std::path::Path;

use rustix::io::Errno;

use super::image::{ImageFacts, ImageRoot};
use crate::error::{Error, Kind, Result};

/// Where an init is looked for, in this order. NixOS first: its `/sbin/init` may be missing, and
/// in newer systems `init` is systemd itself, which needs `prepare-root` to have run.
const INITS: &[&str] = &[
    "/nix/var/nix/profiles/system/prepare-root",
    "/nix/var/nix/profiles/system/init",
    "/sbin/init",
    "/init",
    "/usr/lib/systemd/systemd",
    "/lib/systemd/systemd",
];

/// Levels of `#!` that the kernel follows: `BINPRM` recursion of five.
const MAX_INTERPRETERS: usize = 5;

/// The image's init, checked.
pub(super) fn init(root: &ImageRoot, path: &Path, asked: Option<&str>) -> Result<Option<String>> {
    if let Some(init) = asked {
        check(root, path, init)?;
        return Ok(Some(init.to_owned()));
    }
    let Some(found) = INITS.iter().find(|init| root.file(init).is_ok()) else {
        return Ok(None);
    };
    check(root, path, found)?;
    Ok(Some((*found).to_owned()))
}

/// Where a command is found: as given if it is a path, else in the payload's search path.
pub(super) fn command(root: &ImageRoot, command: &[String], facts: &ImageFacts) -> Option<String> {
    let name = command.first()?;
    if name.contains('/') {
        return Some(name.clone());
    }
    crate::plan::search_path(facts)
        .split(':')
        .map(|dir| format!("{dir}/{name}"))
        .find(|path| root.file(path).is_ok())
}

/// Refuses what the kernel would refuse with less of an explanation.
fn check(root: &ImageRoot, image: &Path, program: &str) -> Result<()> {
    let mut path = program.to_owned();
    for _ in 0..MAX_INTERPRETERS {
        let head = read_head(root, image, program, &path)?;
        match inspect(&head) {
            Format::Script(interpreter) => path = interpreter,
            Format::Elf(machine) if machine == NATIVE => return Ok(()),
            Format::Elf(machine) => {
                return Err(bad(
                    image,
                    program,
                    &format!("{path} is built for another processor (ELF machine {machine})"),
                ));
            }
            Format::Unknown => {
                return Err(bad(image, program, &format!("{path} is not an executable")));
            }
        }
    }
    Err(bad(image, program, "its interpreters form a loop"))
}

fn read_head(root: &ImageRoot, image: &Path, program: &str, path: &str) -> Result<Vec<u8>> {
    match root.read(path) {
        Ok(content) => Ok(content),
        Err(Errno::NOENT) if path == program => Err(bad(image, program, "there is no such file")),
        Err(Errno::NOENT) => Err(bad(
            image,
            program,
            &format!("its interpreter {path} is missing"),
        )
        .hint("was the image unpacked completely?")),
        Err(errno) => {
            let cause = crate::error::errno_text(&errno.into());
            Err(bad(image, program, &format!("{path}: {cause}")))
        }
    }
}

fn bad(image: &Path, program: &str, why: &str) -> Error {
    let (image, program) = (image.display(), program.escape_debug());
    let why = why.escape_debug();
    Error::new(
        Kind::BadInput,
        format!("cannot boot {image}: cannot start {program}: {why}"),
    )
}

#[derive(Debug, PartialEq, Eq)]
enum Format {
    Script(String),
    Elf(u16),
    Unknown,
}

/// `e_machine` of programs for this processor, from `elf.h`.
const NATIVE: u16 = if cfg!(target_arch = "aarch64") {
    183
} else {
    62
};

fn inspect(head: &[u8]) -> Format {
    if let Some(rest) = head.strip_prefix(b"#!") {
        let line = rest.split(|&b| b == b'\n').next().unwrap_or(rest);
        let line = String::from_utf8_lossy(line);
        return match line.split_ascii_whitespace().next() {
            Some(interpreter) => Format::Script(interpreter.to_owned()),
            None => Format::Unknown,
        };
    }
    match (head.strip_prefix(b"\x7fELF"), head.get(18..20)) {
        (Some(_), Some(&[low, high])) => Format::Elf(u16::from_le_bytes([low, high])),
        _ => Format::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_may_follow_the_hash_bang() {
        let script = inspect(b"#! /nix/store/x-bash/bin/bash -e\n");
        assert_eq!(script, Format::Script("/nix/store/x-bash/bin/bash".into()));
    }

    #[test]
    fn tells_formats_apart() {
        let mut elf = vec![0; 64];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[18] = 183;
        assert_eq!(inspect(&elf), Format::Elf(183));
        assert_eq!(inspect(b"#!\n"), Format::Unknown);
        assert_eq!(inspect(b""), Format::Unknown);
        assert_eq!(inspect(b"hello"), Format::Unknown);
    }
}
