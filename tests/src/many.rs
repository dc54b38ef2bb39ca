//! Many machines of one image.

use crate::done::Running;
use crate::sandbox::Sandbox;
use crate::wait::patience;

/// How many to start: `NSRUN_TEST_MACHINES`, or else `usual`.
#[must_use]
pub fn number(usual: usize) -> usize {
    let told = std::env::var("NSRUN_TEST_MACHINES").ok();
    told.and_then(|told| told.parse().ok()).unwrap_or(usual)
}

impl Sandbox {
    /// Starts that many machines of the image in the background, whose changes do not stay, and
    /// waits until all are ready. A few at a time: with all at once, none is ready in time on two
    /// processors.
    ///
    /// # Panics
    /// When one is not ready, or is told that there is too little for it.
    #[track_caller]
    #[must_use]
    pub fn start_many(&self, image: &str, number: usize) -> Vec<String> {
        let names: Vec<String> = (0..number)
            .map(|number| self.name(&format!("m{number}")))
            .collect();
        for some in names.chunks(4) {
            let starts = some.iter().map(|name| {
                let mut command = self.command(&["start", "--ephemeral", "--wait=ready"]);
                command.args(["--timeout=600", "--network=veth", "--machine", name, image]);
                Running::start(command)
            });
            let mut starts: Vec<Running> = starts.collect();
            for start in &mut starts {
                let started = start.finish(patience(600)).success();
                assert!(!started.stderr.contains("is enough for about"), "{started}");
            }
        }
        names
    }
}
