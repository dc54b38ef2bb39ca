use super::*;
use std::path::Component;

use proptest::prelude::*;

fn name() -> MachineName {
    "web".parse().unwrap()
}

fn text(items: &[Line]) -> Vec<u8> {
    let lines = items
        .iter()
        .map(|l| serde_json::to_string(l).unwrap() + "\n");
    lines.collect::<String>().into_bytes()
}

fn some() -> Vec<Line> {
    let link = Item::Link {
        name: "ve-web".into(),
        mac: "02:00:00:00:00:01".into(),
        tag: "nsrun:web:1".into(),
    };
    let cgroup = Item::Cgroup {
        path: "machine.slice/nsrun-web.scope".into(),
    };
    vec![
        Line::Boot { id: "b".into() },
        Line::Item(cgroup),
        Line::Item(link),
    ]
}

// The format is read by later versions: it must not change by accident.
#[test]
fn the_format_is_a_json_object_per_line() {
    let text = String::from_utf8(text(&some())).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            r#"{"boot":{"id":"b"}}"#,
            r#"{"cgroup":{"path":"machine.slice/nsrun-web.scope"}}"#,
            r#"{"link":{"name":"ve-web","mac":"02:00:00:00:00:01","tag":"nsrun:web:1"}}"#,
        ]
    );
    let lock = Item::LockFile {
        path: "/a/.#b\n.lck".into(),
    };
    assert_eq!(
        serde_json::to_string(&lock).unwrap(),
        r#"{"lock-file":{"path":"/a/.#b\n.lck"}}"#
    );
}

#[test]
fn a_path_that_is_no_text_is_written_as_its_bytes() {
    let lock = Item::LockFile {
        path: OsString::from_vec(b"/\xff/.#b.lck".to_vec()).into(),
    };
    let line = serde_json::to_string(&lock).unwrap();
    assert_eq!(
        line,
        r#"{"lock-file":{"path":[47,255,47,46,35,98,46,108,99,107]}}"#
    );
    let read = Residue::parse(line.as_bytes());
    assert_eq!(read.items, [lock]);
    assert!(check(&read.items[0]));
    for path in ["7", "[256]", "[-1]", "[\"a\"]", "{}"] {
        let line = format!(r#"{{"lock-file":{{"path":{path}}}}}"#);
        assert_eq!(Residue::parse(line.as_bytes()).items, []);
    }
}

#[test]
fn a_torn_last_line_loses_only_itself() {
    let whole = text(&some());
    for cut in 0..whole.len() {
        let residue = Residue::parse(&whole[..cut]);
        let complete = whole[..cut].iter().filter(|&&b| b == b'\n').count();
        let read = residue.items.len() + usize::from(residue.boot_id.is_some());
        assert!(read == complete || read == complete + 1, "cut at {cut}");
        assert_eq!(residue.foreign, 0);
    }
}

#[test]
fn damage_is_passed_over_and_newer_kinds_are_counted() {
    let mut bytes = b"\0\0\0\n[1]\n{\"cgroup\":\n{\"portal\":{\"id\":1}}\n{\"cgroup\":{\"path\":\"a\",\"x\":1}}\n".to_vec();
    bytes.extend(text(&some()));
    let residue = Residue::parse(&bytes);
    assert_eq!((residue.items.len(), residue.foreign), (2, 2));
    assert_eq!(residue.boot_id.as_deref(), Some("b"));
}

fn check(item: &Item) -> bool {
    action(item, &name()).is_ok()
}

#[test]
fn only_control_groups_of_the_machine_are_accepted() {
    let accepts = |path: &str| check(&Item::Cgroup { path: path.into() });
    assert!(accepts("machine.slice/nsrun-web.scope"));
    assert!(accepts("machine.slice/nsrun-web.scope/payload"));
    assert!(accepts("nsrun-web"));
    for path in [
        "",
        "/",
        ".",
        "..",
        "/nsrun-web",
        "nsrun-web/..",
        "nsrun-web/../x",
        "./nsrun-web",
        "a//nsrun-web",
        "nsrun-web/",
        "nsrun-web\0",
        "system.slice",
        "machine.slice/nsrun-webx.scope",
        "machine.slice/nsrun-other.scope",
        "machine.slice/web.scope",
    ] {
        assert!(!accepts(path), "{path:?}");
    }
}

#[test]
fn only_lock_files_are_accepted() {
    let accepts = |path: &str| check(&Item::LockFile { path: path.into() });
    assert!(accepts("/var/lib/machines/.#web.lck"));
    assert!(accepts("/run/systemd/nspawn/locks/inode-1:2"));
    assert!(accepts("/run/systemd/nspawn-uid/655360"));
    for path in [
        "",
        "/",
        "/etc/passwd",
        "etc/.#a.lck",
        "/etc/../.#a.lck",
        "/run/systemd/nspawn-uid/x",
        "/run/systemd/nspawn/locks/other",
        "/run/systemd/nspawn/locks",
        "/a//.#b.lck",
        "/a/.#b.lck/",
        "/a/.#b.lck/c",
        "/a/.#b.lck\0",
    ] {
        assert!(!accepts(path), "{path:?}");
    }
}

#[test]
fn only_directories_of_the_machine_are_accepted() {
    let accepts = |path: &str| check(&Item::Scratch { path: path.into() });
    assert!(accepts("/var/tmp/.#nsrun-web-0123456789abcdef"));
    assert!(accepts("/.#nsrun-web-0123456789abcdef"));
    for path in [
        "",
        "/",
        "/srv",
        ".#nsrun-web-0123456789abcdef",
        "/srv/.#nsrun-web-0123456789abcde",
        "/srv/.#nsrun-web-0123456789abcdef/x",
        "/srv/../.#nsrun-web-0123456789abcdef",
        "/srv/.#nsrun-other-0123456789abcdef",
        "/srv/nsrun-web-0123456789abcdef",
    ] {
        assert!(!accepts(path), "{path:?}");
    }
}

#[test]
fn only_links_with_the_machines_tag_are_accepted() {
    let accepts = |link: &str, mac: &str, tag: &str| {
        check(&Item::Link {
            name: link.into(),
            mac: mac.into(),
            tag: tag.into(),
        })
    };
    assert!(accepts("ve-web", "02:00:00:00:00:01", "nsrun:web:1"));
    assert!(!accepts("ve-web", "02:00:00:00:00:01", "nsrun:webx:1"));
    assert!(!accepts("ve-web", "02:00:00:00:00:01", ""));
    assert!(!accepts("ve/web", "02:00:00:00:00:01", "nsrun:web:1"));
    assert!(!accepts("ve-web", "02", "nsrun:web:1"));
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for item in Residue::parse(&bytes).items {
            let _ = action(&item, &name());
        }
    }

    #[test]
    fn an_accepted_path_never_leads_upwards(path in "[a-z./-]{0,20}(nsrun-web)?[a-z./-]{0,20}") {
        if let Ok(path) = cgroup(&path, &name()) {
            prop_assert!(path.components().all(|c| matches!(c, Component::Normal(_))));
        }
    }
}
