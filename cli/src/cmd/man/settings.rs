//! The page nsrun-settings(5), made from the table of keys.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use nsrun_runtime::settings::{KEYS, Key, Section, Trust};

/// The page's file name.
pub const FILE: &str = "nsrun-settings.5";

const FILES: [(&str, &str); 3] = [
    (
        "/etc/systemd/nspawn/NAME.nspawn, /run/systemd/nspawn/NAME.nspawn",
        "The administrator's. The first that exists is read. They must be root's, and nobody else's \
         to write.",
    ),
    (
        "NAME.nspawn beside the image",
        "Read if there is none of the administrator's. It may have come with the image: keys marked \
         \"trusted files\" are ignored in it, unless --settings=trusted is given.",
    ),
    (
        "/etc/systemd/nspawn/NAME.nspawn.d/*.conf, /run/systemd/nspawn/NAME.nspawn.d/*.conf",
        "The administrator's additions to whichever file was read, in the order of their names. One \
         in /etc takes the place of one in /run with the same name.",
    ),
];

const SYNTAX: [&str; 4] = [
    "Lines are [SECTION], KEY=VALUE, or comments that begin with # or ;. A line that ends in a \
     backslash goes on in the next one.",
    "Of a key with one value the last line counts. Lines of a key with a list add up. An empty value \
     takes back what earlier lines and files said.",
    "An option takes the place of the key that says the same, and of no other; lists of both add up, \
     and the option's entries win. With --settings=override files win over options.",
    "A wrong value or line keeps the machine from starting. Unknown sections and keys are ignored \
     with a warning, and without one if their names begin with X-.",
];

/// The page in roff.
pub fn page() -> String {
    let mut page = Roff::new();
    page.control("TH", ["NSRUN-SETTINGS", "5"]);
    page.control("SH", ["NAME"]);
    page.text([roman("nsrun-settings - settings files of machines")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([
        roman("A machine's settings are kept in files with the format of "),
        bold("systemd.nspawn"),
        roman("(5). "),
        bold("nsrun boot"),
        roman(", "),
        bold("nsrun start"),
        roman(" and "),
        bold("nsrun run"),
        roman(" read them; "),
        bold("nsrun config"),
        roman(" shows what they come to."),
    ]);
    page.control("SH", ["FILES"]);
    for (name, text) in FILES {
        entry(&mut page, [roman(name)], [roman(text)]);
    }
    page.control("SH", ["SYNTAX"]);
    for text in SYNTAX {
        page.control("PP", []);
        page.text([roman(text)]);
    }
    for section in Section::ALL {
        page.control("SH", [&*format!("[{}]", section.name())]);
        for key in KEYS.iter().filter(|key| key.section == section) {
            describe(&mut page, key);
        }
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([roman(
        "nsrun-boot(1), nsrun-edit(1), nsrun-config(1), systemd.nspawn(5)",
    )]);
    page.to_roff()
}

fn entry<const N: usize, const M: usize>(page: &mut Roff, name: [Inline; N], text: [Inline; M]) {
    page.control("TP", []);
    page.text(name);
    page.text(text);
}

fn describe(page: &mut Roff, key: &Key) {
    let lists = if key.adds_up() { " Lines add up." } else { "" };
    let trust = match key.trust {
        Trust::Any => "",
        Trust::Trusted => " In trusted files only.",
        Trust::Forbids => " In other files than trusted ones only to forbid.",
    };
    let as_option = match key.options {
        _ if key.ignored.is_some() => String::new(),
        ["boot"] => " Counts with --settings=override only: otherwise the verb says it.".into(),
        ["parameters", ..] => " Arguments, unless the command line has some.".into(),
        options => format!(" As the option --{}.", options.join(", --")),
    };
    let effect = match key.ignored {
        None if key.default.is_empty() => String::new(),
        None => format!(" By default {}.", key.default),
        Some(why) => format!(" Ignored with a warning: {why}."),
    };
    entry(
        page,
        [bold(format!("{}=", key.name)), italic(key.values())],
        [roman(format!(
            "{}{lists}{trust}{effect}",
            as_option.trim_start()
        ))],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_an_entry() {
        let page = page();
        for key in KEYS {
            assert!(
                page.contains(&format!("\\fB{}=", key.name)),
                "{key:?}\n{page}"
            );
        }
    }
}
