//! The driver, a Python package that is part of this program.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nsrun_runtime::{Context, Error, Kind, Result};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// Imports the package out of a file that it inherits, whose number is its first argument.
const BEGIN: &str = include_str!("../../../python/embedded.py");

macro_rules! modules {
    ($($name:literal)*) => {
        [$((
            concat!("nsrun_driver.", $name),
            include_str!(concat!("../../../python/nsrun_driver/", $name, ".py")),
        )),*]
    };
}

const PACKAGE: (&str, &str) = (
    "nsrun_driver",
    include_str!("../../../python/nsrun_driver/__init__.py"),
);

const MODULES: &[(&str, &str)] = &modules! {
    "client" "conditions" "driver" "errors" "files" "log" "machine" "main" "moments" "network"
    "report" "screen" "script" "waits"
};

/// Becomes a Python that runs the driver with these words. Returns only to say why not.
pub(super) fn become_python(words: &[OsString]) -> Error {
    match package() {
        Ok(package) => become_python_with(&package, words),
        Err(error) => error,
    }
}

fn become_python_with(package: &File, words: &[OsString]) -> Error {
    let error = Command::new("python3")
        .args(["-c", BEGIN])
        .arg(package.as_raw_fd().to_string())
        .args(words)
        .exec();
    let kind = Kind::HostLacks;
    Error::new(kind, "cannot execute python3")
        .because(error)
        .hint("`nsrun test` runs scripts by python3 3.9 or later; it needs none of its packages")
}

/// The package's sources, in a file in memory that nobody can change and that goes with its last user.
fn package() -> Result<File> {
    let what = || "hand the test driver over";
    let flags = MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("nsrun-driver", flags).cannot(what)?);
    let sources: serde_json::Map<_, _> = [PACKAGE]
        .iter()
        .chain(MODULES)
        .map(|(name, source)| ((*name).to_owned(), (*source).into()))
        .collect();
    let text = serde_json::Value::Object(sources).to_string();
    file.write_all(text.as_bytes()).cannot(what)?;
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, all).cannot(what)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_module_of_the_package_is_part_of_the_program() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/python/nsrun_driver");
        let entries = std::fs::read_dir(dir).unwrap().flatten();
        let files = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            let name = name.strip_suffix(".py")?;
            Some(format!("nsrun_driver.{name}"))
        });
        // These are for those who install it.
        let apart = ["__init__", "__main__", "pytest_plugin"].map(|n| format!("nsrun_driver.{n}"));
        let files: BTreeSet<_> = files.filter(|name| !apart.contains(name)).collect();
        let known: BTreeSet<_> = MODULES.iter().map(|(n, _)| (*n).to_owned()).collect();
        assert_eq!(files, known);
    }
}
