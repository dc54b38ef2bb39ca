//! Who a command runs as, by the machine's own files of users and groups.
//!
//! The files are read, not asked for through a name service: what joins a machine runs none of its
//! code before `execve`.

use crate::error::{Error, Kind, Result};
use crate::facts::ImageRoot;

/// What a command needs to know of its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
    pub(super) shell: String,
}

impl User {
    /// Finds the user of that name or number in the machine.
    pub(super) fn find(root: &ImageRoot, wanted: &str) -> Result<Self> {
        let read = |path: &str| {
            let content = root.read(path).unwrap_or_default();
            String::from_utf8_lossy(&content).into_owned()
        };
        Self::parse(&read("etc/passwd"), &read("etc/group"), wanted).ok_or_else(|| {
            let wanted = wanted.escape_debug();
            Error::new(Kind::Usage, format!("the machine has no user '{wanted}'"))
                .hint("users of a name service are known to `nsrun shell USER@NAME` only")
        })
    }

    /// The same from the texts of passwd(5) and group(5). A number need not have a name.
    fn parse(passwd: &str, group: &str, wanted: &str) -> Option<Self> {
        let number: Option<u32> = wanted.parse().ok();
        let known = passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, shell] = fields.as_slice() else {
                return None;
            };
            let uid: u32 = uid.parse().ok()?;
            if *name != wanted && Some(uid) != number {
                return None;
            }
            Some(Self {
                name: (*name).to_owned(),
                uid,
                gid: gid.parse().ok()?,
                groups: Vec::new(),
                home: non_empty(home, "/"),
                shell: non_empty(shell, "/bin/sh"),
            })
        });
        let mut user = known.or_else(|| number.filter(|id| *id != u32::MAX).map(Self::unnamed))?;
        user.groups = groups_of(group, &user.name);
        Some(user)
    }

    fn unnamed(id: u32) -> Self {
        Self {
            name: id.to_string(),
            uid: id,
            gid: id,
            groups: Vec::new(),
            home: "/".to_owned(),
            shell: "/bin/sh".to_owned(),
        }
    }
}

fn non_empty(text: &str, default: &str) -> String {
    if text.is_empty() { default } else { text }.to_owned()
}

fn groups_of(group: &str, name: &str) -> Vec<u32> {
    let member = |line: &str| {
        let mut fields = line.split(':');
        let gid = fields.nth(2)?.parse().ok()?;
        let mut members = fields.next()?.split(',');
        members.any(|member| member == name).then_some(gid)
    };
    group.lines().filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:System administrator:/root:/run/current-system/sw/bin/bash\n\
        broken line\nalice:x:1000:100::/home/alice:\nbob:x:1001:nan:::\n";
    const GROUP: &str = "root:x:0:\nwheel:x:1:bob,alice\nusers:x:100:\nvideo:x:26:alice\n";

    #[test]
    fn users_are_found_by_name_and_number() {
        let alice = User::parse(PASSWD, GROUP, "alice").unwrap();
        assert_eq!((alice.uid, alice.gid), (1000, 100));
        assert_eq!(alice.groups, [1, 26]);
        assert_eq!(
            (alice.home.as_str(), alice.shell.as_str()),
            ("/home/alice", "/bin/sh")
        );
        assert_eq!(User::parse(PASSWD, GROUP, "1000").unwrap(), alice);
        let root = User::parse(PASSWD, GROUP, "0").unwrap();
        assert_eq!((root.name.as_str(), root.groups.len()), ("root", 0));
    }

    #[test]
    fn a_number_needs_no_name_and_a_name_needs_a_line() {
        let user = User::parse(PASSWD, GROUP, "4711").unwrap();
        assert_eq!((user.uid, user.gid, user.home.as_str()), (4711, 4711, "/"));
        for wanted in ["carol", "", "bob", "broken line", "4294967295", "-1"] {
            assert_eq!(User::parse(PASSWD, GROUP, wanted), None, "{wanted}");
        }
    }
}
