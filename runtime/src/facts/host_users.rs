//! Users of the host, by its own files: a static program cannot ask other sources of users.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::error::{Context, Error, Kind, Result};

/// A user of the host.
#[derive(Clone, PartialEq, Eq)]
pub struct HostUser {
    /// Its name, which its group has too.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// What people call it.
    pub real_name: String,
    /// Its home directory, which is its own.
    pub home: PathBuf,
    /// Its shell.
    pub shell: String,
    /// Its hashed password, if it can be used. Never shown.
    pub password: Option<String>,
}

impl std::fmt::Debug for HostUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}:{})", self.name, self.uid, self.gid)
    }
}

/// The users of these names.
///
/// # Errors
/// [`Kind::NotFound`] if there is none of a name; [`Kind::BadInput`] for one that no machine can know: root
/// and nobody, one without a group of its own, or whose home directory is not its own.
pub(super) fn look(names: &[String]) -> Result<Vec<HostUser>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let read = |path: &str| fs::read_to_string(path).cannot(|| format!("read {path}"));
    let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
    // Without it nobody can log in by a password, and all else works.
    let shadow = read("/etc/shadow").unwrap_or_default();
    let find = |name: &String| {
        let user = find(&passwd, &group, &shadow, name)?;
        expect_own_home(&user)?;
        Ok(user)
    };
    names.iter().map(find).collect()
}

fn find(passwd: &str, group: &str, shadow: &str, name: &str) -> Result<HostUser> {
    let user = passwd.lines().find_map(|line| entry(line, name));
    let mut user = user.ok_or_else(|| {
        let what = format!("cannot bind user {name}: the host has no such user");
        Error::new(Kind::NotFound, what).hint("users are looked for in /etc/passwd")
    })?;
    if user.uid == 0 || user.uid == 65_534 {
        return Err(unfit(name, "it is not a user like others"));
    }
    if !group.lines().any(|line| is_group(line, name, user.gid)) {
        return Err(unfit(name, "its group has another name"));
    }
    user.password = shadow.lines().find_map(|line| password(line, name));
    Ok(user)
}

/// What is not the user's, as the home directories of services are not, must not become so inside.
fn expect_own_home(user: &HostUser) -> Result<()> {
    let home = user.home.display();
    let stat = fs::metadata(&user.home)
        .cannot(|| format!("look at {home}, the home directory of {}", user.name))?;
    if stat.is_dir() && stat.uid() == user.uid {
        return Ok(());
    }
    let why = format!("its home directory {home} is not its own");
    Err(unfit(&user.name, &why))
}

fn unfit(name: &str, why: &str) -> Error {
    Error::new(Kind::BadInput, format!("cannot bind user {name}: {why}"))
}

/// `NAME:PASSWORD:UID:GID:REAL NAME,…:HOME:SHELL`
fn entry(line: &str, name: &str) -> Option<HostUser> {
    let fields: Vec<&str> = line.split(':').collect();
    let [found, _, uid, gid, gecos, home, shell] = fields[..] else {
        return None;
    };
    (found == name).then_some(())?;
    Some(HostUser {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        real_name: gecos.split(',').next().unwrap_or_default().to_owned(),
        home: PathBuf::from(home),
        shell: shell.to_owned(),
        password: None,
    })
}

/// Whether it is the line of group(5) of that name and number.
fn is_group(line: &str, name: &str, gid: u32) -> bool {
    let mut fields = line.split(':');
    fields.next() == Some(name) && fields.nth(1).and_then(|n| n.parse().ok()) == Some(gid)
}

/// The hash in the line of shadow(5) of that name; a locked account has none.
fn password(line: &str, name: &str) -> Option<String> {
    let mut fields = line.split(':');
    let hash = (fields.next() == Some(name)).then(|| fields.next())??;
    (!hash.is_empty() && !hash.starts_with(['!', '*'])).then(|| hash.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nme:x:1000:1001:My Self,,:/home/me:/bin/zsh\n\
                          lone:x:1002:100::/home/lone:\nbroken:x:1\nnobody:x:65534:65534::/:\n";
    const GROUP: &str = "root:x:0:\nme:x:1001:\nusers:x:100:me\nnobody:x:65534:\n";
    const SHADOW: &str = "root:*:1::\nme:$y$hash:2::\nlone:!$y$x:3::\n";

    #[test]
    fn a_user_is_taken_from_the_three_files() {
        let me = find(PASSWD, GROUP, SHADOW, "me").unwrap();
        assert_eq!(
            (me.uid, me.gid, me.real_name.as_str()),
            (1000, 1001, "My Self")
        );
        assert_eq!(me.password.as_deref(), Some("$y$hash"));
        assert_eq!(find(PASSWD, GROUP, "", "me").unwrap().password, None);
        assert!(!format!("{me:?}").contains("hash"), "{me:?}");
    }

    #[test]
    fn no_machine_gets_to_know_others() {
        let kinds = ["root", "nobody", "lone", "broken", "none"]
            .map(|name| find(PASSWD, GROUP, SHADOW, name).unwrap_err().kind());
        use Kind::{BadInput, NotFound};
        assert_eq!(kinds, [BadInput, BadInput, BadInput, NotFound, NotFound]);
    }

    #[test]
    fn locked_accounts_have_no_password() {
        assert_eq!(password("lone:!$y$x:3::", "lone"), None);
        assert_eq!(password("a::3::", "a"), None);
        assert_eq!(password("ab:x:3::", "a"), None);
    }
}
