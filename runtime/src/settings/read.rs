//! From the content of files to settings, line by line.

use std::path::Path;
use std::sync::Arc;

use super::keys::{Key, Section};
use super::model::Settings;
use super::problem::{Fault, Place, Problem};
use super::syntax::{self, Assignment, Header};
use super::table::KEYS;
use crate::error::{Error, Kind};
use crate::suggest::nearest;

/// Sections and keys with this prefix are for other programs.
const FOREIGN: &str = "X-";

/// A line that has an effect, or would have.
#[derive(Clone, Debug)]
pub struct Line {
    /// The key.
    pub key: &'static Key,
    /// The value as written.
    pub value: String,
    /// Where.
    pub place: Place,
    /// An option of the command line has taken its place.
    pub outranked: bool,
}

/// What the files of one machine say together.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    pub(super) settings: Settings,
    /// Lines that count, in the order of reading.
    pub lines: Vec<Line>,
    /// What keeps the machine from starting.
    pub errors: Vec<Problem>,
    /// What has no effect, and why.
    pub warnings: Vec<Problem>,
}

impl Collected {
    /// Reads a file on top of those before it. Its lines may set every key if it is `trusted`.
    pub(super) fn read(&mut self, file: &Path, content: &[u8], trusted: bool) {
        let file: Arc<Path> = file.into();
        let parsed = syntax::parse(content);
        let mut errors = parsed.faults;
        let mut warnings: Vec<Fault> = parsed.headers.iter().filter_map(foreign_section).collect();
        for assignment in parsed.assignments {
            match find(&assignment) {
                Lookup::Foreign => {}
                Lookup::Outside(fault) => errors.push(fault),
                Lookup::Unknown(fault) => warnings.push(fault),
                Lookup::Known(key) if !trusted && !key.trust.lets_anyone(&assignment.value) => {
                    warnings.push(untrusted(key, &assignment));
                }
                Lookup::Known(key) => {
                    if let Err(fault) = self.assign(key, assignment, &file) {
                        errors.push(fault);
                    }
                }
            }
        }
        self.errors.extend(placed(errors, &file));
        self.warnings.extend(placed(warnings, &file));
    }

    fn assign(
        &mut self,
        key: &'static Key,
        from: Assignment,
        file: &Arc<Path>,
    ) -> Result<(), Fault> {
        let field = (key.field)(&mut self.settings);
        field.assign(&from.value).map_err(|error| {
            let hint = error.advice().map(str::to_owned);
            Fault::new(from.line, format!("{}=: {error}", key.name)).hint(hint)
        })?;
        let is_set = field.is_set();
        if !field.adds_up() || !is_set {
            self.lines.retain(|line| !line.key.is(key));
        }
        if is_set {
            self.lines.push(Line {
                key,
                value: from.value,
                place: Place {
                    file: file.clone(),
                    line: from.line,
                },
                outranked: false,
            });
        }
        Ok(())
    }

    /// Forgets what the files say of a key, since an option says it.
    pub(super) fn outrank(&mut self, key: &Key) {
        (key.field)(&mut self.settings).clear();
        let of_key = self.lines.iter_mut().filter(|line| line.key.is(key));
        of_key.for_each(|line| line.outranked = true);
    }

    /// The first error, if there is one.
    ///
    /// # Errors
    /// [`Kind::BadInput`] with file, line and key.
    pub fn check(&self) -> Result<(), Error> {
        let Some(first) = self.errors.first() else {
            return Ok(());
        };
        let mut what = format!("cannot use settings: {first}");
        if self.errors.len() > 1 {
            what.push_str(&format!(" (and {} more)", self.errors.len() - 1));
        }
        Err(Error::new(Kind::BadInput, what).hint("--settings=no starts without the file"))
    }
}

/// What is wrong in a file, from its top to its end.
fn placed(mut faults: Vec<Fault>, file: &Arc<Path>) -> impl Iterator<Item = Problem> {
    faults.sort_by_key(|fault| fault.line);
    faults.into_iter().map(|fault| Problem {
        place: Place {
            file: file.clone(),
            line: fault.line,
        },
        text: fault.text,
        hint: fault.hint,
    })
}

enum Lookup {
    Known(&'static Key),
    /// Of another program, or in a section that is told of as a whole.
    Foreign,
    Unknown(Fault),
    Outside(Fault),
}

fn section(name: &str) -> Option<Section> {
    Section::ALL
        .into_iter()
        .find(|section| section.name() == name)
}

fn foreign_section(header: &Header) -> Option<Fault> {
    let name = &header.section;
    if name.starts_with(FOREIGN) || section(name).is_some() {
        return None;
    }
    let known = Section::ALL.iter().map(|section| section.name());
    let hint = nearest(name, known).map(|name| format!("did you mean [{name}]?"));
    let text = format!("section [{}] is unknown and ignored", shown(name));
    Some(Fault::new(header.line, text).hint(hint))
}

fn find(assignment: &Assignment) -> Lookup {
    let name = &*assignment.key;
    let Some(in_section) = &assignment.section else {
        let text = format!("{}= is in no section", shown(name));
        let known = KEYS.iter().find(|key| key.name == name);
        let hint = known.map(|key| format!("it belongs to [{}]", key.section.name()));
        return Lookup::Outside(Fault::new(assignment.line, text).hint(hint));
    };
    let Some(in_section) = section(in_section) else {
        return Lookup::Foreign;
    };
    let of_name = |key: &&Key| key.name == name;
    let of_section = |key: &&Key| key.section == in_section;
    if let Some(key) = KEYS.iter().find(|key| of_section(key) && of_name(key)) {
        return Lookup::Known(key);
    }
    if name.starts_with(FOREIGN) {
        return Lookup::Foreign;
    }
    let elsewhere = KEYS.iter().find(of_name);
    let hint = match elsewhere {
        Some(key) => Some(format!("it belongs to [{}]", key.section.name())),
        None => like(name, in_section),
    };
    let text = format!("key {}= is unknown and ignored", shown(name));
    Lookup::Unknown(Fault::new(assignment.line, text).hint(hint))
}

/// What an unknown key of a section was meant to be.
fn like(name: &str, in_section: Section) -> Option<String> {
    let of = |keep: bool| {
        let keys = KEYS
            .iter()
            .filter(move |key| (key.section == in_section) == keep);
        keys.map(|key| key.name)
    };
    if let Some(found) = nearest(name, of(true)) {
        return Some(format!("did you mean {found}=?"));
    }
    let found = nearest(name, of(false))?;
    let key = KEYS.iter().find(|key| key.name == found)?;
    Some(format!(
        "did you mean {found}= of [{}]?",
        key.section.name()
    ))
}

fn untrusted(key: &Key, assignment: &Assignment) -> Fault {
    let text = format!(
        "{}= is ignored: it opens the host, and this file may have come with the image",
        key.name
    );
    let hint = "put the file into /etc/systemd/nspawn, or use --settings=trusted";
    Fault::new(assignment.line, text).hint(Some(hint.into()))
}

/// A name out of a file, short and printable.
fn shown(name: &str) -> String {
    let short: String = name.chars().take(40).collect();
    short.escape_debug().to_string()
}

#[cfg(test)]
mod tests;
