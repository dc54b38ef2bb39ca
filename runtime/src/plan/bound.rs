//! Users of the host who are known in a machine, as user and group records in `/run/host/userdb` that
//! nss-systemd(8) reads, with their home directories (<https://systemd.io/USER_RECORD/>).

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::mounts::{Ids, Mount, Source, What};
use super::request::Request;
use crate::error::{Error, Kind, Result};
use crate::facts::{HostFacts, HostUser, ImageFacts};
use crate::range::PrivateUsers;

/// Numbers that such users get in machines, where systemd's documentation on users has them.
const FIRST: u32 = 60_514;
const LAST: u32 = 60_577;

/// Which users are to be known, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundUsers {
    /// Their names on the host.
    pub names: Vec<String>,
    /// Their shell; `None` says nothing about it.
    pub shell: Option<Shell>,
    /// Groups that they are members of in the machine.
    pub groups: Vec<String>,
}

/// The shell of bound users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shell {
    /// That of the host, or the machine's usual one.
    Copied(bool),
    /// This one.
    Program(String),
}

/// A user of the host as the machine gets to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundUser {
    host: HostUser,
    /// Number of user and group in the machine.
    id: u32,
    shell: Option<String>,
    groups: Vec<String>,
}

/// A file below `/run/host/userdb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordFile {
    pub(crate) name: String,
    /// Passwords are for root alone.
    pub(crate) is_secret: bool,
    pub(crate) content: Content,
}

/// What such a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Text(String),
    /// A link to the one of this name.
    Link(String),
}

impl FromStr for Shell {
    type Err = Error;

    /// Reads systemd's words for yes and no, or an absolute path.
    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "yes" | "y" | "true" | "t" | "on" => Ok(Self::Copied(true)),
            "0" | "no" | "n" | "false" | "f" | "off" => Ok(Self::Copied(false)),
            _ if text.starts_with('/') && !text.contains('\0') => {
                Ok(Self::Program(text.to_owned()))
            }
            _ => {
                let what = format!("invalid shell '{}'", text.escape_debug());
                Err(Error::new(Kind::Usage, what).hint("it is yes, no or an absolute path"))
            }
        }
    }
}

impl BoundUsers {
    /// Reads a name of a user or group.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what no account is called by.
    pub fn name(text: &str) -> Result<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if begins && text.len() <= 31 && text.chars().all(plain) {
            return Ok(text.to_owned());
        }
        let text = text.escape_debug();
        Err(Error::new(
            Kind::Usage,
            format!("invalid name of a user or group '{text}'"),
        )
        .hint("letters, digits, '_', '-' and '.', at most 31, the first a letter or '_'"))
    }
}

/// The users that the request names, as this machine gets to know them.
///
/// # Errors
/// [`Kind::Usage`] without a user to be known, or if there are no numbers for them; [`Kind::BadInput`] if
/// the image has a user or group of that name.
pub(crate) fn users(
    request: &Request,
    host: &HostFacts,
    image: &ImageFacts,
) -> Result<Vec<BoundUser>> {
    let asked = &request.bound;
    if asked.names.is_empty() && !asked.groups.is_empty() {
        let what = "--bind-user-group= has no user to be about";
        return Err(Error::new(Kind::Usage, what).hint("name one with --bind-user=USER"));
    }
    let taken = |name: &String| image.account_names.contains(name);
    if let Some(name) = asked.names.iter().find(|name| taken(name)) {
        let what = format!("cannot bind user {name}: the image has a user or group of that name");
        return Err(Error::new(Kind::BadInput, what));
    }
    let mut free = (FIRST..=LAST).filter(|id| !image.account_ids.contains(id));
    let users = host.users.iter().map(|user| {
        let id = free.next().filter(|id| holds(request.users, *id));
        let id = id.ok_or_else(|| no_number(&user.name))?;
        Ok(BoundUser {
            host: user.clone(),
            id,
            shell: shell(asked.shell.as_ref(), user),
            groups: asked.groups.clone(),
        })
    });
    users.collect()
}

fn holds(users: PrivateUsers, id: u32) -> bool {
    match users {
        PrivateUsers::Fixed(range) => id < range.len(),
        PrivateUsers::Pick | PrivateUsers::No => true,
    }
}

fn no_number(name: &str) -> Error {
    let what = format!("cannot bind user {name}: the machine has no free user ID for it");
    Error::new(Kind::Usage, what).hint(format!("such users get those from {FIRST} to {LAST}"))
}

fn shell(asked: Option<&Shell>, user: &HostUser) -> Option<String> {
    match asked? {
        Shell::Copied(false) => None,
        Shell::Copied(true) => Some(user.shell.clone()).filter(|shell| !shell.is_empty()),
        Shell::Program(path) => Some(path.clone()),
    }
}

impl BoundUser {
    fn home(&self) -> String {
        format!("/run/host/home/{}", self.host.name)
    }

    /// The mount of the home directory: files of the user and its group are theirs in the machine, all
    /// others nobody's.
    pub(crate) fn mount(&self) -> Mount {
        Mount {
            target: self.home(),
            read_only: false,
            what: What::Bind {
                source: Source::Host(self.host.home.clone()),
                recursive: true,
                ids: Ids::Account {
                    host: (self.host.uid, self.host.gid),
                    machine: self.id,
                },
            },
            spelling: format!("--bind-user={}", self.host.name),
        }
    }

    /// The records, with the names that drop-ins for userdb have.
    pub(crate) fn records(&self) -> Vec<RecordFile> {
        let (name, id) = (&self.host.name, self.id);
        let file = |name: String, is_secret, content| RecordFile {
            name,
            is_secret,
            content,
        };
        let text = |value: &Value| Content::Text(format!("{value}\n"));
        let link = |to: &str| Content::Link(to.to_owned());
        let (user, group) = (format!("{name}.user"), format!("{name}.group"));
        let mut files = vec![
            file(user.clone(), false, text(&self.user())),
            file(format!("{id}.user"), false, link(&user)),
            file(group.clone(), false, text(&self.group())),
            file(format!("{id}.group"), false, link(&group)),
        ];
        if let Some(hash) = &self.host.password {
            let secret = json!({"privileged": {"hashedPassword": [hash]}});
            let name = format!("{name}.user-privileged");
            files.push(file(name.clone(), true, text(&secret)));
            files.push(file(format!("{id}.user-privileged"), true, link(&name)));
        }
        for group in &self.groups {
            let name = format!("{name}:{group}.membership");
            files.push(file(name, false, text(&json!({}))));
        }
        files
    }

    fn user(&self) -> Value {
        let mut record = json!({
            "userName": self.host.name,
            "uid": self.id,
            "gid": self.id,
            "disposition": "regular",
            "homeDirectory": self.home(),
            "service": "nsrun",
        });
        let more = [
            (
                "realName",
                Some(&self.host.real_name).filter(|name| !name.is_empty()),
            ),
            ("shell", self.shell.as_ref()),
        ];
        for (key, value) in more {
            if let Some(value) = value {
                record[key] = json!(value);
            }
        }
        if !self.groups.is_empty() {
            record["memberOf"] = json!(self.groups);
        }
        record
    }

    fn group(&self) -> Value {
        json!({
            "groupName": self.host.name,
            "gid": self.id,
            "disposition": "regular",
            "service": "nsrun",
        })
    }
}

impl fmt::Display for BoundUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} as {})", self.host.name, self.host.uid, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> BoundUser {
        BoundUser {
            host: HostUser {
                name: "me".into(),
                uid: 1000,
                gid: 1001,
                real_name: "My \"Self\"".into(),
                home: "/home/me".into(),
                shell: "/bin/zsh".into(),
                password: Some("$y$x".into()),
            },
            id: 60_515,
            shell: None,
            groups: vec!["wheel".into()],
        }
    }

    #[test]
    fn records_are_found_by_name_and_number_and_secrets_are_apart() {
        let files = user().records();
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let expected = [
            "me.user",
            "60515.user",
            "me.group",
            "60515.group",
            "me.user-privileged",
            "60515.user-privileged",
            "me:wheel.membership",
        ];
        assert_eq!(names, expected);
        for file in &files {
            let has_secret = matches!(&file.content, Content::Text(text) if text.contains("$y$x"));
            assert!(file.is_secret || !has_secret, "{file:?}");
        }
        let Content::Text(text) = &files[0].content else {
            panic!("no text")
        };
        let record: Value = serde_json::from_str(text).unwrap();
        assert_eq!(record["realName"], "My \"Self\"");
        assert_eq!(record["homeDirectory"], "/run/host/home/me");
        assert_eq!(record["shell"], Value::Null);
    }

    #[test]
    fn a_shell_is_copied_only_if_that_is_asked_for() {
        let host = user().host;
        let told = |asked| shell(asked, &host);
        assert_eq!(told(None), None);
        assert_eq!(told(Some(&Shell::Copied(false))), None);
        assert_eq!(
            told(Some(&Shell::Copied(true))).as_deref(),
            Some("/bin/zsh")
        );
        let program = Shell::Program("/bin/x".into());
        assert_eq!(told(Some(&program)).as_deref(), Some("/bin/x"));
    }

    #[test]
    fn a_shell_is_a_truth_value_or_a_path() {
        assert_eq!("Yes".parse::<Shell>().unwrap(), Shell::Copied(true));
        assert_eq!("off".parse::<Shell>().unwrap(), Shell::Copied(false));
        assert_eq!(
            "/bin/x".parse::<Shell>().unwrap(),
            Shell::Program("/bin/x".into())
        );
        for text in ["", "zsh", "./zsh"] {
            assert!(text.parse::<Shell>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_cannot_lead_to_other_files() {
        for name in ["me", "_a.b-1"] {
            assert_eq!(BoundUsers::name(name).unwrap(), name);
        }
        for name in ["", ".", "a/b", "-a", "1a", "a:b", "ä", &"x".repeat(32)] {
            assert!(BoundUsers::name(name).is_err(), "{name}");
        }
    }
}
