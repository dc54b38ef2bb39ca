//! Reading what a machine in the background wrote to its console.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::time::Duration;

use super::control::state;
use super::printer::Printer;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;
use crate::supervise::{Period, before, times_of, within};

/// How often a log that is followed is looked at. A person does not see the difference.
const GLANCE: Duration = Duration::from_millis(100);

/// Whether to wait for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// What there is now.
    No,
    /// Whatever comes until the machine has ended.
    UntilItsEnd,
}

/// Which part of a log is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Excerpt {
    /// So many of the last lines; all if not said.
    pub lines: Option<usize>,
    /// What was written then.
    pub period: Period,
    /// Whether to go on.
    pub follow: Follow,
}

/// Writes the console's log to standard output, or a part of it. What could change the user's
/// terminal is left out. With a period, what was put aside counts too.
///
/// # Errors
/// [`Kind::NotFound`] if there is no log of that name; if it cannot be read or written.
pub fn console_log(dirs: &Dirs, name: &MachineName, excerpt: Excerpt) -> Result<()> {
    let path = dirs.console_log(name);
    let what = || format!("read {}", path.display());
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(none(name)),
        opened => opened.cannot(what)?,
    };
    let mut content = Vec::new();
    file.read_to_end(&mut content).cannot(what)?;
    let content = match excerpt.period {
        period if period.is_all() => content,
        period => of_period(&path, &content, period).cannot(what)?,
    };
    let mut printer = Printer::default();
    let mut wanted = printer.print(last_lines(&content, excerpt.lines))?;
    while wanted && excerpt.follow == Follow::UntilItsEnd {
        let running = state(dirs, name)?.is_some();
        let mut more = Vec::new();
        file.read_to_end(&mut more).cannot(what)?;
        wanted = printer.print(&more)?;
        if more.is_empty() {
            if !running {
                break;
            }
            if was_put_aside(&mut file, &path).cannot(what)? {
                file = File::open(&path).cannot(what)?;
                continue;
            }
            std::thread::sleep(GLANCE);
        }
    }
    Ok(())
}

/// What was written within the period to the log at `path`, whose content is known, and before
/// that to the one that was put aside.
fn of_period(path: &Path, content: &[u8], period: Period) -> io::Result<Vec<u8>> {
    let older = before(path);
    let old_content = or_nothing(std::fs::read(&older))?;
    let times = |path: &Path| or_nothing(std::fs::read_to_string(times_of(path)));
    let mut wanted = within(&old_content, &times(&older)?, period).to_vec();
    wanted.extend(within(content, &times(path)?, period));
    Ok(wanted)
}

fn or_nothing<T: Default>(read: io::Result<T>) -> io::Result<T> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        other => other,
    }
}

/// Whether another file has the name of the one that is read.
fn was_put_aside(file: &mut File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (ours, now) = (file.metadata()?, std::fs::metadata(path)?);
    let end = file.stream_position()? >= ours.len();
    Ok(end && (ours.dev(), ours.ino()) != (now.dev(), now.ino()))
}

fn none(name: &MachineName) -> Error {
    Error::new(Kind::NotFound, format!("there is no console log of {name}"))
        .hint("`nsrun start` keeps one; `nsrun boot` shows the console where it was started")
}

fn last_lines(content: &[u8], lines: Option<usize>) -> &[u8] {
    let Some(lines) = lines else {
        return content;
    };
    let body = content.strip_suffix(b"\n").unwrap_or(content);
    let mut ends = body
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n');
    match lines.checked_sub(1) {
        None => &[],
        Some(skipped) => {
            let start = ends.nth(skipped).map_or(0, |(at, _)| at + 1);
            content.get(start..).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_counted_from_the_end() {
        let content = b"one\ntwo\nthree\n";
        let last = |lines| String::from_utf8(last_lines(content, lines).to_vec()).unwrap();
        assert_eq!(last(None), "one\ntwo\nthree\n");
        assert_eq!(last(Some(0)), "");
        assert_eq!(last(Some(1)), "three\n");
        assert_eq!(last(Some(2)), "two\nthree\n");
        assert_eq!(last(Some(9)), "one\ntwo\nthree\n");
        assert_eq!(last_lines(b"a\nb", Some(1)), b"b");
    }
}
