//! Completion by shells themselves: what the tab key offers.

use std::fs;
use std::path::PathBuf;

use nsrun_tests::done::run;
use nsrun_tests::{Console, Must, Sandbox, nsrun, patience, skip};

/// A machine that runs, an image that does not, and the scripts of a shell.
struct Scene {
    sandbox: Sandbox,
    machine: String,
    image: String,
}

impl Scene {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let machine = sandbox.tiny("up", &["notify READY=1"]);
        let image = sandbox.tiny("down", &[]);
        let _ = sandbox.nsrun(&["start", &machine]).success();
        Self {
            sandbox,
            machine,
            image,
        }
    }

    /// The file with the script for the words of `program`.
    fn script(&self, shell: &str, program: &str) -> String {
        let done = self.sandbox.nsrun(&["completions", shell, program]);
        let path = self.sandbox.dir().join(format!("{program}.{shell}"));
        fs::write(&path, done.success().stdout).must("write a script");
        path.to_str().must("name a script").to_owned()
    }

    /// What `shell` says to a script of its own, with the sandbox's environment.
    fn ask(&self, shell: &PathBuf, args: &[&str]) -> Vec<String> {
        let mut command = nsrun::plain(shell);
        let own = self.sandbox.command(&[""; 0]);
        command.envs(
            own.get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        );
        command.env("HOME", self.sandbox.dir()).args(args);
        let done = run(command, patience(60)).success();
        let lines = done.stdout.lines();
        lines
            .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
            .collect()
    }

    /// Lines of words, the last of which is completed, and which names are offered for it: the
    /// machine's, the image's.
    fn cases() -> [(&'static str, &'static str, bool, bool); 8] {
        [
            ("nsrun", "nsrun stop ", true, false),
            ("nsrun", "nsrun exec ", true, false),
            ("nsrun", "nsrun status ", true, false),
            ("nsrun", "nsrun boot ", true, true),
            ("nsrun", "nsrun remove do", false, true),
            ("machinectl", "machinectl poweroff ", true, false),
            ("machinectl", "machinectl start ", true, true),
            ("systemd-nspawn", "systemd-nspawn -b -M ", true, true),
        ]
    }

    fn check(&self, offered: impl Fn(&str, &str) -> Vec<String>) {
        for (program, line, machine, image) in Self::cases() {
            let words = offered(program, line);
            let has = |name: &str| words.iter().any(|word| word.trim_end() == name);
            assert_eq!(has(&self.machine), machine, "{line}: {words:?}");
            assert_eq!(has(&self.image), image, "{line}: {words:?}");
        }
        let verbs = offered("nsrun", "nsrun image");
        assert!(
            verbs.iter().any(|word| word.trim_end() == "image-status"),
            "{verbs:?}"
        );
    }

    fn end(self) {
        let _ = self.sandbox.nsrun(&["stop", &self.machine]).success();
    }
}

#[test]
fn bash_offers_names_of_machines_and_images() {
    let Some(bash) = nsrun::installed("bash") else {
        skip!("there is no bash");
    };
    let scene = Scene::new();
    let ask = r#"
        source "$1"
        COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9
        read -ra COMP_WORDS <<< "$2"
        [[ $2 == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        function=$(complete -p "${COMP_WORDS[0]}" | sed 's/.*-F \([^ ]*\).*/\1/')
        "$function" "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "" 2>/dev/null
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    scene.check(|program, line| {
        let script = scene.script("bash", program);
        scene.ask(&bash, &["--norc", "-c", ask, "bash", &script, line])
    });
    scene.end();
}

#[test]
fn fish_offers_names_of_machines_and_images() {
    let Some(fish) = nsrun::installed("fish") else {
        skip!("there is no fish");
    };
    let scene = Scene::new();
    scene.check(|program, line| {
        let script = scene.script("fish", program);
        let ask = format!("source {script}; complete -C '{line}'");
        scene.ask(&fish, &["--no-config", "-c", &ask])
    });
    scene.end();
}

#[test]
fn zsh_completes_names_of_machines_and_images() {
    let Some(zsh) = nsrun::installed("zsh") else {
        skip!("there is no zsh");
    };
    let scene = Scene::new();
    let mut command = nsrun::plain(zsh);
    let own = scene.sandbox.command(&[""; 0]);
    command.envs(
        own.get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    command.env("HOME", scene.sandbox.dir()).args(["-f", "-i"]);
    let mut console = Console::start(&command);
    console.resize(40, 200);
    console.send_line("PS1='ready> '; autoload -U compinit; compinit -u -D");
    let _ = console.expect("ready> $");
    for program in ["nsrun", "machinectl"] {
        let script = scene.script("zsh", program);
        console.send_line(&format!("source {script}"));
        let _ = console.expect("ready> $");
    }
    // The line is put aside unexecuted, and what it is complete with is shown.
    for (line, name) in [
        ("nsrun stop u", &scene.machine),
        ("nsrun remove d", &scene.image),
        ("machinectl poweroff u", &scene.machine),
    ] {
        console.send(&format!("{line}\t"));
        let _ = console.expect(name);
        console.send("\u{15}");
    }
    console.send_line("exit");
    assert_eq!(console.wait(patience(20)), 0);
    drop(console);
    scene.end();
}
