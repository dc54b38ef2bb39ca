use super::*;

fn reconcile(place: &Place) -> Result<Outcome> {
    place.store.reconcile(&web())
}

#[test]
fn what_a_dead_holder_noted_is_taken_away_processes_first() {
    let place = Place::new();
    place.dead(None, &[link(), cgroup()]);
    assert_eq!(reconcile(&place).unwrap(), Outcome::Cleared);
    assert_eq!(
        place.calls(),
        [
            "end machine.slice/nsrun-web.scope",
            "retire ve-web nsrun:web:00000000000000ff",
        ]
    );
    assert!(!place.dir().exists());
    assert_eq!(reconcile(&place).unwrap(), Outcome::Absent);
    assert!(place.calls().is_empty());
}

#[test]
fn the_next_claim_takes_it_away_too() {
    let place = Place::new();
    place.dead(Some(&record(&web())), &[cgroup()]);
    let claim = place.claim();
    assert_eq!(place.calls(), ["end machine.slice/nsrun-web.scope"]);
    assert!(claim.noted().is_empty());
    assert_eq!(place.state(), State::Starting);
}

#[test]
fn a_live_machine_is_left_alone() {
    let place = Place::new();
    let mut claim = place.claim();
    claim.note(cgroup()).unwrap();
    assert_eq!(reconcile(&place).unwrap(), Outcome::Alive);
    assert!(place.calls().is_empty());
    assert!(place.dir().exists());
}

#[test]
fn a_failing_step_keeps_the_list_and_no_other_step_from_being_tried() {
    let place = Place::new();
    place.dead(None, &[cgroup(), link()]);
    place.host.failing.store(true, Ordering::SeqCst);
    let again = |place: &Place| place.store.claim(&web()).map(drop);
    for attempt in
        [&|place: &Place| reconcile(place).map(drop), &again] as [&dyn Fn(&Place) -> _; 2]
    {
        let error = attempt(&place).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot clear what is left of machine web: it is stuck"
        );
        assert_eq!(place.calls().len(), 2);
    }
    place.host.failing.store(false, Ordering::SeqCst);
    assert_eq!(reconcile(&place).unwrap(), Outcome::Cleared);
    assert_eq!(place.calls().len(), 2);
}

#[test]
fn an_earlier_boots_list_names_nothing_that_exists() {
    let place = Place::new();
    let child = cat();
    let mut old = record(&web());
    old.boot_id = "another".to_owned();
    old.leader = Some(identity(&child));
    old.cgroup = Some("machine.slice/nsrun-web.scope".to_owned());
    let stale = place.root.path().join(".#web.lck");
    std::fs::write(&stale, "").unwrap();
    let lock_file = Item::LockFile {
        path: stale.clone(),
    };
    place.dead(Some(&old), &[cgroup(), link(), lock_file]);
    let list = place.dir().join("residue");
    let text = std::fs::read_to_string(&list).unwrap();
    let (_, items) = text.split_once('\n').unwrap();
    std::fs::write(
        &list,
        format!("{{\"boot\":{{\"id\":\"another\"}}}}\n{items}"),
    )
    .unwrap();

    assert_eq!(place.state(), State::Dead);
    assert_eq!(reconcile(&place).unwrap(), Outcome::Cleared);
    assert!(place.calls().is_empty());
    assert!(!stale.exists(), "a file beside an image outlives the boot");
    assert!(
        PidFd::of(&identity(&child))
            .unwrap()
            .unwrap()
            .is_running()
            .unwrap()
    );
    end(child);
}

#[test]
fn an_orphaned_leader_is_killed_and_a_stranger_is_not() {
    let place = Place::new();
    let (orphan, stranger) = (cat(), cat());
    let mut left = record(&web());
    left.leader = Some(identity(&orphan));
    place.dead(Some(&left), &[]);
    assert_eq!(place.state(), State::Orphaned);
    assert_eq!(reconcile(&place).unwrap(), Outcome::Cleared);
    let killed = PidFd::of(&identity_of(&left)).unwrap();
    assert!(killed.is_none_or(|process| !process.is_running().unwrap()));

    // The pid of a process that the record does not mean.
    let found = identity(&stranger);
    left.leader = Some(Identity {
        inode: found.inode.map(|inode| inode + 1),
        start_time: found.start_time + 1,
        ..found
    });
    place.dead(Some(&left), &[]);
    assert_eq!(place.state(), State::Dead);
    assert_eq!(reconcile(&place).unwrap(), Outcome::Cleared);
    assert!(PidFd::of(&found).unwrap().unwrap().is_running().unwrap());
    end(orphan);
    end(stranger);
}

fn identity_of(record: &Record) -> Identity {
    record.leader.unwrap()
}

#[test]
fn a_record_alone_still_leads_to_its_control_group() {
    let place = Place::new();
    let mut left = record(&web());
    left.cgroup = Some("machine.slice/nsrun-web.scope".to_owned());
    place.dead(Some(&left), &[]);
    std::fs::write(place.dir().join("residue"), "\0\0\0").unwrap();
    assert_eq!(reconcile(&place).unwrap(), Outcome::Cleared);
    assert_eq!(place.calls(), ["end machine.slice/nsrun-web.scope"]);
}

#[test]
fn damaged_files_do_not_keep_a_name_shut() {
    for damage in [&b""[..], b"\0\0\0\0", b"{", b"{\"version\": 2}", b"[1, 2"] {
        let place = Place::new();
        place.dead(Some(&record(&web())), &[cgroup()]);
        std::fs::write(place.dir().join("state.json"), damage).unwrap();
        let machine = place.store.machine(&web()).unwrap().unwrap();
        assert!(matches!(machine.reading(), Reading::Unknown(_)));
        assert_eq!(machine.state().unwrap(), State::Dead);
        drop(place.claim());
        assert_eq!(place.calls(), ["end machine.slice/nsrun-web.scope"]);
    }
}

#[test]
fn a_list_that_was_tampered_with_is_not_followed() {
    for path in [
        "system.slice",
        "../nsrun-web.scope",
        "machine.slice/nsrun-other.scope",
    ] {
        let place = Place::new();
        let foreign = Item::Cgroup {
            path: path.to_owned(),
        };
        place.dead(None, &[foreign, link()]);
        let error = reconcile(&place).unwrap_err();
        assert_eq!(error.kind(), Kind::BadInput);
        assert!(error.advice().is_some());
        assert_eq!(place.calls(), ["retire ve-web nsrun:web:00000000000000ff"]);
        assert!(place.dir().exists());
    }
}

#[test]
fn lines_of_a_newer_version_are_not_dropped() {
    let place = Place::new();
    place.dead(None, &[cgroup()]);
    let list = place.dir().join("residue");
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, text + "{\"portal\":{\"id\":7}}\n").unwrap();
    let error = reconcile(&place).unwrap_err();
    assert!(
        error.to_string().contains("cannot understand 1 lines in "),
        "{error}"
    );
    assert_eq!(place.calls(), ["end machine.slice/nsrun-web.scope"]);
    assert!(place.dir().exists());
}

#[test]
fn a_sweep_tries_everything() {
    let place = Place::new();
    place.dead(None, &[cgroup()]);
    let _alive = place.store.claim(&"alive".parse().unwrap()).unwrap();
    std::fs::create_dir_all(place.machines().join(".dead-old-1/sub")).unwrap();
    std::fs::write(place.machines().join(".dead-old-1/lock"), "").unwrap();
    std::fs::write(place.machines().join("bad_name"), "").unwrap();

    let swept = place.store.sweep_all().unwrap();
    let told: Vec<(&str, Option<Outcome>)> = swept
        .iter()
        .map(|s| (s.name.as_str(), s.result.as_ref().ok().copied()))
        .collect();
    assert_eq!(
        told,
        [
            (".dead-old-1", Some(Outcome::Cleared)),
            ("alive", Some(Outcome::Alive)),
            ("bad_name", None),
            ("web", Some(Outcome::Cleared)),
        ]
    );
    assert_eq!(
        place.calls(),
        ["end machine.slice/nsrun-web.scope", "delete retired nsrun:"]
    );
    let left = std::fs::read_dir(place.machines()).unwrap().count();
    assert_eq!(left, 2);
}

#[test]
fn a_directory_that_is_being_removed_is_left_to_its_remover() {
    let place = Place::new();
    let claim = place.claim();
    let dead = place.machines().join(".dead-web-1");
    std::fs::rename(place.dir(), &dead).unwrap();
    let swept = place.store.sweep_all().unwrap();
    assert_eq!(*swept[0].result.as_ref().unwrap(), Outcome::Alive);
    assert!(dead.exists());
    claim.abandon();
    place.store.sweep_all().unwrap();
    assert!(!dead.exists());
}

#[test]
fn sweeping_a_host_without_machines_makes_nothing() {
    let place = Place::new();
    assert!(place.store.sweep_all().unwrap().is_empty());
    assert_eq!(reconcile(&place).unwrap(), Outcome::Absent);
    assert!(place.store.list().unwrap().is_empty());
    assert_eq!(std::fs::read_dir(place.root.path()).unwrap().count(), 0);
}

#[test]
fn a_claim_that_cannot_end_stays_and_can_end_later() {
    let place = Place::new();
    let mut claim = place.claim();
    claim.note(cgroup()).unwrap();
    place.host.failing.store(true, Ordering::SeqCst);
    assert!(claim.end().is_err());
    assert_eq!(place.store.claim(&web()).unwrap_err().kind(), Kind::Busy);
    place.host.failing.store(false, Ordering::SeqCst);
    claim.end().unwrap();
    claim.end().unwrap();
    drop(place.claim());
}
