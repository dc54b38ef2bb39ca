//! A launch in which each operation fails once, and each process dies once before each
//! operation: the error says what could not be done, nothing is left, the next start works.

use nsrun_tests::done::{Running, run};
use nsrun_tests::{Done, Must, Sandbox, nsrun, patience, rng, wait_until};
use rustix::process::Signal;
use serde_json::Value;

/// What the payload prints if it gets so far.
const WORDS: [&str; 3] = ["/sbin/init", "print", "started"];

/// Which process carries an operation out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Parent,
    Child,
}

/// What happens instead of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It fails.
    Error(i32, &'static str),
    /// The process that was to carry it out is killed.
    Death,
    /// The other process is killed.
    OthersDeath,
}

const FAULTS: [Fault; 4] = [
    Fault::Error(1, "operation not permitted"),
    Fault::Error(12, "out of memory"),
    Fault::Death,
    Fault::OthersDeath,
];

/// One field of the matrix.
#[derive(Clone, Debug)]
struct Case {
    side: Side,
    index: usize,
    op: String,
    fault: Fault,
    /// There are two processes.
    has_child: bool,
    /// The payload has had the word to start, so that it may or may not have run.
    late: bool,
}

impl Case {
    /// Whether the machine does as well without the operation, or has another way to do it.
    fn is_optional(&self) -> bool {
        let other_way = self.op.starts_with("lock the mounts") && self.fault == FAULTS[0];
        self.op.ends_with("(if possible)") || other_way
    }

    /// Fails if the payload has run although it must not.
    #[track_caller]
    fn assert_not_started(&self, done: &Done) {
        let allowed = self.late && done.stdout == "started\n";
        assert!(done.stdout.is_empty() || allowed, "{self:?}: {done}");
    }
}

/// A machine that can be started with faults.
struct Subject<'a> {
    sandbox: &'a Sandbox,
    image: String,
    options: &'a [&'a str],
}

impl Subject<'_> {
    fn command(&self, before: &[&str]) -> std::process::Command {
        let args = [
            &["--json", "run"],
            self.options,
            before,
            &[&self.image, "--"],
            &WORDS,
        ];
        self.sandbox.command(&args.concat())
    }

    /// All operations of both sides, as `--dry-run` tells them.
    fn matrix(&self) -> Vec<Case> {
        let done = run(self.command(&["--dry-run"]), patience(20)).success();
        let explained: Value = done.json();
        let mut cases = Vec::new();
        for (side, key) in [(Side::Parent, "parent"), (Side::Child, "child")] {
            let ops = explained["script"][key].as_array().must("find the script");
            let mut late = false;
            let mut has_child = side == Side::Child;
            for (index, op) in ops.iter().enumerate() {
                let op = op.as_str().must("read an operation").to_owned();
                cases.extend(FAULTS.map(|fault| Case {
                    side,
                    index,
                    op: op.clone(),
                    fault,
                    has_child,
                    late,
                }));
                has_child |= op.starts_with("make a process");
                late |= op == "wait for the word to start" || op == "give the word to start";
            }
        }
        assert!(cases.len() > 400, "only {} cases", cases.len());
        cases
    }

    fn check(&self, case: &Case) {
        match case.fault {
            Fault::Error(..) => self.fails(case),
            Fault::Death if case.side == Side::Child => self.loses_its_child(case),
            Fault::OthersDeath if case.side == Side::Parent => self.loses_its_child(case),
            Fault::Death | Fault::OthersDeath => self.dies(case),
        }
        let again = run(self.command(&[]), patience(30));
        assert!(
            again.status == 0 && again.stdout == "started\n",
            "after {case:?}: {again}"
        );
        self.assert_clean(case);
    }

    fn with(&self, case: &Case) -> std::process::Command {
        let side = match case.side {
            Side::Parent => "parent",
            Side::Child => "child",
        };
        let what = match case.fault {
            Fault::Error(number, _) => number.to_string(),
            Fault::Death => "kill".to_owned(),
            Fault::OthersDeath => "alone".to_owned(),
        };
        let mut command = self.command(&[]);
        command.env("NSRUN_FAULT", format!("{side}:{}:{what}", case.index));
        command
    }

    /// Nothing of this machine is left, without any further command.
    #[track_caller]
    fn assert_clean(&self, case: &Case) {
        let left = self.sandbox.left();
        if !left.is_empty() {
            println!("{case:?}: {left:?}");
        }
        self.sandbox.assert_clean();
    }

    /// The operation fails: by name, unless the machine does without it.
    fn fails(&self, case: &Case) {
        let Fault::Error(_, cause) = case.fault else {
            return;
        };
        let done = run(self.with(case), patience(30));
        if case.is_optional() {
            assert_eq!(
                (done.status, done.stdout.as_str()),
                (0, "started\n"),
                "{case:?}: {done}"
            );
        } else {
            case.assert_not_started(&done);
            assert_named(case, cause, &done);
        }
        self.assert_clean(case);
    }

    /// The child is killed. Once it has the word to start it counts as the payload.
    fn loses_its_child(&self, case: &Case) {
        let done = run(self.with(case), patience(30));
        if case.side == Side::Parent && !case.has_child {
            return assert_eq!(done.status, 0, "there is no child yet; {done}");
        }
        case.assert_not_started(&done);
        match done.status {
            125 => {
                let _ = one_error(case, &done);
                assert!(done.stderr.contains("killed"), "{case:?}: {done}");
            }
            // It was killed as the payload, or had ended before.
            0 => assert!(case.late, "{case:?}: {done}"),
            status => assert_eq!(status, 137, "{case:?}: {done}"),
        }
        self.assert_clean(case);
    }

    /// The supervisor is killed: its child does not become the payload, or not for long.
    fn dies(&self, case: &Case) {
        let mut running = Running::start(self.with(case));
        if case.side == Side::Child {
            wait_until(patience(20), "the child waits", || {
                running.so_far().stderr.contains("alone\n").then_some(())
            });
            running.signal(Signal::KILL);
        }
        let done = running.finish(patience(20));
        assert_eq!(done.status, 137, "{case:?}: {done}");
        wait_until(patience(10), "all processes are gone", || {
            let left = self.sandbox.left();
            (!left.iter().any(|thing| thing.starts_with("process"))).then_some(())
        });
        case.assert_not_started(&running.so_far());
    }
}

/// The one line that says what went wrong.
#[track_caller]
fn one_error<'a>(case: &Case, done: &'a Done) -> &'a str {
    let lines: Vec<_> = done.stderr.lines().collect();
    let errors = lines.iter().filter(|line| line.starts_with("nsrun: "));
    let errors: Vec<_> = errors.collect();
    assert_eq!(errors.len(), 1, "{case:?}: {done}");
    let hints = lines
        .iter()
        .filter(|line| line.starts_with("hint: "))
        .count();
    assert_eq!(errors.len() + hints, lines.len(), "{case:?}: {done}");
    errors[0]
}

/// The error names operation, object and cause.
#[track_caller]
fn assert_named(case: &Case, cause: &str, done: &Done) {
    let error = one_error(case, done);
    let op = case.op.trim_end_matches(" (if present)");
    let (op, status) = match op {
        // As a shell would have it.
        "execute the program" => ("execute /sbin/init", 126),
        op => (op, 125),
    };
    let named = match op.rsplit_once(' ') {
        // Ids and directory are those of the machine, which a dry run does not have.
        Some((verb @ ("map ids 0..65536 to" | "mount / on"), _)) => {
            let rest = error.strip_prefix(&format!("nsrun: cannot {verb} "));
            rest.is_some_and(|rest| rest.ends_with(&format!(": {cause}")))
        }
        _ => error == format!("nsrun: cannot {op}: {cause}"),
    };
    assert!(named && done.status == status, "{case:?}: {done}");
}

/// Checks the whole matrix, or some of it by chance.
fn survives(options: &[&str]) {
    let sandbox = Sandbox::new().with_binary(nsrun::faulty_binary());
    let image = sandbox.tiny("fault", &[]);
    let subject = Subject {
        sandbox: &sandbox,
        image,
        options,
    };
    let mut cases = subject.matrix();
    if std::env::var_os("NSRUN_TEST_SOAK").is_none() {
        let count = 25;
        cases = rng::seeded("faults").choose_multiple(cases, count);
    }
    for case in &cases {
        subject.check(case);
    }
}

#[test]
fn with_a_network_of_its_own() {
    survives(&["--network=private"]);
}

#[test]
fn with_a_link_to_the_host() {
    survives(&["--network=veth"]);
}

#[test]
fn with_the_hosts_network() {
    survives(&["--network=host"]);
}

#[test]
fn with_the_hosts_users() {
    survives(&["--network=private", "--private-users=no", "--read-only"]);
}

#[test]
fn as_process_1_with_nesting() {
    survives(&[
        "--network=host",
        "--pid1",
        "--nesting",
        "--no-new-privileges",
    ]);
}

#[test]
fn with_mounts_of_every_kind() {
    let (bind, overlay) = (
        "--bind=/usr:/mnt/usr:norbind,idmap",
        "--overlay=/etc::/mnt/over",
    );
    let mounts = [
        bind,
        "--bind-ro=/dev/null:/mnt/null",
        overlay,
        "--bind=:/new",
    ];
    let inside = [
        "--tmpfs=/mnt/fs:size=1m",
        "--inaccessible=/root",
        "--bind=+/etc:/again",
    ];
    survives(&[&["--network=private"], &mounts[..], &inside[..]].concat());
}

#[test]
fn with_mounts_and_the_hosts_users() {
    let mounts = [
        "--bind-ro=/usr:/mnt",
        "--overlay=/etc::/over",
        "--tmpfs=/mnt/share",
    ];
    survives(&[&["--network=private", "--private-users=no"], &mounts[..]].concat());
}

#[test]
fn with_changes_in_memory() {
    let tuning = [
        // An ephemeral machine's own name ends in what is made up at each start.
        "--hostname=fault",
        "--oom-score-adjust=100",
        "--cpu-affinity=0",
        "--set-credential=a:b",
    ];
    survives(
        &[
            &["--network=private", "--ephemeral", "--read-only"],
            &tuning[..],
        ]
        .concat(),
    );
}

#[test]
fn with_changes_on_a_disk_and_the_hosts_users() {
    survives(&[
        "--network=private",
        "--ephemeral=disk",
        "--hostname=fault",
        "--private-users=no",
        "--ambient-capability=CAP_CHOWN",
        "--resolv-conf=replace-host",
    ]);
}
