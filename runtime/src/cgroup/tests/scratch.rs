use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cgroup::dir::Dir;
use crate::cgroup::{Host, Layout, MachineCgroup, Mount, Scope, ScopeOptions, tree};
use crate::name::MachineName;

/// Tests move their process between cgroups, so one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A cgroup that plays the top of the hierarchy; removed when dropped, with all in it.
pub(super) struct Scratch {
    path: PathBuf,
    parent: Dir,
    name: String,
    _turn: MutexGuard<'static, ()>,
}

impl Scratch {
    pub(super) fn new() -> Result<Self, String> {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let host = Host::probe().map_err(|e| e.to_string())?;
        let mount = host.layout.mount().ok_or("no cgroup version 2")?;
        let own = mount
            .path_of(&host.own)
            .ok_or("the own cgroup is not in sight")?;
        let parent = Dir::open(&own).map_err(|e| e.to_string())?;
        let name = format!("nsrun-unit-test-{}", std::process::id());
        parent
            .make(&name)
            .map_err(|e| format!("cannot make a cgroup: {e}"))?;
        Ok(Self {
            path: own.join(&name),
            parent,
            name,
            _turn: turn,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn dir(&self) -> Dir {
        Dir::open(&self.path).unwrap()
    }

    /// A host without systemd whose hierarchy begins here, and this process in `own`.
    pub(super) fn host(&self, own: &str) -> Host {
        let mount = Mount {
            point: self.path.clone(),
            root: "/".into(),
            read_only: false,
        };
        Host {
            layout: Layout::Hybrid(mount),
            own: own.into(),
            delegated: None,
            systemd: false,
        }
    }

    pub(super) fn scope(&self, machine: &str) -> Scope {
        Scope::create(&name(machine), &self.host("/"), &ScopeOptions::default()).unwrap()
    }

    /// The names of the cgroups below.
    pub(super) fn children(&self) -> Vec<String> {
        let names = self.dir().children().unwrap();
        names
            .into_iter()
            .map(|n| n.into_string().unwrap())
            .collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let home = self.parent.write("cgroup.procs", "0");
        let killed = tree::kill(&Dir::open(&self.path).unwrap());
        let removed = tree::remove(&self.parent, &self.name, soon());
        if !std::thread::panicking() {
            home.unwrap();
            killed.unwrap();
            removed.unwrap();
        }
    }
}

pub(super) fn name(machine: &str) -> MachineName {
    machine.parse().unwrap()
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// A process in a cgroup; killed and reaped when dropped.
pub(super) struct Process(Child);

impl Process {
    /// Runs a shell script in the cgroup `path`; it is there, or has ended, when this returns.
    pub(super) fn shell(path: &Path, script: &str) -> Self {
        let script = format!("echo $$ >'{}/cgroup.procs' && {script}", path.display());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Self(command.spawn().unwrap());
        let own = path.join("cgroup.procs");
        let inside = |id: i32| {
            let ids = std::fs::read_to_string(&own).unwrap_or_default();
            ids.lines().any(|line| line == id.to_string())
        };
        while !inside(process.id()) && !process.has_ended() {
            std::thread::sleep(Duration::from_millis(1));
        }
        process
    }

    /// Sleeps in the payload, and is there when this returns.
    pub(super) fn asleep(machine: &MachineCgroup) -> Self {
        Self::asleep_in(&machine.path().join("payload"))
    }

    pub(super) fn asleep_in(path: &Path) -> Self {
        let child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        std::fs::write(path.join("cgroup.procs"), child.id().to_string()).unwrap();
        Self(child)
    }

    pub(super) fn id(&self) -> i32 {
        self.0.id().try_into().unwrap()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    pub(super) fn wait(&mut self) {
        self.0.wait().unwrap();
    }

    /// Standard output and error when it has ended.
    pub(super) fn output(mut self) -> String {
        use std::io::Read;
        let mut text = String::new();
        self.0
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        self.wait();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The cgroup that this process is in, as a path on the host.
pub(super) fn own_path() -> PathBuf {
    let host = Host::probe().unwrap();
    host.layout.mount().unwrap().path_of(&host.own).unwrap()
}
