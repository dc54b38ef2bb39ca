use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::*;

/// Two directories of the administrator's and one with images.
struct Host {
    dir: tempfile::TempDir,
    path: SearchPath,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["etc", "run", "images"] {
            fs::create_dir(at(name)).unwrap();
            fs::set_permissions(at(name), Permissions::from_mode(0o755)).unwrap();
        }
        let path = SearchPath {
            administrators: vec![at("etc"), at("run")],
            beside: Some(at("images")),
        };
        Self { dir, path }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    }

    /// Content of the files found, which is their name in the tests.
    fn found(&self) -> Vec<String> {
        let found = self.path.find("web").unwrap();
        assert!(found.skipped.is_empty(), "{:?}", found.skipped);
        let text = |file: SettingsFile| String::from_utf8(file.content).unwrap();
        found.files.into_iter().map(text).collect()
    }

    fn skipped(&self) -> String {
        let found = self.path.find("web").unwrap();
        assert!(found.files.is_empty());
        found.skipped.join("\n")
    }

    fn refused(&self) -> Error {
        self.path.find("web").unwrap_err()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn the_first_directory_with_a_file_wins() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    assert!(host.found().is_empty());
    for name in ["images/web.nspawn", "run/web.nspawn", "etc/web.nspawn"] {
        host.write(name);
        assert_eq!(host.found(), [name]);
    }
}

#[test]
fn the_administrators_are_trusted_and_the_images_are_not() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    host.write("images/web.nspawn");
    host.write("etc/web.nspawn.d/a.conf");
    let found = host.path.find("web").unwrap();
    let trusted: Vec<bool> = found.files.iter().map(|file| file.trusted).collect();
    assert_eq!(trusted, [false, true]);
}

#[test]
fn drop_ins_are_read_by_name_after_the_file_and_the_first_directory_wins() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    for name in [
        "run/web.nspawn.d/10-a.conf",
        "run/web.nspawn.d/20-b.conf",
        "etc/web.nspawn.d/20-b.conf",
        "etc/web.nspawn.d/15-c.conf",
        "etc/web.nspawn.d/note.txt",
        "etc/web.nspawn.d/.hidden.conf",
        "images/web.nspawn.d/30.conf",
        "run/web.nspawn",
    ] {
        host.write(name);
    }
    let expected = [
        "run/web.nspawn",
        "run/web.nspawn.d/10-a.conf",
        "etc/web.nspawn.d/15-c.conf",
        "etc/web.nspawn.d/20-b.conf",
    ];
    assert_eq!(host.found(), expected);
}

#[test]
fn a_link_to_dev_null_takes_a_files_place() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    host.write("images/web.nspawn");
    host.write("run/web.nspawn.d/a.conf");
    symlink("/dev/null", host.at("etc/web.nspawn")).unwrap();
    fs::create_dir(host.at("etc/web.nspawn.d")).unwrap();
    symlink("/dev/null", host.at("etc/web.nspawn.d/a.conf")).unwrap();
    assert_eq!(host.found(), ["", ""]);
}

#[test]
fn the_administrators_file_may_be_a_link() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    host.write("store");
    symlink(host.at("store"), host.at("etc/web.nspawn")).unwrap();
    assert_eq!(host.found(), ["store"]);
}

#[test]
fn a_file_that_others_can_change_is_refused_with_the_remedy() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    host.write("etc/web.nspawn");
    let file = host.at("etc/web.nspawn");
    for mode in [0o666, 0o646] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let error = host.refused();
        assert!(
            error.to_string().contains("everybody can change"),
            "{error}"
        );
        assert!(error.advice().unwrap().contains("chmod go-w"), "{error}");
    }
    fs::set_permissions(&file, Permissions::from_mode(0o664)).unwrap();
    assert_eq!(host.found().len(), 1, "the group is root's");
    chown(&file, Some(0), Some(1000)).unwrap();
    assert!(host.refused().to_string().contains("group 1000"));
    chown(&file, Some(1000), Some(0)).unwrap();
    assert!(host.refused().to_string().contains("user 1000"));
}

#[test]
fn a_directory_that_others_can_change_is_refused() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    host.write("etc/web.nspawn");
    fs::set_permissions(host.at("etc"), Permissions::from_mode(0o1777)).unwrap();
    assert!(host.refused().to_string().contains("everybody can change"));
}

#[test]
fn what_is_no_plain_file_is_refused_and_holds_nothing_up() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o644);
    nix::unistd::mkfifo(&host.at("etc/web.nspawn"), mode).unwrap();
    assert!(host.refused().to_string().contains("no regular file"));
    fs::remove_file(host.at("etc/web.nspawn")).unwrap();
    fs::create_dir(host.at("etc/web.nspawn")).unwrap();
    assert!(host.refused().to_string().contains("no regular file"));
}

#[test]
fn a_file_beside_the_image_is_passed_over_if_it_is_odd() {
    let host = Host::new();
    let file = host.at("images/web.nspawn");
    symlink("/etc/shadow", &file).unwrap();
    assert!(host.skipped().contains("cannot open"), "{}", host.skipped());
    fs::remove_file(&file).unwrap();
    host.write("images/web.nspawn");
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    assert!(
        host.skipped().contains("can change the file"),
        "{}",
        host.skipped()
    );
}

#[test]
fn a_huge_file_is_refused() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    host.write("etc/web.nspawn");
    let file = File::options()
        .write(true)
        .open(host.at("etc/web.nspawn"))
        .unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(host.refused().to_string().contains("longer than 1 MiB"));
}
