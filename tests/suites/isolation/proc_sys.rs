//! What covers /proc and /sys.

use nsrun_tests::Sandbox;

use super::assert_outcomes;

#[test]
fn masks_and_read_only_parts_of_proc_and_sys_cannot_be_undone() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("masks", &[]);
    assert_outcomes(
        &sandbox,
        &[],
        &image,
        &[
            (
                "open-write /proc/sys/kernel/core_pattern",
                &["EROFS", "EACCES"],
            ),
            ("open-write /proc/sys/vm/drop_caches", &["EROFS", "EACCES"]),
            (
                "open-write /proc/sysrq-trigger",
                &["EROFS", "EACCES", "ENOENT"],
            ),
            ("read /proc/kcore", &["EPERM", "EACCES", "ENOENT", "empty"]),
            ("read /proc/keys", &["EPERM", "EACCES", "ENOENT", "empty"]),
            (
                "read /proc/timer_list",
                &["EPERM", "EACCES", "ENOENT", "empty"],
            ),
            ("open-write /proc/sys/net/ipv4/ip_forward", &["ok"]),
            ("umount /proc/sys", &["EINVAL"]),
            ("umount /proc/sys/net", &["EINVAL"]),
            ("umount /proc/kallsyms", &["EINVAL"]),
            ("umount /sys/kernel", &["EINVAL"]),
            ("detach /proc/sys", &["EINVAL"]),
            ("remount-rw /proc/sys", &["EPERM"]),
            ("remount-rw /sys/kernel", &["EPERM"]),
            ("mkdir /tmp/proc", &["ok"]),
            ("mount proc /tmp/proc", &["EPERM"]),
            ("mount sysfs /tmp/proc", &["EPERM"]),
            ("bind /proc /tmp/proc", &["EINVAL"]),
            ("rbind /proc /tmp/proc", &["ok"]),
            ("umount /tmp/proc/sys", &["EINVAL"]),
            (
                "open-write /tmp/proc/sys/kernel/core_pattern",
                &["EROFS", "EACCES"],
            ),
            (
                "open-write /sys/kernel/mm/transparent_hugepage/enabled",
                &["EROFS", "ENOENT", "EACCES"],
            ),
            ("unshare mount", &["ok"]),
            ("umount /proc/sys", &["EINVAL"]),
            ("unshare user,mount", &["ok"]),
            ("umount /proc/sys", &["EINVAL"]),
            ("remount-rw /proc/sys", &["EPERM"]),
            (
                "open-write /proc/sys/kernel/core_pattern",
                &["EROFS", "EACCES"],
            ),
        ],
    );
}

#[test]
fn nesting_brings_a_fresh_proc_and_keeps_the_masks() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("nesting", &[]);
    assert_outcomes(
        &sandbox,
        &["--nesting"],
        &image,
        &[
            ("umount /proc/sys", &["EINVAL"]),
            ("mkdir /tmp/proc", &["ok"]),
            ("mount proc /tmp/proc", &["ok"]),
            ("open-write /tmp/proc/sys/kernel/core_pattern", &["EACCES"]),
        ],
    );
}
