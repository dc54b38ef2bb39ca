//! File systems without room. Needs root; the thread has a mount namespace of its own.

use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::*;

/// Runs `f` with a place on a tmpfs of that many pages and inodes.
fn with_tmpfs(pages: u32, inodes: u32, f: impl FnOnce(&Place) + Send) {
    let place = Place::new();
    let root = place.root.path();
    let options = format!("nr_blocks={pages},nr_inodes={inodes},mode=755");
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNS).expect("this test needs root");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
        mount(
            Some("tmpfs"),
            root,
            Some("tmpfs"),
            MsFlags::empty(),
            Some(&*options),
        )
        .unwrap();
        f(&place);
    };
    thread::scope(|scope| scope.spawn(inside).join().unwrap());
}

fn nothing_is_left(place: &Place) {
    let left = std::fs::read_dir(place.machines()).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

/// Claims, notes and publishes; whether there was room for all of it.
fn start_and_end(place: &Place) -> bool {
    let started = place.store.claim(&web()).and_then(|mut claim| {
        let began = claim
            .note(cgroup())
            .and_then(|()| claim.publish(&record(&web())));
        claim.end().unwrap();
        began
    });
    nothing_is_left(place);
    match started {
        Ok(()) => true,
        Err(e) => {
            assert!(e.to_string().ends_with(": no space left on device"), "{e}");
            false
        }
    }
}

#[test]
fn a_start_without_inodes_is_as_if_never_tried() {
    let mut succeeded = Vec::new();
    for inodes in 1..=12 {
        with_tmpfs(64, inodes, |place| succeeded.push(start_and_end(place)));
    }
    assert_eq!(
        (succeeded.first(), succeeded.last()),
        (Some(&false), Some(&true))
    );
}

#[test]
fn a_start_without_space_is_as_if_never_tried() {
    let mut succeeded = Vec::new();
    for pages in 1..=8 {
        with_tmpfs(pages, 64, |place| succeeded.push(start_and_end(place)));
    }
    assert_eq!(
        (succeeded.first(), succeeded.last()),
        (Some(&false), Some(&true))
    );
}
