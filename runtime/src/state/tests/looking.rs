use super::*;

#[test]
fn a_held_machine_goes_from_starting_to_stopping() {
    let place = Place::new();
    let mut child = cat();
    let claim = place.claim();
    assert_eq!(place.state(), State::Starting);
    let mut record = record(&web());
    claim.publish(&record).unwrap();
    assert_eq!(place.state(), State::Starting);

    record.leader = Some(identity(&child));
    claim.publish(&record).unwrap();
    assert_eq!(place.state(), State::Running);
    let machine = place.store.machine(&web()).unwrap().unwrap();
    assert_eq!(machine.record(), Some(&record));
    assert_eq!(
        machine.leader().unwrap().unwrap().pid(),
        record.leader.unwrap().pid
    );

    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(place.state(), State::Stopping);
}

#[test]
fn an_unreaped_leader_has_ended() {
    let place = Place::new();
    let mut child = cat();
    let mut record = record(&web());
    record.leader = Some(identity(&child));
    place.dead(Some(&record), &[]);
    assert_eq!(place.state(), State::Orphaned);
    child.kill().unwrap();
    let process = PidFd::of(&record.leader.unwrap()).unwrap().unwrap();
    assert!(process.wait(std::time::Duration::from_secs(20)).unwrap());
    assert_eq!(place.state(), State::Dead);
    child.wait().unwrap();
}

#[test]
fn processes_in_the_control_group_make_an_orphan() {
    let place = Place::new();
    let mut record = record(&web());
    record.cgroup = Some("machine.slice/nsrun-web.scope".to_owned());
    place.dead(Some(&record), &[]);
    assert_eq!(place.state(), State::Dead);
    place.host.populated.store(true, Ordering::SeqCst);
    assert_eq!(place.state(), State::Orphaned);
    record.cgroup = Some("system.slice".to_owned());
    place.dead(Some(&record), &[]);
    assert_eq!(
        place.state(),
        State::Dead,
        "the group of another is not looked at"
    );
}

#[test]
fn a_machine_with_an_unusable_record_is_shown() {
    let place = Place::new();
    let claim = place.claim();
    std::fs::write(place.dir().join("state.json"), "{\"version\": 9}").unwrap();
    let machine = place.store.machine(&web()).unwrap().unwrap();
    let problem = Reading::Unknown("it has version 9, this nsrun reads up to 1".to_owned());
    assert_eq!(*machine.reading(), problem);
    assert_eq!(machine.state().unwrap(), State::Running);
    assert!(machine.leader().unwrap().is_none());
    claim.publish(&record(&web())).unwrap();
    assert_eq!(place.state(), State::Starting);
}

#[test]
fn looking_never_bars_a_claim() {
    let place = Place::new();
    place.dead(None, &[]);
    let machine = place.store.machine(&web()).unwrap().unwrap();
    let _claim = place.claim();
    assert!(!machine.is_held(), "what was seen was true then");
    assert!(place.store.machine(&web()).unwrap().unwrap().is_held());
}

#[test]
fn the_list_is_sorted_and_passes_over_what_is_no_machine() {
    let place = Place::new();
    let names = ["web", "db", "a.b"].map(|name| name.parse().unwrap());
    let claims = names.map(|name| place.store.claim(&name).unwrap());
    std::fs::create_dir(place.machines().join(".dead-x-1")).unwrap();
    std::fs::write(place.machines().join("bad_name"), "").unwrap();
    let listed: Vec<Machine> = place
        .store
        .list()
        .unwrap()
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let names: Vec<&str> = listed
        .iter()
        .map(|machine| machine.name().as_str())
        .collect();
    assert_eq!(names, ["a.b", "db", "web"]);
    drop(claims);
}
