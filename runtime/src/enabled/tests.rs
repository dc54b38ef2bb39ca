use std::fs;
use std::path::{Path, PathBuf};

use super::host::{Host, Init, Starter};
use super::*;

struct Place {
    _dir: tempfile::TempDir,
    root: PathBuf,
    dirs: Dirs,
}

/// A host's files, and nsrun's in it.
fn place(marker: &str) -> (Host, Place) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("host");
    let dirs = Dirs::new(None, Some(&dir.path().join("state")));
    fs::create_dir_all(root.join(marker)).unwrap();
    let host = Host::at(&root);
    let place = Place {
        _dir: dir,
        root,
        dirs,
    };
    (host, place)
}

fn systemd() -> (Host, Place) {
    let (host, place) = place("run/systemd/system");
    assert_eq!(host.init, Init::Systemd);
    (host, place)
}

fn name(text: &str) -> MachineName {
    text.parse().unwrap()
}

fn target(root: &Path, wants: &str, unit: &str) -> Option<PathBuf> {
    let link = root.join("etc/systemd/system").join(wants).join(unit);
    fs::read_link(link).ok()
}

#[test]
fn without_a_known_init_the_mark_is_all() {
    let (host, place) = place("empty");
    let (dirs, web) = (&place.dirs, name("web"));
    assert!(!is_enabled_on(&host, dirs, &web));
    for _ in 0..2 {
        let starter = enable_on(&host, dirs, &web, &[]).unwrap();
        assert_eq!(starter, Starter::Command);
    }
    assert!(is_enabled_on(&host, dirs, &web));
    let all = mark::all(dirs).unwrap();
    let image_root = dirs.image_root().to_owned();
    let options = Vec::new();
    assert_eq!(
        all,
        [Enabled {
            name: web.clone(),
            image_root,
            options
        }]
    );
    rename_on(&host, dirs, "web", &name("new")).unwrap();
    assert!(is_enabled_on(&host, dirs, &name("new")));
    assert!(!is_enabled_on(&host, dirs, &web));
    assert!(remove_on(&host, dirs, "new").unwrap());
    assert!(!remove_on(&host, dirs, "new").unwrap());
    assert_eq!(
        fs::read_dir(&place.root).unwrap().count(),
        1,
        "a file too many"
    );
}

#[test]
fn with_systemd_a_unit_is_linked_to_what_starts_with_the_host() {
    let (host, place) = systemd();
    let (dirs, web, unit) = (&place.dirs, name("web-1.a"), "nsrun@web-1.a.service");
    let starter = enable_on(&host, dirs, &web, &[]).unwrap();
    assert_eq!(starter, Starter::Unit(unit.into()));
    let template = Some("/etc/systemd/system/nsrun@.service".into());
    assert_eq!(
        target(&place.root, "multi-user.target.wants", unit),
        template
    );
    assert_eq!(target(&place.root, "machines.target.wants", unit), None);
    assert!(remove_on(&host, dirs, web.as_str()).unwrap());
    assert!(!is_enabled_on(&host, dirs, &web));
    let own = place.root.join("etc/systemd/system");
    let wants = fs::read_dir(own.join("multi-user.target.wants")).unwrap();
    assert_eq!(wants.count(), 0);
    assert!(!own.join(format!("{unit}.d")).exists());
}

#[test]
fn the_target_of_machines_is_used_and_reached_where_there_is_one() {
    let (host, place) = systemd();
    let usual = place.root.join("usr/lib/systemd/system");
    fs::create_dir_all(&usual).unwrap();
    fs::write(usual.join("machines.target"), "").unwrap();
    fs::write(usual.join("nsrun@.service"), "packaged").unwrap();
    enable_on(&host, &place.dirs, &name("web"), &[]).unwrap();
    let template = Some("/usr/lib/systemd/system/nsrun@.service".into());
    let unit = "nsrun@web.service";
    assert_eq!(target(&place.root, "machines.target.wants", unit), template);
    let reached = target(&place.root, "multi-user.target.wants", "machines.target");
    assert_eq!(
        reached,
        Some("/usr/lib/systemd/system/machines.target".into())
    );
    assert!(
        !place
            .root
            .join("etc/systemd/system/nsrun@.service")
            .exists()
    );
}

#[test]
fn a_template_of_the_administrator_is_left_alone_and_ours_is_kept_up_to_date() {
    let (host, place) = systemd();
    let own = place.root.join("etc/systemd/system");
    let template = own.join("nsrun@.service");
    let read = || fs::read_to_string(&template).unwrap();
    enable_on(&host, &place.dirs, &name("web"), &[]).unwrap();
    let ours = read();
    assert!(
        ours.contains("--supervise start $NSRUN_START_OPTIONS %i\n"),
        "{ours}"
    );
    let old = ours.replace("--supervise", "--old");
    fs::write(&template, old).unwrap();
    enable_on(&host, &place.dirs, &name("web"), &[]).unwrap();
    assert_eq!(read(), ours);
    fs::write(&template, "[Service]\n").unwrap();
    enable_on(&host, &place.dirs, &name("web"), &[]).unwrap();
    assert_eq!(read(), "[Service]\n");
}

#[test]
fn what_systemctl_disables_is_disabled() {
    let (host, place) = systemd();
    let web = name("web");
    enable_on(&host, &place.dirs, &web, &[]).unwrap();
    let wants = place
        .root
        .join("etc/systemd/system/multi-user.target.wants");
    fs::remove_file(wants.join("nsrun@web.service")).unwrap();
    assert!(!is_enabled_on(&host, &place.dirs, &web));
    enable_on(&host, &place.dirs, &web, &[]).unwrap();
    assert!(is_enabled_on(&host, &place.dirs, &web));
}

#[test]
fn a_unit_of_another_state_root_is_not_taken_over() {
    let (host, place) = systemd();
    let web = name("web");
    enable_on(&host, &place.dirs, &web, &[]).unwrap();
    let other = Dirs::new(None, Some(&place.root.join("other")));
    assert!(!is_enabled_on(&host, &other, &web));
    let error = enable_on(&host, &other, &web, &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    assert!(!remove_on(&host, &other, "web").unwrap());
    assert!(is_enabled_on(&host, &place.dirs, &web));
}

#[test]
fn an_interrupted_renaming_is_finished_wherever_it_stopped() {
    for stop in 0..4 {
        let (host, place) = systemd();
        let (dirs, old, new) = (&place.dirs, name("old"), name("new"));
        enable_on(&host, dirs, &old, &[]).unwrap();
        if stop > 0 {
            host.begin_to_start(dirs, &new, &[]).unwrap();
        }
        if stop > 1 {
            mark::rename(dirs, "old", "new").unwrap();
        }
        if stop > 2 {
            host.cease_to_start(dirs, "old").unwrap();
        }
        rename_on(&host, dirs, "old", &new).unwrap();
        assert!(is_enabled_on(&host, dirs, &new), "{stop}");
        assert!(!host.starts(dirs, "old"), "{stop}");
        assert!(!mark::exists(dirs, "old"), "{stop}");
    }
}

#[test]
fn openrc_has_one_service_that_starts_with_the_host() {
    let (host, place) = place("run/openrc/softlevel");
    assert_eq!(host.init, Init::OpenRc);
    openrc::install(&place.root).unwrap();
    let script = place.root.join("etc/init.d/nsrun");
    let text = fs::read_to_string(&script).unwrap();
    assert!(text.starts_with("#!/sbin/openrc-run\n"), "{text}");
    let link = fs::read_link(place.root.join("etc/runlevels/default/nsrun")).unwrap();
    assert_eq!(link, Path::new("/etc/init.d/nsrun"));
    fs::write(&script, "mine\n").unwrap();
    openrc::install(&place.root).unwrap();
    assert_eq!(fs::read_to_string(&script).unwrap(), "mine\n");
}

#[test]
fn a_damaged_mark_is_told_with_what_to_do() {
    let (host, place) = place("empty");
    enable_on(&host, &place.dirs, &name("web"), &[]).unwrap();
    fs::write(place.dirs.lib().join("enabled/web.json"), "{").unwrap();
    let error = mark::all(&place.dirs).unwrap_err();
    assert!(
        error
            .advice()
            .is_some_and(|hint| hint.contains("nsrun enable web"))
    );
}

#[test]
fn options_are_kept_with_the_mark_and_told_to_the_unit() {
    let (host, place) = systemd();
    let (dirs, new) = (&place.dirs, name("new"));
    let options = ["--ephemeral".to_owned(), "--hostname=x".to_owned()];
    enable_on(&host, dirs, &name("web"), &options).unwrap();
    rename_on(&host, dirs, "web", &new).unwrap();
    assert_eq!(mark::all(dirs).unwrap()[0].options, options);
    let own = place.root.join("etc/systemd/system");
    assert!(!own.join("nsrun@web.service.d").exists());
    let path = own.join("nsrun@new.service.d/20-nsrun-options.conf");
    let text = fs::read_to_string(&path).unwrap();
    let line = "Environment=\"NSRUN_START_OPTIONS=--ephemeral --hostname=x\"";
    assert!(text.contains(line), "{text}");
    enable_on(&host, dirs, &new, &[]).unwrap();
    assert!(!path.exists());
    for bad in ["a b", "--x=\"", "$HOME", "%i", "a\\", "\n"] {
        let error = enable_on(&host, dirs, &new, &[bad.to_owned()]).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{bad}");
    }
}
