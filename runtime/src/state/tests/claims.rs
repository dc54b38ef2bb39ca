use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

use super::*;

#[test]
fn a_name_is_claimed_once_and_leaves_nothing() {
    let place = Place::new();
    let mut claim = place.claim();
    assert_eq!(claim.path(), place.dir());
    let error = place.store.claim(&web()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    assert_eq!(
        error.to_string(),
        "machine web is in use by another command"
    );
    assert_eq!(error.advice(), Some("see nsrun status web"));
    claim.end().unwrap();
    assert_eq!(std::fs::read_dir(place.machines()).unwrap().count(), 0);
    drop(place.claim());
    assert_eq!(std::fs::read_dir(place.machines()).unwrap().count(), 0);
}

#[test]
fn names_do_not_bar_each_other() {
    let place = Place::new();
    let _one = place.claim();
    place.store.claim(&"other".parse().unwrap()).unwrap();
}

#[test]
fn the_holder_is_named_if_it_can_be_proven() {
    let place = Place::new();
    let child = cat();
    let claim = place.claim();
    let mut record = record(&web());
    record.supervisor = identity(&child);
    claim.publish(&record).unwrap();
    let error = place.store.claim(&web()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("machine web is in use by process {}", child.id())
    );

    record.supervisor.inode = Some(1);
    claim.publish(&record).unwrap();
    let error = place.store.claim(&web()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "machine web is in use by another command"
    );
    end(child);
}

#[test]
fn of_many_contenders_exactly_one_wins() {
    const CONTENDERS: usize = 8;
    let place = Place::new();
    for _ in 0..50 {
        let (start, tried) = (Barrier::new(CONTENDERS), Barrier::new(CONTENDERS));
        let winners = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..CONTENDERS {
                scope.spawn(|| {
                    start.wait();
                    let claim = place.store.claim(&web());
                    match &claim {
                        Ok(_) => {
                            winners.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(e) => assert_eq!(e.kind(), Kind::Busy, "{e}"),
                    }
                    tried.wait();
                });
            }
        });
        assert_eq!(winners.into_inner(), 1);
        assert!(!place.dir().exists());
    }
}

#[test]
fn holders_sweepers_and_lookers_never_meet_two_holders() {
    let place = Place::new();
    let (inside, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let claim_often = || {
        for _ in 0..100 {
            match place.store.claim(&web()) {
                Ok(mut claim) => {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    claim.note(cgroup()).unwrap();
                    claim.publish(&record(&web())).unwrap();
                    held.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    claim.end().unwrap();
                }
                Err(e) => assert_eq!(e.kind(), Kind::Busy, "{e}"),
            }
        }
    };
    let sweep_often = || {
        for _ in 0..100 {
            for swept in place.store.sweep_all().unwrap() {
                swept.result.unwrap();
            }
            for machine in place.store.list().unwrap() {
                assert!(!matches!(machine.unwrap().reading(), Reading::Unknown(_)));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(claim_often);
        }
        scope.spawn(sweep_often);
    });
    assert!(held.into_inner() > 0);
    place.store.sweep_all().unwrap();
    assert_eq!(std::fs::read_dir(place.machines()).unwrap().count(), 0);
}

#[test]
fn things_are_noted_and_struck_off() {
    let place = Place::new();
    let mut claim = place.claim();
    claim.note(cgroup()).unwrap();
    claim.note(link()).unwrap();
    claim.note(cgroup()).unwrap();
    claim.strike(&link()).unwrap();
    assert_eq!(claim.noted(), [cgroup()]);
    claim.end().unwrap();
    assert_eq!(place.calls(), ["end own machine.slice/nsrun-web.scope"]);
}

#[test]
fn a_directory_removed_by_hand_is_not_missed() {
    let place = Place::new();
    let mut old = place.claim();
    std::fs::remove_dir_all(place.dir()).unwrap();
    let mut new = place.claim();
    old.end().unwrap();
    assert!(
        place.store.claim(&web()).is_err(),
        "the new holder's directory must stay"
    );
    new.end().unwrap();
    assert!(!place.dir().exists());
}

#[test]
fn a_lock_removed_by_hand_does_not_shut_the_name() {
    let place = Place::new();
    let mut old = place.claim();
    std::fs::remove_file(place.dir().join("lock")).unwrap();
    assert_eq!(place.store.reconcile(&web()).unwrap(), Outcome::Cleared);
    drop(place.claim());
    old.end().unwrap();
}

#[test]
fn directories_of_others_are_refused() {
    let place = Place::new();
    drop(place.claim());
    symlink("/etc", place.dir()).unwrap();
    assert!(place.store.claim(&web()).is_err());
    assert!(place.store.machine(&web()).is_err());
    std::fs::remove_file(place.dir()).unwrap();

    let open = PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(place.machines(), open).unwrap();
    let error = place.store.claim(&web()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("machines: other users can write to it"),
        "{error}"
    );
    assert!(place.store.list().is_err());
}

#[test]
fn a_lock_that_is_no_file_is_refused() {
    let place = Place::new();
    drop(place.claim());
    std::fs::create_dir(place.dir()).unwrap();
    symlink("/etc/passwd", place.dir().join("lock")).unwrap();
    assert!(place.store.claim(&web()).is_err());
    assert!(place.store.reconcile(&web()).is_err());
}
