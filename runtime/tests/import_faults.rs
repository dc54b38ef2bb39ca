//! Full disks and locked files: an import is whole or not there at all, and what a dead
//! one left can be removed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::PathBuf;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nsrun_runtime::Kind;
use nsrun_runtime::image::sweep;
use support::{Place, Tar};

fn archive(files: usize, size: usize) -> Vec<u8> {
    let add = |tar: Tar, i: usize| tar.file(format!("d{}/f{i}", i % 7), vec![b'x'; size]);
    (0..files).fold(Tar::new(), add).end()
}

/// A tmpfs over the image root, in a mount namespace of this thread alone.
struct SmallDisk {
    root: PathBuf,
}

impl SmallDisk {
    fn new(place: &Place, options: &str) -> Self {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let root = place.image_root();
        fs::create_dir_all(&root).unwrap();
        let options = format!("mode=0700,{options}");
        mount(
            Some("none"),
            &root,
            Some("tmpfs"),
            MsFlags::empty(),
            Some(&*options),
        )
        .unwrap();
        Self { root }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        umount2(&self.root, MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn a_disk_that_fills_up_at_any_point() {
    // Files of 100 bytes take a page each, so that the forecast by their sizes is wrong.
    let archive = archive(60, 100);
    let mut failures = 0;
    for pages in (1..100).step_by(3) {
        let place = Place::new();
        let _disk = SmallDisk::new(&place, &format!("size={}", pages * 4096));
        match place.import(&archive) {
            Ok(_) => assert_eq!(place.left(), ["web"]),
            Err(error) => {
                failures += 1;
                assert_eq!(place.left(), Vec::<String>::new(), "{pages} pages: {error}");
                assert_eq!(error.kind(), Kind::Failed, "{error}");
                let text = error.to_string();
                let known = ["no space left on device", "bytes that are free"];
                assert!(known.iter().any(|cause| text.contains(cause)), "{text}");
            }
        }
    }
    assert!((10..33).contains(&failures), "{failures}");
}

#[test]
fn a_disk_without_inodes() {
    let archive = archive(20, 1);
    let mut outcomes = [0, 0];
    for inodes in 1..40 {
        let place = Place::new();
        let _disk = SmallDisk::new(&place, &format!("size=1M,nr_inodes={inodes}"));
        match place.import(&archive) {
            Ok(_) => outcomes[0] += 1,
            Err(error) => {
                outcomes[1] += 1;
                assert_eq!(
                    place.left(),
                    Vec::<String>::new(),
                    "{inodes} inodes: {error}"
                );
                assert!(
                    error.to_string().contains("no space left on device"),
                    "{error}"
                );
            }
        }
    }
    assert!(outcomes[0] > 5 && outcomes[1] > 20, "{outcomes:?}");
}

#[test]
fn an_archive_that_cannot_fit_is_refused_before_it_is_unpacked() {
    let place = Place::new();
    let _disk = SmallDisk::new(&place, "size=1M");
    let error = place.import(&archive(1, 1 << 20)).unwrap_err();
    assert!(error.to_string().contains("bytes that are free"), "{error}");
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn what_is_left_is_swept_though_it_is_locked_against_removal() {
    let place = Place::new();
    place.import(&archive(10, 10)).unwrap();
    let dead = place.image_root().join(".#web0123456789abcdef");
    fs::rename(place.image(), &dead).unwrap();
    fs::write(place.image_root().join(".#web0123456789abcdef.lck"), "").unwrap();
    for path in ["d0", "d1/f1", ""] {
        let file = fs::File::open(dead.join(path)).unwrap();
        let flags = rustix::fs::ioctl_getflags(&file).unwrap();
        rustix::fs::ioctl_setflags(&file, flags | rustix::fs::IFlags::IMMUTABLE).unwrap();
    }
    sweep(&place.dirs()).unwrap();
    assert_eq!(place.left(), Vec::<String>::new());
}
