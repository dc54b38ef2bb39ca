//! How far an import has come: a bar on a terminal, a line per tenth otherwise.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nsrun_runtime::{MachineName, image::import};

/// Shows progress on stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines { name: String, tenths: u64 },
}

impl Progress {
    /// For an import of the image `name`.
    pub(crate) fn new(name: &MachineName, quiet: bool) -> Self {
        let shown = if quiet {
            Shown::Nothing
        } else if std::io::stderr().is_terminal() {
            Shown::Bar(bar(name))
        } else {
            Shown::Lines {
                name: name.to_string(),
                tenths: 0,
            }
        };
        Self { shown }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        drop(self);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(name: &MachineName) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_prefix(name.to_string());
    bar.set_style(style("{prefix} {binary_bytes} {binary_bytes_per_sec}"));
    bar
}

fn style(template: &str) -> ProgressStyle {
    // Templates are constants; a bad one shows as the default bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl import::Progress for Progress {
    fn advanced(&mut self, read: u64, total: Option<u64>) {
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                if total.is_some() && bar.length() != total {
                    bar.set_length(total.unwrap_or_default());
                    bar.set_style(style(
                        "{prefix} [{bar:30}] {percent}% {binary_bytes_per_sec} eta {eta}",
                    ));
                }
                bar.set_position(read);
            }
            Shown::Lines { name, tenths } => {
                let now = tenths_of(read, total);
                if now > *tenths {
                    *tenths = now;
                    eprintln!("importing {name}: {}%", now * 10);
                }
            }
        }
    }
}

/// Whole tenths that are done; 0 if the total is not known.
fn tenths_of(read: u64, total: Option<u64>) -> u64 {
    match total {
        None | Some(0) => 0,
        Some(total) => read.saturating_mul(10) / total,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_are_whole_and_need_a_total() {
        assert_eq!(tenths_of(19, Some(100)), 1);
        assert_eq!(tenths_of(100, Some(100)), 10);
        assert_eq!(tenths_of(5, Some(0)), 0);
        assert_eq!(tenths_of(5, None), 0);
    }
}
