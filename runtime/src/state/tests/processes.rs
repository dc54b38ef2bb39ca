//! Holders in processes of their own, which can be killed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::process::ChildStdout;

use super::*;
use crate::lock::{ImageLocks, Mode};
use crate::range::Ranges;

const ROOT: &str = "NSRUN_TEST_STATE_ROOT";

/// The holders' image, whose name is not UTF-8.
fn image(root: &Path) -> PathBuf {
    root.join(OsStr::from_bytes(b"im\xe4ge"))
}

/// The process that other tests start: claims `web`, says whether it could, and holds
/// the claim until its standard input ends.
#[test]
#[ignore = "does nothing unless another test starts it"]
fn holder() {
    let Some(root) = std::env::var_os(ROOT) else {
        return;
    };
    let root = Path::new(&root);
    let store = store(root, Arc::new(NotingHost::default()));
    let held = store.claim(&web()).map(|mut claim| {
        let image = ImageLocks::of(&image(root)).unwrap();
        claim.lock_image(&image, Mode::Exclusive).unwrap();
        claim.pick_range(&Ranges::default(), None).unwrap();
        claim.note(cgroup()).unwrap();
        claim
    });
    match &held {
        Ok(_) => println!("verdict: held"),
        Err(e) => println!("verdict: {:?}", e.kind()),
    }
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

struct Holder {
    child: Child,
    verdict: String,
    /// Kept open, since the process fails where it cannot tell its test's result.
    _output: BufReader<ChildStdout>,
}

impl Holder {
    fn start(place: &Place) -> Child {
        std::fs::create_dir_all(image(place.root.path())).unwrap();
        Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "state::tests::processes::holder",
                "--ignored",
                "--nocapture",
            ])
            .env(ROOT, place.root.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Waits until the process has tried.
    fn wait(mut child: Child) -> Self {
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let lines = output.by_ref().lines().map(std::io::Result::unwrap);
        let verdict = lines
            .filter_map(|line| Some(line.split_once("verdict: ")?.1.to_owned()))
            .next();
        Self {
            verdict: verdict.expect("the holder tells its verdict"),
            child,
            _output: output,
        }
    }
}

#[test]
fn of_many_processes_exactly_one_holds_the_name() {
    let place = Place::new();
    let children: Vec<Child> = (0..6).map(|_| Holder::start(&place)).collect();
    let holders: Vec<Holder> = children.into_iter().map(Holder::wait).collect();
    let held = holders
        .iter()
        .filter(|holder| holder.verdict == "held")
        .count();
    let busy = holders
        .iter()
        .filter(|holder| holder.verdict == "Busy")
        .count();
    assert_eq!((held, busy), (1, 5));
    for mut holder in holders {
        drop(holder.child.stdin.take());
        assert!(holder.child.wait().unwrap().success());
    }
    assert!(!place.dir().exists());
}

#[test]
fn a_killed_holder_frees_the_name_and_leaves_a_list() {
    let place = Place::new();
    let mut holder = Holder::wait(Holder::start(&place));
    assert_eq!(holder.verdict, "held");
    assert_eq!(place.store.claim(&web()).unwrap_err().kind(), Kind::Busy);
    assert_eq!(place.store.reconcile(&web()).unwrap(), Outcome::Alive);
    let image = ImageLocks::of(&image(place.root.path())).unwrap();
    assert_eq!(image.take(Mode::Shared).unwrap_err().kind(), Kind::Busy);

    holder.child.kill().unwrap();
    holder.child.wait().unwrap();
    let list = std::fs::read_to_string(place.dir().join("residue")).unwrap();
    let range_lock = list
        .split('"')
        .find(|word| word.starts_with("/run/systemd/nspawn-uid/"));
    let range_lock = Path::new(range_lock.unwrap());
    assert!(range_lock.exists() && image.files().all(Path::exists));

    assert_eq!(place.state(), State::Dead);
    let mut claim = place.claim();
    assert_eq!(place.calls(), ["end machine.slice/nsrun-web.scope"]);
    assert!(!range_lock.exists() && !image.files().any(Path::exists));
    claim.end().unwrap();
}

#[test]
fn files_are_readable_as_far_as_they_should_be() {
    let place = Place::new();
    let claim = place.claim();
    claim.publish(&record(&web())).unwrap();
    let mode = |name: &str| std::fs::metadata(place.dir().join(name)).unwrap().mode() & 0o7777;
    assert_eq!(
        [mode("."), mode("lock"), mode("residue"), mode("state.json")],
        [0o755, 0o600, 0o600, 0o644]
    );
}
