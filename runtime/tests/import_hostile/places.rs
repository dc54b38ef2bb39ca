//! Names and directories that cannot be imported to.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nsrun_runtime::Kind;
use nsrun_runtime::image::Limits;

use super::support::{Place, Tar};

#[test]
fn a_taken_name_is_refused_before_the_archive_is_read() {
    let place = Place::new();
    place.import(&Tar::new().file("a", "x").end()).unwrap();
    let error = place.import(b"not an archive").unwrap_err();
    assert_eq!(error.kind(), Kind::Busy, "{error}");
    assert!(
        error.to_string().ends_with("images/web exists already"),
        "{error}"
    );
    assert_eq!(fs::read(place.image().join("a")).unwrap(), b"x");
}

#[test]
fn a_raw_image_of_that_name_takes_it_too() {
    let place = Place::new();
    fs::create_dir(place.image_root()).unwrap();
    fs::set_permissions(place.image_root(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(place.image_root().join("web.raw"), "").unwrap();
    let error = place.import(&Tar::new().file("a", "x").end()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy, "{error}");
}

#[test]
fn an_image_root_that_others_can_enter_is_refused() {
    let place = Place::new();
    fs::create_dir(place.image_root()).unwrap();
    fs::set_permissions(place.image_root(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = place.import(&Tar::new().file("a", "x").end()).unwrap_err();
    assert_eq!(error.kind(), Kind::HostLacks);
    let remedy = format!("chmod 0700 {}", place.image_root().display());
    assert_eq!(error.advice(), Some(&*remedy));
}

#[test]
fn a_missing_file_and_a_directory_are_told_apart() {
    use nsrun_runtime::image::import::Source;
    let place = Place::new();
    let missing = Source::Archive(place.path().join("missing"));
    let error = place.import_source(missing, Limits::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("cannot open it: no such file or directory"),
        "{error}"
    );
    let dir = Source::Archive(place.victim());
    let error = place.import_source(dir, Limits::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
    assert!(error.advice().unwrap().contains("import-fs"));
    let file = Source::Directory(place.victim().join("secret"));
    let error = place.import_source(file, Limits::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
}
