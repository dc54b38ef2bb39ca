//! Where the measurements run: namespaces of their own, pure cgroup v2, and a cgroup per run.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nsrun_tests::children;
use nsrun_tests::residue::v2_root;
use nsrun_tests::{Must, Sandbox, nsrun};

/// The sandbox of all measurements.
#[derive(Debug)]
pub(crate) struct Host {
    /// In memory if there is enough of it.
    pub(crate) sandbox: Sandbox,
    /// A directory that all users can reach, for peers whose container root opens paths.
    pub(crate) open_dir: PathBuf,
    cgroups: PathBuf,
    count: Cell<usize>,
}

/// What a command took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// From before it was started to after it was waited for.
    pub(crate) wall: Duration,
    /// User and system time of it and its descendants, as far as they were waited for.
    pub(crate) cpu: Duration,
}

impl Host {
    pub(crate) fn new() -> Self {
        let mut sandbox = Sandbox::new();
        sandbox.pure_cgroup_v2();
        let root = v2_root().must("find the cgroup v2 root");
        let cgroups = root.join(sandbox.name("bench"));
        fs::create_dir(&cgroups).must("make the bench's cgroup");
        let beside = sandbox.dir().parent().must("find the sandbox's parent");
        let open_dir = beside.join(sandbox.name("bench"));
        fs::create_dir(&open_dir).must("make an open directory");
        fs::set_permissions(&open_dir, fs::Permissions::from_mode(0o755)).must("open it");
        Self {
            sandbox,
            open_dir,
            cgroups,
            count: Cell::new(0),
        }
    }

    /// Moves this process, and with it what it starts, into a cgroup of its own: peers make
    /// cgroups below the one they are started in.
    pub(crate) fn fresh_cgroup(&self) {
        self.count.set(self.count.get() + 1);
        let cgroup = self.cgroups.join(self.count.get().to_string());
        fs::create_dir(&cgroup).must("make a cgroup");
        fs::write(cgroup.join("cgroup.procs"), "0").must("enter a cgroup");
    }

    /// Runs `command` in a fresh cgroup to its end, without output.
    pub(crate) fn cost(&self, command: &mut Command) -> Cost {
        self.fresh_cgroup();
        let log = self.sandbox.dir().join("bench.log");
        let output = fs::File::create(&log).must("make the bench's log");
        let errors = output.try_clone().must("duplicate the log");
        // Not /dev/null: runtimes give their standard streams to the container's root.
        let input = self.sandbox.dir().join("bench.input");
        let input = fs::File::create(&input).must("make an empty input");
        command.stdin(input).stdout(output).stderr(errors);
        let cpu = children_cpu();
        let start = Instant::now();
        let mut child = children::spawn(command).must("start a command");
        let status = children::wait(&mut child).must("wait for a command");
        let wall = start.elapsed();
        assert!(
            status.success(),
            "{command:?}: {status}: {}",
            fs::read_to_string(&log).unwrap_or_default()
        );
        Cost {
            wall,
            cpu: children_cpu() - cpu,
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let root = self.cgroups.parent().map(|root| root.join("cgroup.procs"));
        if let Some(procs) = root {
            let _ = fs::write(procs, "0");
        }
        nsrun_tests::residue::kill_cgroups(&self.sandbox.name("bench"));
        nsrun_tests::sandbox::remove_tree(&self.open_dir);
    }
}

fn children_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).must("read the children's times");
    let time = |t: nix::sys::time::TimeVal| {
        let seconds = u64::try_from(t.tv_sec()).unwrap_or_default();
        let micros = u64::try_from(t.tv_usec()).unwrap_or_default();
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    };
    time(usage.user_time()) + time(usage.system_time())
}

/// The path of a peer; a line tells if it is not there.
pub(crate) fn peer(program: &str) -> Option<PathBuf> {
    let inside_systemd = PathBuf::from("/usr/lib/systemd").join(program);
    let path = nsrun::installed(program).or(inside_systemd.is_file().then_some(inside_systemd));
    if path.is_none() {
        println!("SKIP {program}: not installed");
    }
    path
}
