//! Units of the host's systemd: one template for all machines, and links to its instances.

use std::fs;
use std::path::{Path, PathBuf};

use super::file;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;

/// Where units are looked for, the first that has one wins; systemd.unit(5).
const UNITS: [&str; 5] = [
    OWN,
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// The administrator's units, among which ours are.
const OWN: &str = "etc/systemd/system";

const TEMPLATE: &str = "nsrun@.service";
const TARGET: &str = "machines.target";

/// Drop-ins of an instance: what tells it its roots, and its options.
const ROOTS: &str = "10-nsrun-roots.conf";
const OPTIONS: &str = "20-nsrun-options.conf";

/// What wants the instances. The first comes with machined; without it nothing would reach it.
const WANTS: [&str; 2] = ["machines.target.wants", "multi-user.target.wants"];

/// The first line of what we have written, and may write anew.
const OURS: &str =
    "# Written by `nsrun enable`. Changes belong into `systemctl edit nsrun@.service`.";

/// The unit that starts a machine. A machine's name needs no escapes in it.
pub(super) fn unit(name: &str) -> String {
    format!("nsrun@{name}.service")
}

/// Refuses if the unit is linked, and is for other roots than ours.
pub(super) fn expect_ours(root: &Path, dirs: &Dirs, name: &MachineName) -> Result<()> {
    if !is_linked(root, name.as_str()) || is_enabled(root, dirs, name.as_str()) {
        return Ok(());
    }
    let unit = unit(name.as_str());
    let what = format!("unit {unit} starts a machine of other roots");
    Err(Error::new(Kind::Busy, what).hint(format!("see `systemctl cat {unit}`")))
}

pub(super) fn enable(
    root: &Path,
    dirs: &Dirs,
    name: &MachineName,
    options: &[String],
) -> Result<()> {
    let template = template(root)?;
    let texts = [(ROOTS, roots(dirs)?), (OPTIONS, options_text(options))];
    for (file, text) in texts {
        let path = drop_in(root, name.as_str(), file);
        match text {
            Some(text) => file::replace(&path, &text, 0o644)?,
            None => file::remove(&path)?,
        };
    }
    let own = root.join(OWN);
    let target = find(root, TARGET);
    let [machines, multi_user] = WANTS.map(|dir| own.join(dir));
    let wants = target.as_ref().map_or(&multi_user, |_| &machines);
    file::link(&template, &wants.join(unit(name.as_str())))?;
    let reached = multi_user.join(TARGET);
    if let Some(target) = target.filter(|_| !reached.is_symlink()) {
        // A preset may have left it out, and nothing would start it.
        file::link(&seen(root, &target), &reached)?;
    }
    Ok(())
}

/// Tells whether it was linked. The template stays: it may be in use.
pub(super) fn disable(root: &Path, dirs: &Dirs, name: &str) -> Result<bool> {
    if !is_enabled(root, dirs, name) {
        return Ok(false);
    }
    for link in links(root, name) {
        file::remove(&link)?;
    }
    for file in [OPTIONS, ROOTS] {
        let path = drop_in(root, name, file);
        file::remove(&path)?;
        // The administrator's own drop-ins keep the directory.
        path.parent().map(fs::remove_dir);
    }
    Ok(true)
}

/// Whether systemd starts the machine of these roots.
pub(super) fn is_enabled(root: &Path, dirs: &Dirs, name: &str) -> bool {
    let found = fs::read_to_string(drop_in(root, name, ROOTS)).ok();
    is_linked(root, name) && roots(dirs).is_ok_and(|wanted| wanted == found)
}

fn is_linked(root: &Path, name: &str) -> bool {
    links(root, name).iter().any(|link| link.is_symlink())
}

fn links(root: &Path, name: &str) -> [PathBuf; 2] {
    WANTS.map(|dir| root.join(OWN).join(dir).join(unit(name)))
}

fn find(root: &Path, unit: &str) -> Option<PathBuf> {
    let mut paths = UNITS.iter().map(|dir| root.join(dir).join(unit));
    paths.find(|path| path.exists())
}

/// A path below the root as the host sees it.
fn seen(root: &Path, path: &Path) -> PathBuf {
    let below = path.strip_prefix(root).unwrap_or(path);
    Path::new("/").join(below)
}

/// The template to link to: one that a package or the administrator brought, or our own.
fn template(root: &Path) -> Result<PathBuf> {
    let own = root.join(OWN).join(TEMPLATE);
    if let Some(found) = find(root, TEMPLATE) {
        let text = fs::read_to_string(&found).unwrap_or_default();
        if found != own || !text.starts_with(OURS) {
            return Ok(seen(root, &found));
        }
    }
    let program = fs::read_link("/proc/self/exe").cannot(|| "find nsrun's own program")?;
    file::replace(&own, &template_text(&program)?, 0o644)?;
    Ok(seen(root, &own))
}

/// After systemd's own template for containers, `systemd-nspawn@.service`.
fn template_text(program: &Path) -> Result<String> {
    let program = word("", program)?.replace('$', "$$");
    Ok(format!(
        "{OURS}
[Unit]
Description=Machine %i
Documentation=man:nsrun(1)
PartOf=machines.target
Before=machines.target
After=network.target
RequiresMountsFor=/var/lib/machines/%i

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} --supervise start $NSRUN_START_OPTIONS %i
KillMode=mixed
Delegate=yes
Slice=machine.slice
TasksMax=16384
TimeoutSec=2min
WatchdogSec=3min

[Install]
WantedBy=machines.target
"
    ))
}

fn drop_in(root: &Path, name: &str, file: &str) -> PathBuf {
    let dir = format!("{}.d", unit(name));
    root.join(OWN).join(dir).join(file)
}

/// Options have nothing in them that is special in a unit.
fn options_text(options: &[String]) -> Option<String> {
    let words = options.join(" ");
    let line = format!("Environment=\"NSRUN_START_OPTIONS={words}\"");
    (!options.is_empty()).then(|| format!("{OURS}\n[Service]\n{line}\n"))
}

/// The drop-in that tells a unit its roots; `None` if they are the usual ones.
fn roots(dirs: &Dirs) -> Result<Option<String>> {
    let usual = Dirs::default();
    let images = Some(dirs.image_root()).filter(|dir| *dir != usual.image_root());
    let images = images.map(|dir| ("NSRUN_IMAGE_ROOT", dir));
    let state = dirs.state_root().map(|dir| ("NSRUN_STATE_ROOT", dir));
    let (mut mounts, mut environment) = (String::new(), String::new());
    for (variable, dir) in images.into_iter().chain(state) {
        mounts += &format!("RequiresMountsFor={}\n", word("", dir)?);
        let pair = word(&format!("{variable}="), dir)?;
        environment += &format!("Environment={pair}\n");
    }
    let any = !mounts.is_empty();
    Ok(any.then(|| format!("{OURS}\n[Unit]\n{mounts}\n[Service]\n{environment}")))
}

/// A path, with something before it, as a word in a unit; systemd.syntax(7).
fn word(before: &str, path: &Path) -> Result<String> {
    let text = path
        .to_str()
        .filter(|text| !text.contains(char::is_control));
    let text = text.ok_or_else(|| {
        let path = path.display().to_string();
        let what = format!(
            "path '{}' cannot be written into a unit",
            path.escape_debug()
        );
        Error::new(Kind::Usage, what)
    })?;
    let text = format!("{before}{text}");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,=".contains(c);
    if text.chars().all(plain) {
        return Ok(text);
    }
    let escaped = text.replace('\\', r"\\").replace('"', r#"\""#);
    Ok(format!("\"{}\"", escaped.replace('%', "%%")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_units_keep_what_is_special_there() {
        let word = |path: &str| word("A=", Path::new(path)).ok();
        assert_eq!(word("/srv/m-1").as_deref(), Some("A=/srv/m-1"));
        assert_eq!(word("/a b").as_deref(), Some("\"A=/a b\""));
        assert_eq!(word(r#"/a"\%"#).as_deref(), Some(r#""A=/a\"\\%%""#));
        assert_eq!(word("/a\n[Service]"), None);
    }

    #[test]
    fn usual_roots_need_no_drop_in() {
        assert_eq!(roots(&Dirs::default()).unwrap(), None);
        let dirs = Dirs::new(None, Some(Path::new("/s")));
        let text = roots(&dirs).unwrap().unwrap();
        assert!(
            text.ends_with("[Service]\nEnvironment=NSRUN_STATE_ROOT=/s\n"),
            "{text}"
        );
        assert!(!text.contains("IMAGE"), "{text}");
    }
}
