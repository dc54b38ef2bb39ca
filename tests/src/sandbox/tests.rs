//! The check for leftovers finds each kind of them.

use super::*;
use std::os::unix::net::UnixListener;

/// A sandbox that does not need the program under test.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::make(false);
    sandbox.assert_clean();
    sandbox
}

fn left(sandbox: &Sandbox) -> String {
    sandbox.left().join("\n")
}

#[test]
fn finds_a_mount() {
    let sandbox = sandbox();
    mount_bind("/usr", sandbox.dir().join("images")).unwrap();
    assert!(left(&sandbox).contains("/images"), "{}", left(&sandbox));
    rustix::mount::unmount(
        sandbox.dir().join("images"),
        rustix::mount::UnmountFlags::DETACH,
    )
    .unwrap();
}

#[test]
fn finds_a_detached_process() {
    let sandbox = sandbox();
    let mut command = Command::new("sh");
    command.args(["-c", "setsid sleep 1000 >/dev/null 2>&1 &"]);
    run(command, patience(10)).success();
    // Which of the two names it has is a matter of moments.
    let left = left(&sandbox);
    residue::kill_descendants();
    assert!(
        left.contains("(sleep)") || left.contains("(setsid)"),
        "{left}"
    );
}

#[test]
fn finds_a_link() {
    let sandbox = sandbox();
    run(ip(&["link", "add", "ve-x", "type", "veth"]), patience(10)).success();
    assert!(left(&sandbox).contains("link ve-x"), "{}", left(&sandbox));
    run(ip(&["link", "del", "ve-x"]), patience(10)).success();
}

#[test]
fn finds_a_cgroup_of_its_machines() {
    let sandbox = sandbox();
    let name = format!("nsrun-{}.scope", sandbox.name("web"));
    let cgroup = residue::v2_root().unwrap().join(name);
    fs::create_dir(&cgroup).unwrap();
    assert!(left(&sandbox).contains("cgroup /"), "{}", left(&sandbox));
    residue::kill_cgroups(&sandbox.id);
    assert!(!cgroup.exists());
}

#[test]
fn finds_lock_files_staging_trees_and_state() {
    let sandbox = sandbox();
    let files = [
        sandbox.image_root().join(".#web.lck"),
        sandbox.state_root().join("run/machines/web/lock"),
    ];
    for file in &files {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    for file in &files {
        assert!(left(&sandbox).contains(file.to_str().unwrap()));
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn finds_shared_memory_and_an_open_terminal() {
    let sandbox = sandbox();
    let mut command = Command::new("ipcmk");
    command.args(["--shmem", "16"]);
    run(command, patience(10)).success();
    let flags = rustix::pty::OpenptFlags::RDWR;
    let terminal = rustix::pty::openpt(flags).unwrap();
    let seen = left(&sandbox);
    assert!(seen.contains("SysV shm"), "{seen}");
    assert!(seen.contains("/dev/pts/0"), "{seen}");
    drop(terminal);
    let mut command = Command::new("ipcrm");
    command.arg("--all=shm");
    run(command, patience(10)).success();
}

#[test]
fn finds_a_changed_host_name() {
    let sandbox = sandbox();
    let before = rustix::system::uname().nodename().to_owned();
    rustix::system::sethostname(b"nixos").unwrap();
    assert!(left(&sandbox).contains("host name nixos"));
    assert!(!sandbox.residue.missing().is_empty());
    rustix::system::sethostname(before.to_bytes()).unwrap();
}

#[test]
fn finds_an_abstract_socket() {
    let sandbox = sandbox();
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(
            "nsrun-x",
        )
        .unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    assert!(left(&sandbox).contains("nsrun-x"), "{}", left(&sandbox));
    drop(listener);
}

#[test]
#[should_panic(expected = "left behind")]
fn a_leftover_fails_the_test_at_its_end() {
    let sandbox = sandbox();
    fs::write(sandbox.image_root().join(".#half"), "").unwrap();
    drop(sandbox);
}

#[test]
fn removes_immutable_files_on_disk() {
    let sandbox = Sandbox::on_disk();
    let file = sandbox.image_root().join("empty");
    fs::write(&file, "").unwrap();
    let mut command = Command::new("chattr");
    command.arg("+i").arg(&file);
    let done = run(command, patience(10));
    let dir = sandbox.dir().to_owned();
    drop(sandbox);
    assert_eq!(done.status, 0, "{done}");
    assert!(!dir.exists());
}
