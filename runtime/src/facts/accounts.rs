//! Users of an image, as its own files name them.

use std::collections::HashSet;

/// A user whom the payload can run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number in the machine.
    pub uid: u32,
    /// Its group's number in the machine.
    pub gid: u32,
    /// All groups that it is in, its own first.
    pub groups: Vec<u32>,
    /// Its home directory.
    pub home: String,
}

/// Looks a name or number up in the texts of passwd(5) and group(5).
pub(super) fn find(passwd: &str, group: &str, who: &str) -> Option<Account> {
    let number: Option<u32> = who.parse().ok();
    let mut lines = passwd.lines().filter_map(entry);
    let mut account = lines.find(|account| match number {
        Some(uid) => account.uid == uid,
        None => account.name == who,
    })?;
    let others = group.lines().filter_map(|line| member(line, &account.name));
    account
        .groups
        .extend(others.filter(|gid| *gid != account.gid));
    Some(account)
}

/// Names and numbers in lines of passwd(5) and group(5), whose first and third fields they are.
pub(super) fn taken<'a>(lines: impl Iterator<Item = &'a str>) -> (HashSet<String>, HashSet<u32>) {
    let (mut names, mut ids) = (HashSet::new(), HashSet::new());
    for line in lines {
        let mut fields = line.split(':');
        names.extend(fields.next().map(str::to_owned));
        ids.extend(fields.nth(1).and_then(|id| id.parse::<u32>().ok()));
    }
    (names, ids)
}

/// `NAME:PASSWORD:UID:GID:REAL NAME:HOME:SHELL`
fn entry(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let mut fields = fields.skip(1);
    let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let home = fields.nth(1)?;
    Some(Account {
        name: name.to_owned(),
        uid,
        gid,
        groups: vec![gid],
        home: if home.is_empty() { "/" } else { home }.to_owned(),
    })
}

/// The number of the group in `NAME:PASSWORD:GID:MEMBER,MEMBER`, if it has this member.
fn member(line: &str, name: &str) -> Option<u32> {
    let mut fields = line.split(':').skip(2);
    let gid = fields.next()?.parse().ok()?;
    let members = fields.next()?;
    members
        .split(',')
        .any(|member| member == name)
        .then_some(gid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\n:x:1:1:::\n\
                          me:x:1000:100::/home/me:/bin/sh\nbare:x:7:7:::\n";
    const GROUP: &str = "root:x:0:\nusers:x:100:me\nwheel:x:10:root,me\nmen:x:11:men\nbad:x\n";

    #[test]
    fn what_is_taken_is_told_by_both_files() {
        let (names, ids) = taken(PASSWD.lines().chain(GROUP.lines()));
        assert!(names.contains("me") && names.contains("wheel") && !names.contains("x"));
        assert!(ids.contains(&1000) && ids.contains(&11) && !ids.contains(&2));
    }

    #[test]
    fn users_are_found_by_name_and_number_with_their_groups() {
        let me = find(PASSWD, GROUP, "me").unwrap();
        assert_eq!(
            (me.uid, me.gid, me.groups.as_slice()),
            (1000, 100, &[100, 10][..])
        );
        assert_eq!(me.home, "/home/me");
        assert_eq!(find(PASSWD, GROUP, "1000"), Some(me));
        assert_eq!(find(PASSWD, GROUP, "bare").unwrap().home, "/");
        for who in ["", "nobody", "1", "1001", "-1", "broken"] {
            assert_eq!(find(PASSWD, GROUP, who), None, "{who}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(passwd in "[a-z0-9:\n,]{0,60}", group in "[a-z0-9:\n,]{0,60}", who in "[a-z0-9]{0,3}") {
            let _ = find(&passwd, &group, &who);
        }
    }
}
