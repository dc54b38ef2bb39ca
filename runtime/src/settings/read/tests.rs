use proptest::prelude::*;

use super::*;

fn collected(files: &[(&str, bool)]) -> Collected {
    let mut all = Collected::default();
    for (index, (content, trusted)) in files.iter().enumerate() {
        let file = format!("/f{}", index + 1);
        all.read(Path::new(&file), content.as_bytes(), *trusted);
    }
    all
}

fn trusted(content: &str) -> Collected {
    collected(&[(content, true)])
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn files_are_read_on_top_of_one_another_key_by_key() {
    let all = collected(&[
        ("[Exec]\nHostname=a\nPrivateUsers=no\nEnvironment=A=1", true),
        ("[Exec]\nHostname=b\nEnvironment=B=2", true),
    ]);
    let lines: Vec<String> = all
        .lines
        .iter()
        .map(|line| format!("{} {}={}", line.place, line.key.name, line.value))
        .collect();
    let expected = [
        "/f1:3 PrivateUsers=no",
        "/f1:4 Environment=A=1",
        "/f2:2 Hostname=b",
        "/f2:3 Environment=B=2",
    ];
    assert_eq!(lines, expected);
    assert_eq!(all.settings.environment.len(), 2);
}

#[test]
fn an_empty_value_takes_back_what_earlier_lines_and_files_said() {
    let all = collected(&[
        ("[Exec]\nEnvironment=A=1\nUser=a\n[Files]\nBind=/srv", true),
        (
            "[Exec]\nEnvironment=\nEnvironment=B=2\nUser=\n[Files]\nBind=",
            true,
        ),
    ]);
    assert_eq!(all.errors, []);
    let names: Vec<&str> = all.lines.iter().map(|line| line.key.name).collect();
    assert_eq!(names, ["Environment"]);
    assert!(all.settings.user.is_none() && all.settings.bind.is_empty());
    assert_eq!(all.settings.environment.len(), 1);
}

#[test]
fn a_wrong_value_is_told_with_file_line_and_key() {
    let all = trusted("[Exec]\nPrivateUsers=pikc\nBoot=perhaps");
    let told = texts(&all.errors);
    assert!(
        told[0].starts_with("/f1:2: PrivateUsers=: invalid user namespace 'pikc'"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("/f1:3: Boot=: invalid boolean 'perhaps'"),
        "{told:?}"
    );
    let error = all.check().unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
    assert!(error.to_string().ends_with("(and 1 more)"), "{error}");
}

#[test]
fn unknown_words_are_warned_of_with_what_was_meant() {
    let text = "[Exce]\nBoot=yes\n[Exec]\nPrivateUser=no\nZone=a\nMemory=1\nMacvlan=eth0";
    let all = trusted(text);
    let expected = [
        "/f1:1: section [Exce] is unknown and ignored (did you mean [Exec]?)",
        "/f1:4: key PrivateUser= is unknown and ignored (did you mean PrivateUsers=?)",
        "/f1:5: key Zone= is unknown and ignored (it belongs to [Network])",
        "/f1:6: key Memory= is unknown and ignored",
        "/f1:7: key Macvlan= is unknown and ignored (did you mean MACVLAN= of [Network]?)",
    ];
    assert_eq!(texts(&all.warnings), expected);
    assert_eq!((all.errors.len(), all.lines.len()), (0, 0));
}

#[test]
fn sections_and_keys_of_others_are_passed_over() {
    let all = trusted("[X-Mine]\nA=1\n[Exec]\nX-Note=2\n[Network]\n");
    assert_eq!((all.errors.len(), all.warnings.len()), (0, 0));
}

#[test]
fn a_key_in_no_section_is_an_error() {
    let told = texts(&trusted("VirtualEthernet=no\n").errors);
    assert_eq!(
        told,
        ["/f1:1: VirtualEthernet= is in no section (it belongs to [Network])"]
    );
}

#[test]
fn what_opens_the_host_is_ignored_in_a_file_that_is_not_trusted() {
    let text = "[Exec]\nHostname=a\nPrivateUsers=no\n[Network]\nVirtualEthernet=no\n";
    let all = collected(&[(text, false)]);
    let names: Vec<&str> = all.lines.iter().map(|line| line.key.name).collect();
    assert_eq!(names, ["Hostname"]);
    let told = texts(&all.warnings);
    assert!(
        told[0].starts_with("/f1:3: PrivateUsers= is ignored"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("/f1:5: VirtualEthernet= is ignored"),
        "{told:?}"
    );
    assert!(told[0].contains("--settings=trusted"), "{told:?}");
}

#[test]
fn a_file_that_is_not_trusted_may_forbid_system_calls() {
    let text = "[Exec]\nSystemCallFilter=~@mount\nSystemCallFilter=@mount\n";
    let all = collected(&[(text, false)]);
    assert_eq!((all.lines.len(), all.warnings.len()), (1, 1));
}

#[test]
fn a_file_that_is_not_trusted_cannot_take_back_what_the_administrators_said() {
    let all = collected(&[
        ("[Exec]\nPrivateUsers=no", true),
        ("[Exec]\nPrivateUsers=", false),
    ]);
    assert_eq!(
        all.settings.private_users,
        Some(crate::range::PrivateUsers::No)
    );
}

#[test]
fn messages_are_printable() {
    let all = trusted("[\u{1b}[2J]\n[Exec]\n\u{1b}a=1\nHostname=\u{1b}b\n");
    let told = [texts(&all.errors), texts(&all.warnings)]
        .concat()
        .join(" ");
    assert!(!told.contains('\u{1b}'), "{told}");
    assert_eq!(all.errors.len() + all.warnings.len(), 3);
}

fn any_key() -> impl Strategy<Value = &'static Key> {
    (0..KEYS.len()).prop_map(|index| &KEYS[index])
}

proptest! {
    #[test]
    fn any_content_is_read(content in proptest::collection::vec(any::<u8>(), 0..300)) {
        Collected::default().read(Path::new("/f"), &content, true);
    }

    #[test]
    fn any_value_of_any_key_is_taken_or_refused_at_its_line(
        key in any_key(),
        value in "[!-~]([ -~]{0,40}[!-~])?",
    ) {
        prop_assume!(!value.ends_with('\\'));
        let text = format!("[{}]\n{}={value}\n", key.section.name(), key.name);
        let all = trusted(&text);
        prop_assert_eq!(all.lines.len() + all.errors.len(), 1);
        let line = all.errors.first().map_or(2, |problem| problem.place.line);
        prop_assert_eq!(line, 2);
    }

    #[test]
    fn nothing_but_harmless_keys_is_set_by_files_that_are_not_trusted(
        lines in proptest::collection::vec((any_key(), "[ -~]{0,12}"), 0..20),
    ) {
        let text: String = lines
            .iter()
            .map(|(key, value)| format!("[{}]\n{}={value}\n", key.section.name(), key.name))
            .collect();
        let all = collected(&[(&text, false)]);
        for line in &all.lines {
            prop_assert!(line.key.trust.lets_anyone(&line.value), "{:?}", line);
        }
    }
}
