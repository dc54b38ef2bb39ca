//! What is shown of machines: `list`, `status` and `show`.

use nsrun_tests::done::Running;
use nsrun_tests::{Console, Must, Sandbox, patience, wait_until};
use serde_json::Value;

const READY: &str = "notify READY=1";

fn start(sandbox: &Sandbox, image: &str, network: &str) {
    let network = format!("--network={network}");
    let words = ["start", "--wait=ready", &network, image];
    let _ = sandbox.nsrun(&words).success();
}

fn shown(sandbox: &Sandbox, words: &[&str]) -> String {
    sandbox.nsrun(words).success().stdout
}

fn status(sandbox: &Sandbox, image: &str) -> Value {
    sandbox.nsrun(&["--json", "status", image]).success().json()
}

/// The value of a field in the text that `status` prints.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(name));
    let value = line.and_then(|line| line.strip_prefix(": "));
    value.must(&format!("find {name} in:\n{text}"))
}

#[test]
fn status_has_the_fields_of_machinectl() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("fields", &["fork 2", "notify STATUS=at work", READY]);
    start(&sandbox, &image, "veth");
    let known = status(&sandbox, &image);
    let text = shown(&sandbox, &["status", &image]);
    let word = |key: &str| known[key].as_str().must(key);
    let id = word("id");
    assert_eq!(
        text.lines().next(),
        Some(&*format!("{image}({id})")),
        "{text}"
    );
    assert!(
        id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
    assert!(field(&text, "Since").ends_with(" ago"), "{text}");
    assert_eq!(field(&text, "State"), "running");
    assert_eq!(field(&text, "Status"), "at work");
    let leader = &known["leader"]["pid"];
    assert_eq!(field(&text, "Leader"), format!("{leader} (init)"));
    let supervisor = &known["supervisor"];
    assert_eq!(field(&text, "Superv."), format!("{supervisor} (nsrun)"));
    assert_eq!(field(&text, "Service"), "nsrun; class container");
    let root = sandbox.image_root().join(&image);
    assert_eq!(field(&text, "Root"), root.to_string_lossy());
    assert_eq!(field(&text, "Iface"), word("interface"));
    assert_eq!(field(&text, "Address"), known["addresses"][0]);
    assert_eq!(field(&text, "OS"), "Tiny");
    assert_eq!(field(&text, "UID Shift"), known["shift"].to_string());
    assert!(field(&text, "CPU").ends_with('s'), "{text}");
    assert_eq!(known["manager"], Value::Null, "there is no systemd");
    assert!(field(&text, "Unit").contains(&image), "{text}");
    assert_eq!(known["processes"].as_array().map(Vec::len), Some(3));
    assert!(text.contains("├─payload\n"), "{text}");
    assert!(text.contains(&format!("─{leader} /sbin/init\n")), "{text}");
    assert!(text.contains("└─supervisor\n"), "{text}");
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

// A file system of the machine's own could keep whoever opens a file in it waiting.
#[test]
fn a_list_tells_the_system_of_the_start_without_a_look_into_the_machine() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("release", &[READY]);
    start(&sandbox, &image, "host");
    let release = sandbox.image_root().join(&image).join("usr/lib/os-release");
    std::fs::write(release, "ID=newer\nVERSION_ID=2\n").must("write another release");
    let list: Value = sandbox.nsrun(&["--json", "list"]).success().json();
    assert_eq!(list[0]["os_id"], "tiny", "{list}");
    assert_eq!(list[0]["os_version"], "1", "{list}");
    let now = status(&sandbox, &image);
    assert_eq!(now["os_id"], "newer", "{now}");
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

#[test]
fn status_takes_several_names_or_all() {
    let sandbox = Sandbox::new();
    assert_eq!(shown(&sandbox, &["status"]), "No machines.\n");
    let images = ["one", "two"].map(|base| sandbox.tiny(base, &[READY]));
    let [one, two] = &images;
    images
        .iter()
        .for_each(|image| start(&sandbox, image, "private"));
    let all = shown(&sandbox, &["status"]);
    assert!(all.contains(one) && all.contains(two), "{all}");
    let both: Value = sandbox
        .nsrun(&["--json", "status", two, one])
        .success()
        .json();
    assert_eq!(both[0]["name"], **two);
    assert_eq!(both[1]["name"], **one);
    let some = sandbox.nsrun(&["status", one, "missing", two]);
    let some = some.expect_status(3).expect_stderr("missing");
    assert!(
        some.stdout.contains(one) && some.stdout.contains(two),
        "{some}"
    );
    let misspelt = one.replacen("one", "oen", 1);
    let hint = format!("did you mean {one}?");
    for verb in ["status", "exec", "stop", "kill", "attach"] {
        let done =
            sandbox.nsrun(&[verb, &misspelt, "--", "true"][..if verb == "exec" { 4 } else { 2 }]);
        assert_ne!(done.status, 0, "{done}");
        done.expect_stderr(&hint);
    }
    for image in &images {
        let _ = sandbox.nsrun(&["stop", image]).success();
    }
}

/// What a terminal of 80 columns gets, with `variables` in the environment.
fn on_terminal(sandbox: &Sandbox, words: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = sandbox.command(words);
    command.env("TERM", "xterm").envs(variables.iter().copied());
    let mut console = Console::start(&command);
    // The last line: what the terminal holds may come later than the end of the command.
    let _ = console.expect("nsrun --supervise.*\n");
    assert_eq!(console.wait(patience(20)), 0, "{}", console.text());
    String::from_utf8(console.raw()).must("read the terminal's text")
}

#[test]
fn on_a_terminal_there_are_colours_and_lines_are_cut() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("terminal", &[READY]);
    start(&sandbox, &image, "private");
    let long = "x".repeat(200);
    let words = [
        "exec",
        &image,
        "--",
        "/sbin/init",
        "sleep",
        "60000",
        ",",
        "print",
        &long,
    ];
    let mut command = Running::start(sandbox.command(&words));
    wait_until(patience(10), "the command", || {
        shown(&sandbox, &["status", &image])
            .contains(&long)
            .then_some(())
    });
    let coloured = on_terminal(&sandbox, &["status", &image], &[]);
    assert!(
        coloured.contains("\u{1b}[32mrunning\u{1b}[0m"),
        "{coloured}"
    );
    let plain = on_terminal(&sandbox, &["status", &image], &[("NO_COLOR", "1")]);
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let widest = plain
        .lines()
        .map(|line| line.trim_end().chars().count())
        .max();
    assert_eq!(widest, Some(80), "{plain}");
    assert!(plain.contains("xxx…\r\n"), "{plain}");
    let full = on_terminal(&sandbox, &["status", "--full", &image], &[]);
    assert!(full.contains(&long), "{full}");
    let _ = sandbox.nsrun(&["stop", &image]).success();
    let _ = command.finish(patience(20));
}

#[test]
fn what_a_process_calls_itself_reaches_no_terminal() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("escapes", &[READY]);
    start(&sandbox, &image, "private");
    let evil = "\u{1b}]0;title\u{7}\u{202e}\n";
    let words = [
        "exec",
        &image,
        "--",
        "/sbin/init",
        "sleep",
        "60000",
        ",",
        "print",
        evil,
    ];
    let mut command = Running::start(sandbox.command(&words));
    wait_until(patience(10), "the command", || {
        let text = shown(&sandbox, &["status", &image]);
        text.contains("\\u{1b}]0;title\\u{7}\\u{202e}\\n")
            .then_some(())
    });
    let _ = sandbox.nsrun(&["stop", &image]).success();
    let _ = command.finish(patience(20));
}

#[test]
fn of_a_real_system_units_and_console_are_shown() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("system", &["trixie"]);
    start(&sandbox, &image, "private");
    wait_until(patience(60), "the end of its start", || {
        (status(&sandbox, &image)["manager"]["state"] == "running").then_some(())
    });
    let text = wait_until(patience(20), "the console", || {
        let text = shown(&sandbox, &["status", &image]);
        text.contains("\ntrixie login:").then_some(text)
    });
    assert_eq!(field(&text, "System"), "running");
    assert!(text.contains("─systemd-journald.service\n"), "{text}");
    let none = shown(&sandbox, &["status", "--lines=0", &image]);
    assert!(!none.contains("login:"), "{none}");
    let fail = [
        "exec",
        &image,
        "--",
        "systemd-run",
        "--wait",
        "--unit=broken",
        "false",
    ];
    let _ = sandbox.nsrun(&fail).expect_status(1);
    let text = shown(&sandbox, &["status", &image]);
    assert_eq!(field(&text, "System"), "degraded");
    assert_eq!(field(&text, "Failed"), "broken.service");
    let known = status(&sandbox, &image);
    assert_eq!(known["manager"]["failed_units"][0], "broken.service");
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

#[test]
fn a_system_manager_that_stands_still_is_not_waited_for() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("still", &["trixie"]);
    start(&sandbox, &image, "private");
    let signal = |name: &str| {
        let signal = format!("--signal={name}");
        let words = ["kill", &signal, "--whom=leader", &image];
        let _ = sandbox.nsrun(&words).success();
    };
    signal("STOP");
    let text = shown(&sandbox, &["status", &image]);
    assert!(
        field(&text, "System").ends_with("it does not answer"),
        "{text}"
    );
    signal("CONT");
    wait_until(patience(20), "an answer", || {
        status(&sandbox, &image)["manager"]["state"]
            .is_string()
            .then_some(())
    });
    let _ = sandbox.nsrun(&["pause", &image]).success();
    let known = status(&sandbox, &image);
    assert_eq!(
        (&known["state"], &known["manager"]),
        (&"paused".into(), &Value::Null)
    );
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

#[test]
fn the_list_has_the_columns_of_machinectl_and_the_state() {
    let sandbox = Sandbox::new();
    assert_eq!(shown(&sandbox, &["list"]), "No machines.\n");
    let image = sandbox.tiny("row", &[READY]);
    start(&sandbox, &image, "veth");
    let known = status(&sandbox, &image);
    let address = known["addresses"][0].as_str().must("find its address");
    let text = shown(&sandbox, &["list", "--full"]);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    let heading = [
        "MACHINE",
        "CLASS",
        "SERVICE",
        "OS",
        "VERSION",
        "ADDRESSES",
        "STATE",
    ];
    assert_eq!(rows[0], heading);
    let row = [
        &image,
        "container",
        "nsrun",
        "tiny",
        "1",
        address,
        "running",
    ];
    assert_eq!(rows[1], row);
    assert!(text.ends_with("\n\n1 machines listed.\n"), "{text}");
    let bare = shown(&sandbox, &["list", "--no-legend"]);
    assert_eq!(bare.lines().count(), 1, "{bare}");
    let list: Value = sandbox.nsrun(&["--json", "list"]).success().json();
    assert_eq!(list[0]["os_id"], "tiny");
    assert_eq!(list[0]["os_version"], "1");
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

/// All keys in a value and what is in it.
fn keys(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let below = map.values().flat_map(keys);
            map.keys().cloned().chain(below).collect()
        }
        Value::Array(items) => items.iter().flat_map(keys).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_key_and_property_is_documented() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("keys", &["trixie"]);
    start(&sandbox, &image, "private");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.md");
    let page = std::fs::read_to_string(page).must("read the page");
    let known = status(&sandbox, &image);
    assert!(known["manager"].is_object(), "{known}");
    let properties: Value = sandbox.nsrun(&["--json", "show", &image]).success().json();
    for key in keys(&known).into_iter().chain(keys(&properties)) {
        assert!(page.contains(&format!("`{key}`")), "{key}");
    }
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

#[test]
fn properties_are_shown_for_scripts() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("properties", &[READY]);
    start(&sandbox, &image, "veth");
    let known = status(&sandbox, &image);
    let text = shown(&sandbox, &["show", &image]);
    let property = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.must(name).to_owned()
    };
    assert_eq!(property("Name"), image);
    assert_eq!(property("Id"), known["id"]);
    assert_eq!(property("Leader"), known["leader"]["pid"].to_string());
    assert_eq!(property("Supervisor"), known["supervisor"].to_string());
    assert_eq!(property("Service"), "nsrun");
    assert_eq!(property("Class"), "container");
    assert_eq!(property("State"), "running");
    assert_eq!(property("RootDirectory"), known["root"]);
    assert_eq!(
        property("NetworkInterfaces"),
        known["interface_index"].to_string()
    );
    let monotonic = known["since_boottime_usec"].to_string();
    assert_eq!(property("TimestampMonotonic"), monotonic);
    let two = shown(&sandbox, &["show", "-p", "Class", "-p", "Name", &image]);
    assert_eq!(two, format!("Name={image}\nClass=container\n"));
    assert_eq!(
        shown(&sandbox, &["show", "-P", "State", &image]),
        "running\n"
    );
    let words = ["--json", "show", "-p", "Class", &image];
    let json: Value = sandbox.nsrun(&words).success().json();
    assert_eq!(json, serde_json::json!({ "Class": "container" }));
    let _ = sandbox
        .nsrun(&["show", "-p", "Nonsense", &image])
        .expect_status(2);
    let _ = sandbox.nsrun(&["show", "missing"]).expect_status(3);
    let _ = sandbox.nsrun(&["show"]).expect_status(2);
    let _ = sandbox.nsrun(&["stop", &image]).success();
}
