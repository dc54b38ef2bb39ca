use proptest::prelude::*;

use super::*;

fn calls(text: &str) -> Result<CallRule> {
    text.parse()
}

fn families_of(text: &str) -> Result<FamilyRule> {
    text.parse()
}

fn resolved(rules: &[&str]) -> Resolved {
    let calls = rules.iter().map(|text| calls(text).unwrap()).collect();
    Resolved::of(&Restrictions {
        calls,
        ..Restrictions::default()
    })
}

#[test]
fn rules_name_calls_and_groups_between_blanks_or_commas() {
    for text in ["@clock bpf", "@clock,bpf", " @clock , bpf "] {
        assert_eq!(calls(text).unwrap().to_string(), "@clock bpf", "{text}");
    }
    let rule = calls("~ @clock ptrace:EACCES sync:0 mount:kill").unwrap();
    assert_eq!(rule.to_string(), "~@clock ptrace:13 sync:0 mount:kill");
}

#[test]
fn what_is_no_call_is_refused_and_the_like_of_it_told() {
    let table = [
        ("ptrcae", "did you mean ptrace?"),
        ("@clokc", "did you mean @clock?"),
        ("nonsense", "there is none of that name"),
        ("", "it names no call"),
        ("~", "it names no call"),
        ("~ , ", "it names no call"),
        ("mount:EPERM", "after ~"),
        ("~mount:", "expected a name such as EPERM"),
        ("~mount:ENONSENSE", "expected a name such as EPERM"),
        ("~mount:4096", "0 to 4095"),
        ("~mount:-1", "0 to 4095"),
        ("~~mount", "there is none of that name"),
    ];
    for (text, expected) in table {
        let error = calls(text).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}

#[test]
fn errors_have_the_names_of_the_c_library() {
    let table = [
        ("EPERM", libc::EPERM),
        ("EACCES", libc::EACCES),
        ("EHWPOISON", libc::EHWPOISON),
        ("EWOULDBLOCK", libc::EWOULDBLOCK),
        ("ENOTSUP", libc::ENOTSUP),
        ("EDEADLOCK", libc::EDEADLOCK),
    ];
    for (name, number) in table {
        assert_eq!(errno(name).map(i32::from), Some(number), "{name}");
    }
    assert_eq!(errno("UnknownErrno"), None);
}

#[test]
fn what_is_refused_anywhere_is_allowed_nowhere() {
    for rules in [["bpf ptrace", "~ptrace"], ["~ptrace", "bpf ptrace"]] {
        let all = resolved(&rules);
        assert_eq!(all.verdict("bpf", Verdict::Deny), Verdict::Allow);
        assert_eq!(all.verdict("ptrace", Verdict::Allow), Verdict::Deny);
        assert_eq!(all.verdict("mount", Verdict::Allow), Verdict::Allow);
        assert_eq!(all.verdict("swapon", Verdict::Deny), Verdict::Deny);
    }
}

#[test]
fn to_allow_sockets_does_not_answer_questions_about_audit() {
    let all = resolved(&["@network-io"]);
    assert_eq!(all.verdict("socket", Verdict::Socket), Verdict::Socket);
    let all = resolved(&["~socket"]);
    assert_eq!(all.verdict("socket", Verdict::Socket), Verdict::Deny);
}

#[test]
fn families_are_named_as_the_kernel_names_them() {
    for text in ["AF_UNIX AF_INET6", "~AF_PACKET", "none"] {
        assert_eq!(families_of(text).unwrap().to_string(), text);
    }
    let table = [
        ("AF_INTE", "did you mean AF_INET?"),
        ("unix", "such as AF_INET"),
        ("AF_UNIX none", "such as AF_INET"),
        ("~none", "such as AF_INET"),
        ("", "it names none"),
        ("~", "it names none"),
    ];
    for (text, expected) in table {
        let error = families_of(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn restricted_families_close_the_ways_around_the_filter() {
    let families = vec![families_of("AF_UNIX").unwrap()];
    let all = Resolved::of(&Restrictions {
        families,
        ..Restrictions::default()
    });
    for name in ["socketcall", "io_uring_setup"] {
        assert_eq!(all.verdict(name, Verdict::Allow), Verdict::Unknown);
        let own = Resolved::default().verdict(name, Verdict::Allow);
        assert_eq!(own, Verdict::Allow);
    }
}

#[test]
fn a_refusal_wins_over_a_pretence() {
    let all = Resolved::of(&Restrictions {
        calls: vec![calls("~fsync:EIO").unwrap()],
        suppress_sync: true,
        ..Restrictions::default()
    });
    assert_eq!(all.verdict("fsync", Verdict::Allow), Verdict::Errno(5));
    assert_eq!(
        all.verdict("fdatasync", Verdict::Allow),
        Verdict::ZeroForFile
    );
    assert_eq!(all.verdict("sync", Verdict::Allow), Verdict::Errno(0));
}

proptest! {
    #[test]
    fn reading_never_panics(text in "\\PC{0,60}|[~@:a-z_ ,]{0,30}") {
        let _ = calls(&text);
        let _ = families_of(&text);
    }

    #[test]
    fn a_rule_is_read_as_it_is_written(
        words in proptest::sample::subsequence(
            vec!["@clock", "mount", "~ptrace:5", "~@swap:kill", "~bpf"], 1..5)
    ) {
        let refuses = words.iter().any(|word| word.starts_with('~'));
        let plain = words.iter().filter(|word| word.starts_with('~') == refuses);
        let list: Vec<&str> = plain.map(|word| word.trim_start_matches('~')).collect();
        let text = format!("{}{}", if refuses { "~" } else { "" }, list.join(" "));
        let rule = calls(&text).unwrap();
        prop_assert_eq!(rule.to_string(), text);
        let json = serde_json::to_string(&rule).unwrap();
        prop_assert_eq!(serde_json::from_str::<CallRule>(&json).unwrap(), rule);
    }
}
