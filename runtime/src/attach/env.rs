//! What a joining command finds in its environment, and where commands are found.

use std::ffi::CString;

use super::enter::Command;
use super::user::User;
use crate::error::{Error, Kind, Result};
use crate::facts::ImageRoot;
use crate::plan::search_path;

/// What a shell sets for itself, and the command has no use for.
const OF_SHELLS: [&[u8]; 4] = [b"_", b"SHLVL", b"PWD", b"OLDPWD"];

/// The environment of the command: what the machine's own system sets for logins, if that is
/// known, or else little; what was asked for wins.
pub(super) fn environment(
    root: &ImageRoot,
    command: &Command,
    user: Option<&User>,
    systems: Option<Vec<CString>>,
) -> Result<Vec<CString>> {
    let mut env = match systems {
        Some(systems) => systems,
        None => plain(root, user)?,
    };
    env.retain(|entry| {
        let key = key(entry);
        let given = |(name, _): &(String, String)| name.as_bytes() == key;
        !OF_SHELLS.contains(&key) && !command.env.iter().any(given)
    });
    for (name, value) in &command.env {
        env.push(text(&format!("{name}={value}"))?);
    }
    Ok(env)
}

fn plain(root: &ImageRoot, user: Option<&User>) -> Result<Vec<CString>> {
    let term = std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned());
    let own = [
        ("PATH", &*search_path(root.is_nixos())),
        ("HOME", user.map_or("/root", |user| &user.home)),
        ("USER", user.map_or("root", |user| &user.name)),
        ("LOGNAME", user.map_or("root", |user| &user.name)),
        ("LANG", "C.UTF-8"),
        ("container", "systemd-nspawn"),
        ("TERM", &term),
    ];
    own.iter()
        .map(|(key, value)| text(&format!("{key}={value}")))
        .collect()
}

fn key(entry: &CString) -> &[u8] {
    let mut parts = entry.to_bytes().splitn(2, |byte| *byte == b'=');
    parts.next().unwrap_or_default()
}

/// Resolves a command's name as a shell inside would.
pub(super) fn find(root: &ImageRoot, name: &str, env: &[CString]) -> Result<String> {
    if name.contains('/') {
        return Ok(name.to_owned());
    }
    let path = env.iter().find(|entry| key(entry) == b"PATH");
    let path = path.map(|entry| String::from_utf8_lossy(entry.to_bytes()).into_owned());
    let path = path.unwrap_or_default();
    let own = path.trim_start_matches("PATH=");
    let found = search(root, own, name);
    found
        .or_else(|| search(root, &search_path(root.is_nixos()), name))
        .ok_or_else(|| {
            let name = name.escape_debug();
            let what = format!("cannot execute '{name}': no such command");
            Error::new(Kind::NoCommand, what)
        })
}

/// Where the command is; directories by a relative path are not searched.
fn search(root: &ImageRoot, path: &str, name: &str) -> Option<String> {
    path.split(':')
        .filter(|dir| dir.starts_with('/'))
        .map(|dir| format!("{dir}/{name}"))
        .find(|path| root.file(path).is_ok())
}

/// Whether a command of that name would be found in the tree.
pub(crate) fn has_command(root: &ImageRoot, name: &str) -> bool {
    search(root, &search_path(root.is_nixos()), name).is_some()
}

pub(super) fn text(value: &str) -> Result<CString> {
    CString::new(value).map_err(|_| {
        let value = value.escape_debug();
        Error::new(Kind::Usage, format!("'{value}' contains a NUL byte"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[&str]) -> (tempfile::TempDir, ImageRoot) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let root = ImageRoot::open(dir.path()).unwrap();
        (dir, root)
    }

    fn strings(env: &[CString]) -> Vec<&str> {
        env.iter().map(|entry| entry.to_str().unwrap()).collect()
    }

    #[test]
    fn what_was_asked_for_wins_and_a_shells_own_variables_go() {
        let (_dir, root) = root(&[]);
        let systems = [
            "PATH=/sw",
            "SHLVL=0",
            "PWD=/",
            "_=/sw/env",
            "A=system's",
            "B=b=c",
        ];
        let systems = systems.map(|entry| text(entry).unwrap()).to_vec();
        let command = Command {
            env: vec![("A".to_owned(), "mine".to_owned())],
            ..Command::default()
        };
        let env = environment(&root, &command, None, Some(systems)).unwrap();
        assert_eq!(strings(&env), ["PATH=/sw", "B=b=c", "A=mine"]);
    }

    #[test]
    fn commands_are_found_in_the_environments_path_and_then_in_the_usual_places() {
        let (_dir, debian) = root(&["usr/bin/ls", "opt/ls", "opt/own"]);
        let env = |path: &str| vec![text(&format!("PATH={path}")).unwrap()];
        let found = |name: &str, path: &str| find(&debian, name, &env(path)).ok();
        assert_eq!(found("ls", "/opt").as_deref(), Some("/opt/ls"));
        assert_eq!(found("ls", "opt:").as_deref(), Some("/usr/bin/ls"));
        assert_eq!(found("own", "/bin"), None);
        assert_eq!(found("./x", "/bin").as_deref(), Some("./x"));
        let path = environment(&debian, &Command::default(), None, None).unwrap();
        assert!(!strings(&path)[0].contains("nix"), "{path:?}");
        let (_dir, nixos) = root(&["nix/var/nix/profiles/system/sw/bin/ls"]);
        let ls = find(&nixos, "ls", &[]).unwrap();
        assert_eq!(ls, "/nix/var/nix/profiles/system/sw/bin/ls");
        assert!(has_command(&nixos, "ls") && !has_command(&nixos, "own"));
    }
}
