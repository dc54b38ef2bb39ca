//! `cat`, `config` and `edit`.

use super::*;

#[test]
fn cat_prints_the_files_in_the_order_of_reading() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let (a, b) = (sandbox.name("a"), sandbox.name("b"));
    let first = etc.write(&format!("{a}.nspawn"), WALKTHROUGH);
    let second = etc.write(&format!("{a}.nspawn.d/x.conf"), "[Exec]\nBoot=yes\n");
    let third = beside(&sandbox, &b, "[Exec]\n# no\nUser=\u{1b}a\n");
    let done = sandbox.nsrun(&["cat", &a, &b]).success();
    let expected = format!(
        "# {}\n{WALKTHROUGH}\n# {}\n[Exec]\nBoot=yes\n\n# {}\n[Exec]\n# no\nUser=a\n",
        first.display(),
        second.display(),
        third.display()
    );
    assert_eq!(done.stdout, expected);
    let all: Value = sandbox.nsrun(&["cat", "--json", &b]).success().json();
    assert_eq!(all[0]["path"], third.display().to_string());
    assert_eq!(all[0]["trusted"], false);
    let done = sandbox
        .nsrun(&["cat", &sandbox.name("none")])
        .expect_status(3);
    let _ = done.expect_stderr("no settings of");
}

#[test]
fn config_shows_what_counts_and_where_it_is_from() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let name = sandbox.name("c");
    let file = etc.write(
        &format!("{name}.nspawn"),
        "[Network]\nVirtualEthernet=no\n[Exec]\nHostname=a\nEnvironment=A=1\nPrivateUsersDelegate=1\n",
    );
    let drop_in = etc.write(
        &format!("{name}.nspawn.d/x.conf"),
        "[Exec]\nHostname=b\nEnvironment=B=2\nNonsense=1\n",
    );
    let (file, drop_in) = (file.display(), drop_in.display());
    let done = sandbox.nsrun(&["config", &name]).success();
    let expected = format!(
        "[Exec]\n# {file}:5\nEnvironment=A=1\n# {drop_in}:3\nEnvironment=B=2\n\
         # {file}:6: ignored, nsrun gives a machine one range of ids\n#PrivateUsersDelegate=1\n\
         # {drop_in}:2\nHostname=b\n\n[Network]\n# {file}:2\nVirtualEthernet=no\n\n"
    );
    assert_eq!(done.stdout, expected);
    let _ = done.expect_stderr(&format!("{drop_in}:4: key Nonsense= is unknown"));
    let all: Value = sandbox.nsrun(&["config", "--json", &name]).success().json();
    let last = &all["settings"][4];
    assert_eq!(
        (&last["key"], &last["value"]),
        (&"VirtualEthernet".into(), &"no".into())
    );
    assert_eq!((&last["line"], &last["ignored"]), (&2.into(), &Value::Null));
    assert_eq!(all["warnings"][0]["line"], 4);
    let all = sandbox.nsrun(&["config", "--all", &name]).success().stdout;
    assert!(all.contains("# default: pick\n#PrivateUsers=\n"), "{all}");
    assert!(!all.contains("#Hostname="), "{all}");
}

#[test]
fn what_config_prints_can_be_used_as_a_file() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let name = sandbox.name("d");
    let file = format!("{name}.nspawn");
    etc.write(
        &file,
        "[Exec]\nEnvironment=\"A=1 2\" \\\n  B=3\nHostname=a\n",
    );
    let first = sandbox.nsrun(&["config", &name]).success();
    etc.write(&file, &first.stdout);
    let second = sandbox.nsrun(&["config", &name]).success();
    let settings = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(settings(&first.stdout), settings(&second.stdout));
    assert_eq!(second.stderr, "");
}

#[test]
fn config_tells_every_error_and_fails() {
    let sandbox = Sandbox::new();
    let etc = Etc::new();
    let name = sandbox.name("e");
    etc.write(
        &format!("{name}.nspawn"),
        "[Exec]\nBoot=x\nUser=a\nKillSignal=y\n",
    );
    let done = sandbox.nsrun(&["config", &name]).expect_status(6);
    assert!(done.stdout.contains("User=a"), "{done}");
    let _ = done
        .expect_stderr(":2: Boot=")
        .expect_stderr(":4: KillSignal=");
    let all: Value = sandbox
        .nsrun(&["config", "--json", &name])
        .expect_status(6)
        .json();
    assert_eq!(all["errors"].as_array().map(Vec::len), Some(2));
}

/// An editor that puts the text into the file that it is given.
fn editor(sandbox: &Sandbox, text: &str) -> String {
    let path = sandbox.dir().join("editor");
    write(&sandbox.dir().join("text"), text);
    write(
        &path,
        "#!/bin/sh\ncat \"$1\" >\"${0%/*}/before\"\ncat \"${0%/*}/text\" >\"$1\"\n",
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).must("make the editor run");
    path.display().to_string()
}

fn edit(sandbox: &Sandbox, name: &str, editor: &str) -> Done {
    let mut command = sandbox.command(&["edit", name]);
    command.env("EDITOR", editor);
    run_command(command, patience(30))
}

fn before(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.dir().join("before")).must("read what the editor was given")
}

#[test]
fn edit_saves_what_is_right_and_keeps_what_is_wrong_as_a_draft() {
    let sandbox = Sandbox::new();
    let _etc = Etc::new();
    let name = sandbox.name("edit");
    let file = Etc::dir().join(format!("{name}.nspawn"));
    let saved = || fs::read_to_string(&file).must("read the file");
    let _ = edit(&sandbox, &name, &editor(&sandbox, WALKTHROUGH)).success();
    assert!(before(&sandbox).starts_with(&format!("# Settings of {name}")));
    assert_eq!(saved(), WALKTHROUGH);

    let wrong = "[Exec]\nUser=a\nPrivateUsers=pikc\n";
    let done = edit(&sandbox, &name, &editor(&sandbox, wrong)).expect_status(6);
    let draft = Etc::dir().join(format!(".{name}.nspawn.draft"));
    let place = format!("{}:3: PrivateUsers=", draft.display());
    let _ = done
        .expect_stderr(&place)
        .expect_stderr("the draft is kept in");
    assert_eq!(before(&sandbox), WALKTHROUGH);
    assert_eq!(saved(), WALKTHROUGH);

    let right = "[Exec]\nUser=a\nPrivateUsers=pick\n";
    let done = edit(&sandbox, &name, &editor(&sandbox, right)).success();
    let _ = done.expect_stderr("Going on with the draft");
    assert_eq!(before(&sandbox), wrong);
    assert_eq!(saved(), right);
    assert!(!draft.exists());

    let done = edit(&sandbox, &name, "true").success();
    let _ = done.expect_stderr("is as it was");
    assert!(!draft.exists());
}

#[test]
fn edit_survives_editors_that_fail() {
    let sandbox = Sandbox::new();
    let _etc = Etc::new();
    let name = sandbox.name("fail");
    let done = edit(&sandbox, &name, "false").expect_status(1);
    let _ = done.expect_stderr("with false: it ended with exit status: 1");
    let done = edit(&sandbox, &name, "/nothing/here").expect_status(1);
    let _ = done.expect_stderr("/nothing/here: no such file or directory");
    let left = fs::read_dir(Etc::dir()).must("list the files").count();
    assert_eq!(left, 0);
}

#[test]
fn edit_takes_content_from_its_input() {
    let sandbox = Sandbox::new();
    let _etc = Etc::new();
    let name = sandbox.name("input");
    let edit = |text: &str| {
        let command = sandbox.command(&["edit", "--stdin", &name]);
        run_with_input(command, text.as_bytes(), patience(30))
    };
    let _ = edit("[Exec]\nHostnam=a\n")
        .success()
        .expect_stderr("did you mean Hostname=?");
    let _ = edit("Hostname=a\n").expect_status(6);
    let file = Etc::dir().join(format!("{name}.nspawn"));
    let saved = fs::read_to_string(file).must("read the file");
    assert_eq!(saved, "[Exec]\nHostnam=a\n");
    let command = sandbox.command(&["edit", "--stdin", "--drop-in=local", &name]);
    let _ = run_with_input(command, b"[Exec]\nHostname=b\n", patience(30)).success();
    let shown = sandbox.nsrun(&["config", &name]).success().stdout;
    assert!(shown.contains("local.conf:2\nHostname=b\n"), "{shown}");
}
