//! What a systemd that was booted says of itself.

use crate::machine::Machine;
use crate::wait::{patience, wait_until};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl Machine<'_> {
    /// Fails the test unless systemd has started everything that it was to start, and
    /// nothing has failed.
    ///
    /// # Panics
    /// With the state of every failed unit and the last lines of its log.
    #[track_caller]
    pub fn assert_running(&self) {
        let done = self.exec(&["systemctl", "is-system-running", "--wait"]);
        let failed = self.exec(&["systemctl", "--no-pager", "--full", "status", "--failed"]);
        assert!(
            done.stdout.trim_end() == "running" && done.status == 0 && failed.stdout.is_empty(),
            "{}: {done}{failed}",
            self.name()
        );
    }

    /// The version of systemd, such as `257.13-1`.
    #[track_caller]
    #[must_use]
    pub fn systemd_version(&self) -> String {
        let text = self.output_of(&["systemctl", "--version"]);
        let (_, rest) = text.split_once('(').unwrap_or_default();
        let (version, _) = rest.split_once(')').unwrap_or_default();
        version.to_owned()
    }

    /// The id of this boot of the machine.
    #[track_caller]
    #[must_use]
    pub fn boot_id(&self) -> String {
        self.output_of(&["cat", BOOT_ID])
    }

    /// A property of a unit, such as `ActiveState`.
    #[track_caller]
    #[must_use]
    pub fn property(&self, unit: &str, property: &str) -> String {
        let property = format!("--property={property}");
        self.output_of(&["systemctl", "show", "--value", &property, unit])
    }

    /// What `nsrun status` knows of it.
    #[track_caller]
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        let args = ["--json", "status", self.name()];
        self.sandbox().nsrun(&args).success().json()
    }

    /// Waits until the machine has been up `count` times since it was started.
    #[track_caller]
    pub fn wait_ready_times(&mut self, count: usize) {
        let what = format!("READY=1 comes {count} times");
        wait_until(patience(60), &what, || {
            let ready = self.notices().iter().filter(|line| *line == "READY=1");
            (ready.count() >= count).then_some(())
        });
    }
}
