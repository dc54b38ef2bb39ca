//! Which program of an image is started, and whether it can run here at all.

use std::path::Path;

use rustix::io::Errno;

use super::image::{ImageFacts, ImageRoot};
use crate::error::{Error, Kind, Result};

/// Where an init is looked for, in this order. NixOS first: its `/sbin/init` may be missing, and
/// in newer systems `init` is systemd itself, which needs `prepare-root` to have run.
pub(crate) const INITS: &[&str] = &[
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
    crate::plan::search_path(facts.is_nixos)
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
            Format::Elf { machine, loader } if machine == NATIVE => {
                return match loader {
                    Some(loader) => read_head(root, image, program, &loader).map(drop),
                    None => Ok(()),
                };
            }
            Format::Elf { machine, .. } => {
                let processor = processor(machine);
                let why = format!("{path} is built for another processor ({processor})");
                return Err(bad(image, program, &why));
            }
            Format::Unknown => {
                return Err(bad(image, program, &format!("{path} is not an executable")));
            }
        }
    }
    Err(bad(image, program, "its interpreters form a loop"))
}

/// The beginning of `path`, which `program` is or needs, if it may be executed.
fn read_head(root: &ImageRoot, image: &Path, program: &str, path: &str) -> Result<Vec<u8>> {
    match root.executable(path) {
        Ok(content) => Ok(content),
        Err(Errno::NOENT) if path == program => Err(bad(image, program, "there is no such file")),
        Err(Errno::NOENT) => {
            let why = format!("its interpreter {path} is missing");
            Err(bad(image, program, &why).hint("was the image unpacked completely?"))
        }
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
    Elf {
        machine: u16,
        loader: Option<String>,
    },
    Unknown,
}

/// `e_machine` of programs for this processor, from `elf.h`.
const NATIVE: u16 = if cfg!(target_arch = "aarch64") {
    183
} else {
    62
};

/// `PT_INTERP` of `elf.h`: the segment that names the dynamic loader.
const INTERPRETER: u32 = 3;

fn processor(machine: u16) -> String {
    match machine {
        3 => "i386".into(),
        8 => "MIPS".into(),
        21 => "PowerPC 64".into(),
        22 => "S/390".into(),
        40 => "ARM".into(),
        62 => "x86-64".into(),
        183 => "AArch64".into(),
        243 => "RISC-V".into(),
        258 => "LoongArch".into(),
        other => format!("ELF machine {other}"),
    }
}

fn inspect(head: &[u8]) -> Format {
    if let Some(rest) = head.strip_prefix(b"#!") {
        let line = rest.split(|&b| b == b'\n').next().unwrap_or(rest);
        let line = String::from_utf8_lossy(line);
        return match line.split_ascii_whitespace().next() {
            Some(interpreter) => Format::Script(interpreter.to_owned()),
            None => Format::Unknown,
        };
    }
    match (head.strip_prefix(b"\x7fELF"), number(head, 18, 2)) {
        (Some(_), Some(machine)) => Format::Elf {
            machine: u16::try_from(machine).unwrap_or_default(),
            loader: loader(head),
        },
        _ => Format::Unknown,
    }
}

/// The dynamic loader that a 64-bit little-endian ELF file names.
fn loader(head: &[u8]) -> Option<String> {
    let table = usize::try_from(number(head, 32, 8)?).ok()?;
    let size = usize::try_from(number(head, 54, 2)?).ok()?;
    let count = usize::try_from(number(head, 56, 2)?).ok()?;
    let mut headers = (0..count).filter_map(|n| head.get(table.checked_add(n * size)?..));
    let header = headers.find(|h| number(h, 0, 4) == Some(INTERPRETER.into()))?;
    let start = usize::try_from(number(header, 8, 8)?).ok()?;
    let length = usize::try_from(number(header, 32, 8)?).ok()?;
    let name = head.get(start..start.checked_add(length)?)?;
    let name = name.split(|&b| b == 0).next()?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// A little-endian number of `length` bytes at `offset`.
fn number(bytes: &[u8], offset: usize, length: usize) -> Option<u64> {
    let field = bytes.get(offset..offset.checked_add(length)?)?;
    Some(
        field
            .iter()
            .rev()
            .fold(0, |sum, &byte| (sum << 8) | u64::from(byte)),
    )
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
    fn the_loader_of_this_program_is_found() {
        let program = std::fs::read("/bin/true").unwrap();
        let Format::Elf { machine, loader } = inspect(&program) else {
            panic!("/bin/true is no ELF file");
        };
        assert_eq!(machine, NATIVE);
        assert!(Path::new(&loader.unwrap()).exists());
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic(mut head in proptest::collection::vec(0u8.., 0..200)) {
            inspect(&head);
            if let Some(magic) = head.get_mut(..4) {
                magic.copy_from_slice(b"\x7fELF");
            }
            inspect(&head);
        }
    }

    #[test]
    fn tells_formats_apart() {
        let mut elf = vec![0; 64];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[18] = 183;
        let without_loader = Format::Elf {
            machine: 183,
            loader: None,
        };
        assert_eq!(inspect(&elf), without_loader);
        assert_eq!(inspect(b"#!\n"), Format::Unknown);
        assert_eq!(inspect(b""), Format::Unknown);
        assert_eq!(inspect(b"hello"), Format::Unknown);
    }
}
