//! What files set, where they are found, and whom they are believed.

use super::*;

#[test]
fn the_walkthroughs_file_gives_a_booted_machine_the_hosts_network_and_users() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let image = sandbox.tiny("walk", &["notify READY=1"]);
    let machine = sandbox.boot(&image).up();
    let before = booted_facts(&machine);
    assert!(!has_hosts_network(&before) && !has_hosts_users(&before));
    assert!(
        before.links.contains(&"host0".to_owned()),
        "{:?}",
        before.links
    );
    let _ = end(machine);

    etc.write(&format!("{image}.nspawn"), WALKTHROUGH);
    let machine = sandbox.boot(&image).up();
    let after = booted_facts(&machine);
    assert!(has_hosts_network(&after), "{:?}", after.namespaces);
    assert!(has_hosts_users(&after), "{}", after.uid_map);
    let _ = end(machine);
}

#[test]
fn a_machine_in_the_background_is_started_by_its_file() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let image = sandbox.tiny("back", &["notify READY=1"]);
    let file = format!("{image}.nspawn");
    etc.write(&file, "[Exec]\nHostname=other\nPrivateUsersDelegate=1\n");
    let started = sandbox.nsrun(&["start", "--wait=ready", &image]).success();
    let _ = started.expect_stderr(":3: PrivateUsersDelegate= is ignored");
    let words = ["exec", &image, "--", PROBE, "facts"];
    let inside: Facts = sandbox.nsrun(&words).success().json();
    assert_eq!(inside.host_name, "other");
    let _ = sandbox.nsrun(&["stop", &image]).success();
    etc.write(&file, "[Exec]\nHostname=_\n");
    let failed = sandbox.nsrun(&["start", &image]).expect_status(6);
    let _ = failed.expect_stderr(":2: Hostname=");
}

#[test]
fn a_file_beside_the_image_opens_the_host_only_if_it_is_trusted() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("beside", &["notify READY=1"]);
    let path = beside(&sandbox, &image, WALKTHROUGH);
    let machine = sandbox.boot(&image).up();
    let closed = booted_facts(&machine);
    assert!(!has_hosts_network(&closed) && !has_hosts_users(&closed));
    let output = end(machine);
    for (line, key) in [(2, "PrivateUsers"), (5, "VirtualEthernet")] {
        let told = format!("{}:{line}: {key}= is ignored", path.display());
        assert!(output.contains(&told), "{output}");
    }
    let machine = sandbox.boot(&image).options(&["--settings=trusted"]).up();
    let opened = booted_facts(&machine);
    assert!(has_hosts_network(&opened) && has_hosts_users(&opened));
    let _ = end(machine);
    let machine = sandbox.boot(&image).options(&["--settings=no"]).up();
    let output = end(machine);
    assert!(!output.contains(".nspawn"), "{output}");
}

#[test]
fn a_file_beside_the_image_sets_what_is_the_payloads_own_affair() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("own", &[]);
    let text = "[Exec]\nHostname=other\nEnvironment=A=file \"B=two words\"\nWorkingDirectory=/tmp\n\
                DropCapability=CAP_MKNOD\nNoNewPrivileges=yes\n[Files]\nReadOnly=yes\n";
    beside(&sandbox, &image, text);
    let inside = facts(&sandbox, &[], &image);
    assert_eq!(inside.host_name, "other");
    assert_eq!(inside.env["A"], "file");
    assert_eq!(inside.env["B"], "two words");
    assert_eq!(inside.cwd, "/tmp");
    assert!(inside.mount("/").must("find the root").has("ro"));
    assert_eq!(inside.status["NoNewPrivs"], "1");
    let options = ["--hostname=third", "-E", "A=option", "--workdir=/"];
    let inside = facts(&sandbox, &options, &image);
    assert_eq!(inside.host_name, "third");
    assert_eq!(
        (&*inside.env["A"], &*inside.env["B"]),
        ("option", "two words")
    );
    assert_eq!(inside.cwd, "/");
}

#[test]
fn an_option_takes_one_keys_place_and_no_others_unless_the_file_overrides() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let image = sandbox.tiny("merge", &[]);
    etc.write(&format!("{image}.nspawn"), WALKTHROUGH);
    let inside = facts(&sandbox, &["--network=private"], &image);
    assert!(!has_hosts_network(&inside) && has_hosts_users(&inside));
    let inside = facts(&sandbox, &["--private-users=pick"], &image);
    assert!(has_hosts_network(&inside) && !has_hosts_users(&inside));
    let all = [
        "--network=private",
        "--private-users=pick",
        "--settings=override",
    ];
    let inside = facts(&sandbox, &all, &image);
    assert!(has_hosts_network(&inside) && has_hosts_users(&inside));
}

#[test]
fn mounts_come_from_files_and_options_together() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let image = sandbox.tiny("mounts", &[]);
    let shared = sandbox.dir().join("shared");
    write(&shared.join("file"), "from the host");
    let shared = shared.display();
    let text = format!(
        "[Files]\nBindReadOnly={shared}:/mnt\nTemporaryFileSystem=/var/scratch\nInaccessible=/usr\n"
    );
    etc.write(&format!("{image}.nspawn"), &text);
    let inside = facts(&sandbox, &["--tmpfs=/srv"], &image);
    assert!(inside.mount("/mnt").must("find the bind").has("ro"));
    for (path, fstype) in [("/var/scratch", "tmpfs"), ("/srv", "tmpfs")] {
        assert_eq!(inside.mount(path).must("find a mount").fstype, fstype);
    }
    assert!(inside.mount("/usr").is_some());
    let inside = facts(&sandbox, &["--tmpfs=/mnt"], &image);
    assert_eq!(inside.mount("/mnt").must("find the mount").fstype, "tmpfs");
    let path = etc.write(&format!("{image}.nspawn"), "[Files]\nBind=/etc:/proc\n");
    let done = run(&sandbox, &[], &image).expect_status(125);
    let _ = done.expect_stderr(&format!("{}:2: Bind=/etc:/proc", path.display()));
}

#[test]
fn limits_and_scores_come_from_the_administrators_file_alone() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("limits", &[]);
    let text = "[Exec]\nLimitCORE=1M:2M\nLimitNOFILE=100:200\nOOMScoreAdjust=321\n";
    beside(&sandbox, &image, text);
    let soft = |inside: &Facts, name: &str| inside.limits[name].0.clone();
    let closed = facts(&sandbox, &[], &image);
    assert_ne!(soft(&closed, "Max open files"), "100");
    assert_ne!(closed.oom_score_adj, 321);
    let options = ["--settings=trusted", "--rlimit=NOFILE=150:200"];
    let opened = facts(&sandbox, &options, &image);
    assert_eq!(soft(&opened, "Max core file size"), "1048576");
    assert_eq!(soft(&opened, "Max open files"), "150");
    assert_eq!(opened.oom_score_adj, 321);
}

#[test]
fn a_file_says_when_a_system_is_ready_and_how_it_is_stopped() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("ready", &[]);
    beside(
        &sandbox,
        &image,
        "[Exec]\nNotifyReady=no\nKillSignal=SIGKILL\n",
    );
    // The init announces nothing, and takes no signal that it could choose to ignore.
    let mut machine = sandbox.boot(&image).up();
    machine.signal(Signal::TERM);
    assert_eq!(machine.finish(patience(30)), 137, "{}", machine.output());
}

#[test]
fn a_system_from_the_hosts_store_with_a_dozen_binds_starts_by_its_file() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let image = sandbox.tiny("store", &["notify READY=1"]);
    let store = sandbox.dir().join("store");
    let mut text = format!(
        "{WALKTHROUGH}\n[Files]\nBindReadOnly={}:/nix/store\n",
        store.display()
    );
    for number in 0..12 {
        write(&store.join(format!("{number}/file")), "shared");
        let source = store.join(number.to_string());
        text.push_str(&format!(
            "Bind={}:/var/lib/shared/{number}\n",
            source.display()
        ));
    }
    text.push_str("Bind=/dev/zero:/dev/shared-zero\n");
    etc.write(&format!("{image}.nspawn"), &text);
    let machine = sandbox.boot(&image).up();
    let inside = booted_facts(&machine);
    assert!(has_hosts_network(&inside) && has_hosts_users(&inside));
    assert!(inside.mount("/nix/store").must("find the store").has("ro"));
    for number in 0..12 {
        let mount = inside.mount(&format!("/var/lib/shared/{number}"));
        assert!(mount.must("find a bind").has("rw"));
    }
    assert_eq!(inside.devices["shared-zero"].number, (1, 5));
    let _ = end(machine);
}

#[test]
fn an_ephemeral_machine_has_its_images_file() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let image = sandbox.tiny("shortlived", &[]);
    let file = format!("{image}.nspawn");
    etc.write(&file, "[Exec]\nEnvironment=A=1\n");
    assert_eq!(facts(&sandbox, &["-x"], &image).env["A"], "1");
    etc.write(&file, "[Exec]\nEphemeral=yes\n");
    let words = ["run", &image, "--", PROBE, "try", "create /kept"];
    let _ = sandbox.nsrun(&words).success();
    assert!(!sandbox.image_root().join(&image).join("kept").exists());
}

#[test]
fn drop_ins_add_to_the_file_and_an_empty_value_takes_back() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let image = sandbox.tiny("dropin", &[]);
    etc.write(
        &format!("{image}.nspawn"),
        "[Exec]\nHostname=a\nEnvironment=A=1\n",
    );
    etc.write(
        &format!("{image}.nspawn.d/10.conf"),
        "[Exec]\nHostname=b\nEnvironment=B=2\n",
    );
    let inside = facts(&sandbox, &[], &image);
    assert_eq!(inside.host_name, "b");
    assert_eq!((&*inside.env["A"], &*inside.env["B"]), ("1", "2"));
    etc.write(
        &format!("{image}.nspawn.d/20.conf"),
        "[Exec]\nEnvironment=\nHostname=\n",
    );
    let inside = facts(&sandbox, &[], &image);
    assert_eq!(inside.host_name, image);
    assert!(!inside.env.contains_key("A") && !inside.env.contains_key("B"));
}

#[test]
fn a_wrong_line_keeps_the_machine_from_starting_and_says_where() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let image = sandbox.tiny("wrong", &[]);
    let table = [
        (
            "[Exec]\nPrivateUsers=pikc\n",
            ":2: PrivateUsers=: invalid user namespace 'pikc'",
        ),
        ("[Exec]\n\nBoot\n", ":3: expected KEY=VALUE"),
        ("[Exec\n", ":1: a section's header ends in ]"),
        ("Hostname=a\n", ":1: Hostname= is in no section"),
        (
            "[Network]\nPrivate=no\nVirtualEthernet=yes\n",
            ":2: Private=: contradicts VirtualEthernet=yes",
        ),
    ];
    for (text, told) in table {
        let path = etc.write(&format!("{image}.nspawn"), text);
        let told = format!("{}{told}", path.display());
        let done = sandbox.nsrun(&["boot", &image]).expect_status(6);
        let _ = done.expect_stderr(&told);
        let _ = run(&sandbox, &[], &image)
            .expect_status(125)
            .expect_stderr(&told);
        let _ = run(&sandbox, &["--settings=no"], &image).success();
    }
}

#[test]
fn unknown_and_unsupported_keys_are_warned_of_and_the_rest_is_done() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let image = sandbox.tiny("warn", &[]);
    let text =
        "[Exec]\nHostnam=a\nHostname=b\nPrivateUsersDelegate=1\n[X-Note]\nA=1\n[Netwrok]\nZone=a\n";
    let path = etc.write(&format!("{image}.nspawn"), text);
    let done = run(&sandbox, &[], &image).success();
    let path = path.display();
    for told in [
        format!("{path}:2: key Hostnam= is unknown and ignored (did you mean Hostname=?)"),
        format!("{path}:4: PrivateUsersDelegate= is ignored"),
        format!("{path}:7: section [Netwrok] is unknown and ignored (did you mean [Network]?)"),
    ] {
        assert!(done.stderr.contains(&told), "{told}; {done}");
    }
    assert_eq!(done.stderr.lines().count(), 3, "{done}");
    assert_eq!(done.json::<Facts>().host_name, "b");
    assert_eq!(run(&sandbox, &["--quiet"], &image).success().stderr, "");
}

#[test]
fn a_file_that_others_can_write_is_not_believed() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let image = sandbox.tiny("writable", &[]);
    let path = etc.write(&format!("{image}.nspawn"), "[Exec]\nHostname=a\n");
    let open = fs::Permissions::from_mode(0o666);
    fs::set_permissions(&path, open.clone()).must("open the file");
    let done = run(&sandbox, &[], &image).expect_status(125);
    let _ = done
        .expect_stderr("everybody can change")
        .expect_stderr("chmod go-w");
    fs::remove_file(&path).must("remove the file");
    let path = beside(&sandbox, &image, "[Exec]\nHostname=a\n");
    fs::set_permissions(&path, open).must("open the file");
    let done = run(&sandbox, &[], &image).success();
    assert_eq!(done.json::<Facts>().host_name, image);
    let _ = done.expect_stderr("everybody can change the file");
    fs::remove_file(&path).must("remove the file");
    symlink("/etc/shadow", &path).must("make a link");
    let done = run(&sandbox, &[], &image).success();
    assert!(
        done.stderr.contains("cannot open") && !done.stderr.contains("root:"),
        "{done}"
    );
}

#[test]
fn a_dry_run_shows_what_the_files_change() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let image = sandbox.tiny("dry", &[]);
    let path = etc.write(&format!("{image}.nspawn"), WALKTHROUGH);
    let plan = sandbox.nsrun(&["boot", "--dry-run", &image]).success();
    let has = |name: &str| {
        let mut lines = plan.stdout.lines().map(str::trim);
        lines.any(|line| line == format!("{name}: the host's"))
    };
    assert!(has("network") && has("users"), "{plan}");
    let setting = format!("setting: PrivateUsers=no ({}:2)", path.display());
    assert!(plan.stdout.contains(&setting), "{plan}");
    let words = ["boot", "--dry-run", "--json", "--network=private", &image];
    let plan: Value = sandbox.nsrun(&words).success().json();
    let settings = plan["settings"].as_array().must("find the settings");
    let outranked = settings.iter().map(|s| (&s["key"], &s["outranked"]));
    let (users, link) = ("PrivateUsers".into(), "VirtualEthernet".into());
    let expected = [(&users, &false.into()), (&link, &true.into())];
    assert_eq!(outranked.collect::<Vec<_>>(), expected);
    assert!(plan["plan"].is_array());
}
