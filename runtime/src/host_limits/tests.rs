use super::*;

const INSTANCES: &str = "fs/inotify/max_user_instances";

/// A host with the kernel's defaults, in a directory.
fn host(dir: &Path) -> Places {
    let places = Places {
        sys: dir.join("sys"),
        tasks: dir.join("loadavg"),
        record: dir.join("run/nsrun/host-limits"),
    };
    for (file, value) in [
        (INSTANCES, "128\n"),
        ("fs/inotify/max_user_watches", "192536\n"),
        ("kernel/pty/max", "4096\n"),
        ("kernel/pty/nr", "3\n"),
        ("kernel/pid_max", "32768\n"),
    ] {
        let path = places.sys.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value).unwrap();
    }
    fs::write(&places.tasks, "0.00 0.01 0.05 1/123 4567\n").unwrap();
    places
}

fn share(places: &Places, machines: u64) -> (Share, Vec<String>) {
    let mut told = Vec::new();
    let crowd = Crowd {
        machines,
        linked: true,
    };
    let share = Share::take_at(places.clone(), crowd, &mut |text| {
        told.push(text.to_owned());
    });
    (share.unwrap(), told)
}

fn value(places: &Places, file: &str) -> u64 {
    number(&places.sys.join(file)).unwrap()
}

#[test]
fn what_is_too_low_is_raised_and_put_back_with_the_last_machine() {
    let dir = tempfile::tempdir().unwrap();
    let places = host(dir.path());
    let (first, told) = share(&places, 1);
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(value(&places, INSTANCES), 128, "there is enough for one");
    let (second, told) = share(&places, 50);
    assert!(told.is_empty(), "{told:?}");
    let raised = value(&places, INSTANCES);
    assert!(raised >= 50 * 8, "{raised}");
    let (third, _) = share(&places, 500);
    assert!(value(&places, INSTANCES) > raised);
    assert_eq!(value(&places, "kernel/pid_max"), 32768);
    drop(second);
    drop(third);
    assert!(value(&places, INSTANCES) > raised, "one still runs");
    drop(first);
    assert_eq!(value(&places, INSTANCES), 128);
    assert!(!places.record.exists());
}

#[test]
fn after_a_crash_any_command_puts_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let places = host(dir.path());
    let (crashed, _) = share(&places, 50);
    places.put_back().unwrap();
    assert_ne!(value(&places, INSTANCES), 128, "it is in use");
    let mut crashed = crashed;
    // A killed process lets go of its lock and does nothing else.
    crashed.lock = None;
    std::mem::forget(crashed);
    places.put_back().unwrap();
    assert_eq!(value(&places, INSTANCES), 128);
    assert!(!places.record.exists());
    places.put_back().unwrap();
}

#[test]
fn what_others_have_set_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let places = host(dir.path());
    let (share, _) = share(&places, 50);
    fs::write(places.sys.join(INSTANCES), "9999").unwrap();
    drop(share);
    assert_eq!(value(&places, INSTANCES), 9999);
}

#[test]
fn what_cannot_be_raised_is_told_with_how_many_fit() {
    let dir = tempfile::tempdir().unwrap();
    let places = host(dir.path());
    fs::write(places.sys.join("kernel/pid_max"), "200").unwrap();
    let (_share, told) = share(&places, 7);
    assert!(told.is_empty(), "{told:?}");
    fs::write(&places.tasks, "0.00 0.01 0.05 1/190 4567\n").unwrap();
    let (_share, told) = share(&places, 8);
    let text = told.join("\n");
    assert!(
        text.contains("and this is the 8th; `sysctl kernel.pid_max="),
        "{text}"
    );
}

#[test]
fn a_record_says_nothing_but_what_was_raised() {
    let record = "fs/inotify/max_user_instances 128 536\nkernel/pid_max 1 2\n../../etc/passwd 1 2\n\
                  fs/inotify/max_user_instances 536 900\nfs/inotify/max_user_watches x 2\ngarbage\n";
    let parsed = parse(record);
    assert_eq!(parsed.len(), 1);
    assert_eq!(parsed[INSTANCES], (128, 900));
}
