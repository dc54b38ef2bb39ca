//! How far something long has come: a bar on a terminal, a line per tenth otherwise.

use crate::globals::Globals;
use crate::report;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nsrun_runtime::MachineName;
use nsrun_runtime::image::{ImageName, Place, import};

/// Shows progress on stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Nothing,
    Bar(ProgressBar, &'static str),
    Lines {
        what: String,
        tenths: u64,
    },
    /// A line for each hundredth, as importctl prints them.
    Hundredths {
        done: &'static str,
        shown: u64,
    },
}

/// What the bar of an import says once its length is known.
const BYTES: &str = "{prefix} [{bar:30}] {percent}% {binary_bytes_per_sec} eta {eta}";

/// The same of a change of owners.
const FILES: &str = "{prefix} [{bar:30}] {percent}% {pos} of {len} files eta {eta}";

impl Progress {
    /// For an import of the image `name`.
    pub(crate) fn of_import(name: &MachineName, globals: &Globals) -> Self {
        if let Some(progress) = Self::of_peer("Imported", globals) {
            return progress;
        }
        let begin = "{prefix} {binary_bytes} {binary_bytes_per_sec}";
        Self::new(format!("importing {name}"), begin, BYTES, globals.quiet)
    }

    /// For a copy of the image `name`.
    pub(crate) fn of_clone(name: &ImageName, quiet: bool) -> Self {
        let begin = "{prefix} {binary_bytes} {binary_bytes_per_sec}";
        Self::new(format!("cloning {name}"), begin, BYTES, quiet)
    }

    /// For writing the image `name` as an archive.
    pub(crate) fn of_export(name: &ImageName, globals: &Globals) -> Self {
        if let Some(progress) = Self::of_peer("Exported", globals) {
            return progress;
        }
        let begin = "{prefix} {binary_bytes} {binary_bytes_per_sec}";
        Self::new(format!("exporting {name}"), begin, BYTES, globals.quiet)
    }

    /// For a copy of what is at `place`.
    pub(crate) fn of_copy(place: &Place, quiet: bool) -> Self {
        let begin = "{prefix} {binary_bytes} {binary_bytes_per_sec}";
        Self::new(format!("copying {place}"), begin, BYTES, quiet)
    }

    /// For a change of the owners of the machine `name`'s files.
    pub(crate) fn of_owners(name: &MachineName, quiet: bool) -> Self {
        Self::new(format!("changing owners of {name}"), FILES, FILES, quiet)
    }

    /// In the words of whichever program this one was called as, if it was.
    fn of_peer(done: &'static str, globals: &Globals) -> Option<Self> {
        let speaks = globals.peer.is_some() && !globals.quiet;
        let shown = Shown::Hundredths { done, shown: 0 };
        speaks.then_some(Self { shown })
    }

    fn new(what: String, begin: &str, template: &'static str, quiet: bool) -> Self {
        let shown = if quiet {
            Shown::Nothing
        } else if std::io::stderr().is_terminal() {
            Shown::Bar(bar(what, begin), template)
        } else {
            Shown::Lines { what, tenths: 0 }
        };
        Self { shown }
    }

    /// Shows that `done` are done.
    pub(crate) fn advance(&mut self, done: u64, total: Option<u64>) {
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar, template) => {
                if total.is_some() && bar.length() != total {
                    bar.set_length(total.unwrap_or_default());
                    bar.set_style(style(template));
                }
                bar.set_position(done);
            }
            Shown::Hundredths { done: word, shown } => {
                let now = parts_of(100, done, total);
                if now > *shown {
                    *shown = now;
                    report::note(format_args!("{word} {now}%."));
                }
            }
            Shown::Lines { what, tenths } => {
                let now = parts_of(10, done, total);
                // A log is read by tenths, also when a busy machine takes two of them at once.
                while *tenths < now {
                    *tenths += 1;
                    report::note(format_args!("{what}: {}%", *tenths * 10));
                }
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        drop(self);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar, _) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: String, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_prefix(what);
    bar.set_style(style(template));
    bar
}

fn style(template: &str) -> ProgressStyle {
    // Templates are constants; a bad one shows as the default bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl import::Progress for Progress {
    fn advanced(&mut self, read: u64, total: Option<u64>) {
        self.advance(read, total);
    }
}

/// How many whole parts of `count` are done; 0 if the total is not known.
fn parts_of(count: u64, read: u64, total: Option<u64>) -> u64 {
    match total {
        None | Some(0) => 0,
        Some(total) => read.saturating_mul(count) / total,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_and_need_a_total() {
        assert_eq!(parts_of(10, 19, Some(100)), 1);
        assert_eq!(parts_of(100, 199, Some(1000)), 19);
        assert_eq!(parts_of(10, 100, Some(100)), 10);
        assert_eq!(parts_of(100, 5, Some(0)), 0);
        assert_eq!(parts_of(100, 5, None), 0);
    }
}
