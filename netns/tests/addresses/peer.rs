//! A pair of namespaces with a link between them: a server's and a client's.

use std::fs::{self, File};
use std::future::Future;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use nix::sched::{CloneFlags, setns, unshare};
use nsrun_netns::{Addresses, Error, MacAddr, Net, Owner, Setup, VethPlan};

pub const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub const SERVER: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A network namespace that lives as long as this value.
pub struct Namespace(OwnedFd);

impl Namespace {
    fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            File::open("/proc/thread-self/ns/net").unwrap().into()
        });
        Self(made.join().unwrap())
    }

    /// Runs `f` inside.
    pub fn with<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            f()
        };
        thread::scope(|scope| scope.spawn(inside).join().unwrap())
    }

    /// Runs a shell command inside; returns what it printed.
    pub fn shell(&self, command: &str) -> String {
        let run = || Command::new("sh").args(["-ec", command]).output();
        let output = self.with(run).unwrap();
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{command}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The two namespaces, with `ve-a` (the first address of 192.168.7.16/28) in the server's
/// and `host0` (the second, with a default route) in the client's.
pub struct Pair {
    pub server: Namespace,
    pub client: Namespace,
    /// The number of `ve-a`.
    pub index: u32,
    scratch: PathBuf,
}

impl Pair {
    pub fn new() -> Self {
        let (server, client) = (Namespace::new(), Namespace::new());
        let ends = Addresses::first_two("192.168.7.16/28".parse().unwrap()).unwrap();
        let plan = VethPlan {
            host: Owner {
                name: "ve-a".parse().unwrap(),
                mac: MacAddr::from(SERVER),
                tag: "test:ve-a".to_owned(),
            },
            altname: None,
            bridge: None,
            addresses: vec![ends.host.into()],
            peer: "host0".parse().unwrap(),
            peer_mac: MacAddr::from(CLIENT),
            inside: Setup {
                addresses: vec![ends.peer.into()],
                gateways: vec![ends.host.addr().into()],
                mtu: None,
            },
        };
        let index = server.with(|| {
            let net = Net::new().unwrap();
            net.create_veth(client.0.as_fd(), &plan).unwrap();
            net.find_tagged("test:").unwrap()[0].index
        });
        Self {
            server,
            client,
            index,
            scratch: scratch_dir(),
        }
    }

    /// A pair whose client has nothing but a link that is up.
    pub fn without_client_address() -> Self {
        let pair = Self::new();
        pair.client.shell("ip -4 address flush dev host0");
        pair
    }

    /// A path of the test's own, by name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Starts a program in the client's namespace; it is killed with the value.
    pub fn start(&self, program: &str, args: &[&str]) -> Running {
        let log = File::create(self.path("log")).unwrap();
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(&self.scratch)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Running(self.client.with(|| command.spawn()).unwrap())
    }

    /// What the programs that were started said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How many packet sockets the server's namespace has that are bound to `ve-a`.
    pub fn packet_sockets(&self) -> usize {
        let list = || fs::read_to_string("/proc/thread-self/net/packet").unwrap();
        let list = self.server.with(list);
        let link = self.index.to_string();
        let sockets = list.lines().skip(1);
        let bound = sockets.filter(|line| line.split_whitespace().nth(4) == Some(&link));
        bound.count()
    }

    /// Serves in the server's namespace until the value is dropped.
    pub fn serve<F>(&self, open: impl FnOnce() -> F + Send + 'static) -> Serving
    where
        F: Future<Output = Error>,
    {
        let before = self.packet_sockets();
        let namespace = self.server.0.try_clone().unwrap();
        let (stop, stopped) = UnixStream::pair().unwrap();
        stopped.set_nonblocking(true).unwrap();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            let run = open();
            ready.send(()).unwrap();
            serve_until(stopped, run);
        });
        is_ready.recv().unwrap();
        wait_until("the socket is open", || self.packet_sockets() > before);
        Serving {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

fn serve_until(stopped: UnixStream, run: impl Future<Output = Error>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(async {
        let stopped = tokio::net::UnixStream::from_std(stopped).unwrap();
        match select(pin!(stopped.readable()), pin!(run)).await {
            Either::Left(_) => {}
            Either::Right((error, _)) => panic!("the server ended: {error}"),
        }
    });
}

fn scratch_dir() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("nsrun-netns-{}-{count}", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::create_dir(&path).unwrap();
    path
}

/// A server at work.
pub struct Serving {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.take();
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// A program that was started.
pub struct Running(pub Child);

impl Running {
    pub fn id(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "still waiting until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The whole of a file that a program is still writing to; empty if there is none yet.
pub fn read(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = File::open(path) {
        file.read_to_string(&mut text).unwrap();
    }
    text
}
