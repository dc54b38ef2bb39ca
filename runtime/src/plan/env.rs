//! The environment of the payload's first process, as systemd's container interface has it.

use super::request::{Mode, Request};
use crate::facts::{HostFacts, ImageFacts};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a NixOS system keeps its programs, before and after its activation.
const NIXOS_PATH: &str = "/run/wrappers/bin:/nix/var/nix/profiles/default/bin:\
/run/current-system/sw/bin:/nix/var/nix/profiles/system/sw/bin";

/// Where the payload's commands are searched.
pub(crate) fn search_path(is_nixos: bool) -> String {
    if is_nixos {
        format!("{NIXOS_PATH}:{PATH}")
    } else {
        PATH.to_owned()
    }
}

/// Later entries win over earlier ones of the same name.
pub(super) fn build(
    request: &Request,
    host: &HostFacts,
    image: &ImageFacts,
    manager: &str,
    uuid: &str,
) -> Vec<(String, String)> {
    let mut env = Environment::default();
    env.set("PATH", &search_path(image.is_nixos));
    env.set("container", manager);
    env.set("TERM", host.terminal.as_deref().unwrap_or("dumb"));
    let account = image.account.as_ref();
    let name = account.map_or("root", |account| &account.name);
    env.set("HOME", account.map_or("/root", |account| &account.home));
    env.set("USER", name);
    env.set("LOGNAME", name);
    env.set("container_uuid", uuid);
    env.set("NOTIFY_SOCKET", "/run/host/notify");
    if !request.credentials.is_empty() {
        env.set("CREDENTIALS_DIRECTORY", "/run/host/credentials");
    }
    if let Mode::Run { .. } = request.mode {
        env.set("LANG", "C.UTF-8");
    }
    for key in ["ID", "VERSION_ID", "BUILD_ID", "VARIANT_ID"] {
        if let Some(value) = host.os_release_field(key) {
            env.set(&format!("container_host_{}", key.to_lowercase()), &value);
        }
    }
    if let Mode::Boot { parameters, .. } = &request.mode {
        for (key, value) in parameters.iter().filter_map(|p| assignment(p)) {
            env.set(&key, value);
        }
    }
    for (key, value) in &request.env {
        env.set(key, value);
    }
    env.0
}

/// A boot parameter that is an environment variable and not an argument: its key has no dot.
pub(super) fn assignment(parameter: &str) -> Option<(String, &str)> {
    let (key, value) = parameter.split_once('=')?;
    let name = key.replace('-', "_");
    let mut chars = name.chars();
    let starts = chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let goes_on = chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    (starts && goes_on).then_some((name, value))
}

#[derive(Default)]
struct Environment(Vec<(String, String)>);

impl Environment {
    fn set(&mut self, key: &str, value: &str) {
        match self.0.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_with_a_dot_are_arguments() {
        assert_eq!(assignment("systemd.unit=rescue.target"), None);
        assert_eq!(assignment("--switched-root"), None);
        assert_eq!(assignment("1a=b"), None);
        assert_eq!(assignment("FOO-BAR=a=b"), Some(("FOO_BAR".into(), "a=b")));
    }
}
