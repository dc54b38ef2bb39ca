//! OpenRC's service: one for all enabled machines.

use std::fs;
use std::path::Path;

use super::file;
use crate::error::{Context, Error, Kind, Result};

const SCRIPT: &str = "etc/init.d/nsrun";

/// What starts it, as `rc-update add nsrun default` has it.
const LINK: &str = "etc/runlevels/default/nsrun";

/// The second line of what we have written, and may write anew.
const OURS: &str = "# Written by `nsrun enable`. Settings belong into /etc/conf.d/nsrun.";

/// Has the service started with the host. A script of somebody else's is left as it is.
pub(super) fn install(root: &Path) -> Result<()> {
    let script = root.join(SCRIPT);
    let old = fs::read_to_string(&script).unwrap_or_default();
    if old.is_empty() || old.lines().nth(1) == Some(OURS) {
        let program = fs::read_link("/proc/self/exe").cannot(|| "find nsrun's own program")?;
        file::replace(&script, &text(&program)?, 0o755)?;
    }
    let link = root.join(LINK);
    if !link.is_symlink() {
        file::link(&Path::new("/").join(SCRIPT), &link)?;
    }
    Ok(())
}

fn text(program: &Path) -> Result<String> {
    let program = program.to_str().ok_or_else(|| {
        let what = format!(
            "path '{}' cannot be written into a script",
            program.display()
        );
        Error::new(Kind::Usage, what)
    })?;
    let program = program.replace('\'', r"'\''");
    Ok(format!(
        "#!/sbin/openrc-run
{OURS}

description=\"Starts the machines that are enabled, and stops all machines\"
: \"${{NSRUN_START_OPTIONS:=}}\" \"${{NSRUN_STOP_OPTIONS:=}}\"

depend() {{
\tneed localmount
\tuse net dns
\tafter cgroups firewall bootmisc
}}

start() {{
\tebegin \"Starting machines\"
\t'{program}' start --all-enabled $NSRUN_START_OPTIONS
\teend $?
}}

stop() {{
\tebegin \"Stopping machines\"
\t'{program}' stop --all $NSRUN_STOP_OPTIONS
\teend $?
}}
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_the_script() {
        let text = text(Path::new("/opt/it's/nsrun")).unwrap();
        assert!(text.contains(r"'/opt/it'\''s/nsrun' stop --all"), "{text}");
        let mut shell = std::process::Command::new("/bin/sh");
        let status = shell.args(["-n", "-c", &text]).status().unwrap();
        assert!(status.success());
    }
}
