use proptest::prelude::*;

use super::*;

const UNIFIED: &str = "\
23 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
";
const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
const V1: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
";

fn mount(point: &str) -> Mount {
    Mount {
        point: point.into(),
        root: "/".into(),
        read_only: false,
    }
}

fn host(layout: Layout, systemd: bool, delegated: Option<&str>) -> Host {
    Host {
        layout,
        own: "/".into(),
        delegated: delegated.map(Into::into),
        systemd,
    }
}

#[test]
fn tells_the_layouts_apart() {
    assert_eq!(
        Layout::of(UNIFIED),
        Layout::Unified(mount("/sys/fs/cgroup"))
    );
    assert_eq!(
        Layout::of(HYBRID),
        Layout::Hybrid(mount("/sys/fs/cgroup/unified"))
    );
    assert_eq!(Layout::of(V1), Layout::V1Only);
    assert_eq!(
        Layout::of("23 1 254:0 / / rw - ext4 /dev/vda rw\n"),
        Layout::Absent
    );
}

#[test]
fn a_bind_over_the_usual_place_makes_a_hybrid_host_unified() {
    let bound = format!("{HYBRID}50 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert_eq!(Layout::of(&bound), Layout::Unified(mount("/sys/fs/cgroup")));
}

#[test]
fn a_mount_that_another_hides_does_not_count() {
    let hidden = format!("{UNIFIED}32 31 0:9 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n");
    assert_eq!(Layout::of(&hidden), Layout::Absent);
}

#[test]
fn version_1_is_refused_with_the_reason_and_a_way_out() {
    let error = host(Layout::V1Only, false, None).placement().unwrap_err();
    assert_eq!(error.kind(), Kind::HostLacks);
    assert!(error.to_string().contains("version 1 only"), "{error}");
    assert!(
        error
            .advice()
            .is_some_and(|hint| hint.contains("mount -t cgroup2"))
    );
}

#[test]
fn a_read_only_hierarchy_is_refused_by_mount_and_by_superblock() {
    for text in [
        "31 23 0:28 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup2 rw\n",
        "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 ro,nsdelegate\n",
    ] {
        let error = host(Layout::of(text), false, None).placement().unwrap_err();
        assert_eq!(error.kind(), Kind::HostLacks);
        assert!(
            error.to_string().contains("/sys/fs/cgroup is read-only"),
            "{error}"
        );
    }
}

#[test]
fn without_systemd_machines_go_to_the_top() {
    let place = host(Layout::of(HYBRID), false, None).placement().unwrap();
    assert_eq!(place, Placement::Top("/sys/fs/cgroup/unified".into()));
    // A mark left by a systemd outside of this container is nothing to us.
    let marked = host(Layout::of(UNIFIED), false, Some("/sys/fs/cgroup/x"));
    let place = marked.placement().unwrap();
    assert_eq!(place, Placement::Top("/sys/fs/cgroup".into()));
}

#[test]
fn with_systemd_machines_go_into_a_unit() {
    let unit = "/sys/fs/cgroup/system.slice/web.service";
    let place = host(Layout::of(UNIFIED), true, Some(unit))
        .placement()
        .unwrap();
    assert_eq!(place, Placement::Unit(unit.into()));
    let place = host(Layout::of(UNIFIED), true, None).placement().unwrap();
    assert_eq!(place, Placement::Transient(mount("/sys/fs/cgroup")));
}

#[test]
fn the_own_cgroup_is_that_of_version_2() {
    let text = "9:name=systemd:/old\n1:cpu:/c\n0::/user.slice/a.scope\n";
    assert_eq!(own_cgroup(text), Some("/user.slice/a.scope".into()));
    assert_eq!(own_cgroup("0::/gone (deleted)\n"), Some("/gone".into()));
    assert_eq!(own_cgroup("1:cpu:/c\n"), None);
}

#[test]
fn cgroups_are_found_below_their_mount_and_not_outside() {
    let mut bound = mount("/sys/fs/cgroup");
    assert_eq!(
        bound.path_of(Path::new("/a/b")),
        Some("/sys/fs/cgroup/a/b".into())
    );
    assert_eq!(bound.path_of(Path::new("/../a")), None);
    bound.root = "/a".into();
    assert_eq!(
        bound.path_of(Path::new("/a/b")),
        Some("/sys/fs/cgroup/b".into())
    );
    assert_eq!(bound.path_of(Path::new("/b")), None);
}

#[test]
fn a_unit_is_ours_only_if_no_other_lies_between() {
    let top = Path::new("/c");
    let find = |dir: &str, marked: &str| {
        delegated_unit(top, Path::new(dir), |dir| dir == Path::new(marked))
    };
    let web = "/c/system.slice/web.service";
    assert_eq!(find(web, web), Some(web.into()));
    assert_eq!(find(&format!("{web}/supervisor"), web), Some(web.into()));
    let user = "/c/user.slice/user@1000.service";
    assert_eq!(
        find(&format!("{user}/app.slice/terminal.scope"), user),
        None
    );
    assert_eq!(find(&format!("{user}/init.scope"), user), None);
    assert_eq!(find("/c/user.slice/session-1.scope", "/c"), None);
    assert_eq!(find("/c", "/c"), None);
}

#[test]
fn this_host_is_read_without_error() {
    let host = Host::probe().unwrap();
    assert!(host.own.is_absolute());
}

proptest! {
    #[test]
    fn reading_mountinfo_never_panics(text in "[ -~\n\\\\]{0,200}") {
        let _ = Layout::of(&text);
    }
}
