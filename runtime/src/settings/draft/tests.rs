use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// An administrator's directory that does not exist yet, and one with images.
struct Host {
    _dir: tempfile::TempDir,
    search: SearchPath,
    file: PathBuf,
    image: PathBuf,
}

impl Host {
    /// `None` unless root runs the test: nobody else's files are believed.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let images = dir.path().join("images");
        fs::create_dir(&images).unwrap();
        let etc = dir.path().join("etc/nspawn");
        Some(Self {
            file: etc.join("web.nspawn"),
            image: images.join("web.nspawn"),
            search: SearchPath {
                administrators: vec![etc],
                beside: Some(images),
            },
            _dir: dir,
        })
    }

    fn draft(&self) -> Draft {
        Draft::open(&self.search, &"web".parse().unwrap()).unwrap()
    }

    /// A draft with that content.
    fn edited(&self, text: &str) -> Draft {
        let draft = self.draft();
        draft.write_from(&mut text.as_bytes()).unwrap();
        draft
    }

    /// The administrator's file after it was edited to `text`.
    fn saved(&self, text: &str) -> String {
        let draft = self.edited(text);
        assert_eq!(draft.check().unwrap().unwrap().errors, []);
        let path = draft.save().unwrap();
        assert_eq!(path, self.file);
        fs::read_to_string(path).unwrap()
    }
}

#[test]
fn a_right_draft_becomes_the_file_and_is_gone() {
    let Some(host) = Host::new() else { return };
    for text in ["[Exec]\nBoot=yes\n", "[Exec]\nBoot=no\n"] {
        assert_eq!(host.saved(text), text);
        let names: Vec<_> = fs::read_dir(host.file.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1);
    }
    let mode = fs::metadata(&host.file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
}

#[test]
fn a_wrong_draft_is_told_by_its_own_lines_and_stays() {
    let Some(host) = Host::new() else { return };
    let draft = host.edited("[Exec]\nBoot=perhaps\n");
    let found = draft.check().unwrap().unwrap();
    assert_eq!(
        found.errors[0].place.to_string(),
        format!("{}:2", draft.path().display())
    );
    drop(draft);
    let draft = host.draft();
    assert!(draft.is_resumed());
    assert_eq!(draft.content().unwrap(), b"[Exec]\nBoot=perhaps\n");
    assert!(!host.file.exists());
}

#[test]
fn what_is_left_as_it_was_or_empty_is_not_saved() {
    let Some(host) = Host::new() else { return };
    let draft = host.draft();
    assert!(draft.check().unwrap().is_none());
    draft.discard().unwrap();
    host.saved("[Exec]\nBoot=yes\n");
    let draft = host.draft();
    assert!(!draft.is_resumed());
    assert!(draft.check().unwrap().is_none());
    draft.discard().unwrap();
    let draft = host.edited(" \n");
    assert!(draft.check().unwrap().is_none());
}

#[test]
fn the_images_file_is_where_the_administrators_begins() {
    let Some(host) = Host::new() else { return };
    fs::write(&host.image, "[Exec]\nBoot=yes\n").unwrap();
    let draft = host.draft();
    assert_eq!(draft.content().unwrap(), b"[Exec]\nBoot=yes\n");
    assert_eq!(draft.target(), host.file);
    assert!(draft.check().unwrap().is_none());
}

#[test]
fn a_file_that_was_changed_meanwhile_is_not_overwritten() {
    let Some(host) = Host::new() else { return };
    host.saved("[Exec]\nBoot=yes\n");
    let draft = host.edited("[Exec]\nBoot=no\n");
    fs::write(&host.file, "[Exec]\nUser=a\n").unwrap();
    let error = draft.save().unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    assert!(host.draft().is_resumed());
}

#[test]
fn a_link_is_left_to_whoever_made_it() {
    let Some(host) = Host::new() else { return };
    fs::create_dir_all(host.file.parent().unwrap()).unwrap();
    fs::write(host.image.with_extension("store"), "[Exec]\n").unwrap();
    symlink(host.image.with_extension("store"), &host.file).unwrap();
    let error = Draft::open(&host.search, &"web".parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    assert!(error.advice().unwrap().contains("--drop-in"), "{error}");
}

#[test]
fn a_drop_in_is_made_below_its_own_name() {
    let Some(host) = Host::new() else { return };
    let open = |name: &str| Draft::open_drop_in(&host.search, &"web".parse().unwrap(), name);
    let draft = open("local").unwrap();
    draft.write_from(&mut &b"[Exec]\nBoot=yes\n"[..]).unwrap();
    assert!(draft.check().unwrap().is_some());
    let path = draft.save().unwrap();
    assert_eq!(
        path,
        host.file.with_extension("nspawn.d").join("local.conf")
    );
    let again = open("local.conf").unwrap();
    assert_eq!(again.content().unwrap(), b"[Exec]\nBoot=yes\n");
    for name in ["", ".conf", ".hidden", "../a", "a/b"] {
        assert_eq!(open(name).unwrap_err().kind(), Kind::Usage, "{name}");
    }
}
