//! Figures, ratios and targets.

use std::time::Duration;

/// Samples of the tools that one thing was measured with; the first is nsrun.
#[derive(Debug)]
pub(crate) struct Race {
    title: String,
    samples: Vec<(&'static str, Vec<Duration>)>,
}

impl Race {
    pub(crate) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            samples: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, tool: &'static str, sample: Duration) {
        match self.samples.iter_mut().find(|(name, _)| *name == tool) {
            Some((_, samples)) => samples.push(sample),
            None => self.samples.push((tool, vec![sample])),
        }
    }

    fn p50(&self, tool: &str) -> Option<Duration> {
        let (_, samples) = self.samples.iter().find(|(name, _)| *name == tool)?;
        let mut sorted = samples.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

/// What is printed, and how many targets were missed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    met: usize,
    missed: usize,
}

impl Report {
    /// Prints the race's figures.
    pub(crate) fn race(&self, race: &Race) {
        let count = race.samples.first().map_or(0, |(_, samples)| samples.len());
        println!("\n{} ({count} rounds, interleaved)", race.title);
        let ours = race.p50("nsrun");
        for (tool, samples) in &race.samples {
            let least = samples.iter().min().copied().unwrap_or_default();
            let p50 = race.p50(tool).unwrap_or_default();
            let ratio = ours.map_or(String::new(), |ours| {
                format!(
                    "  nsrun is {:.2} of it",
                    ours.as_secs_f64() / p50.as_secs_f64()
                )
            });
            println!(
                "  {tool:<28} p50 {:>9}  min {:>9}{}",
                milliseconds(p50),
                milliseconds(least),
                if *tool == "nsrun" { "" } else { &ratio }
            );
        }
    }

    /// nsrun takes at most `factor` of what `tool` takes, less `margin`.
    pub(crate) fn target(&mut self, race: &Race, tool: &str, factor: f64, margin: Duration) {
        let (Some(ours), Some(theirs)) = (race.p50("nsrun"), race.p50(tool)) else {
            return;
        };
        let limit = theirs.mul_f64(factor).saturating_sub(margin);
        let less = if margin.is_zero() {
            String::new()
        } else {
            format!(" - {}", milliseconds(margin))
        };
        self.check(
            &format!("{}: at most {factor} x {tool}{less}", race.title),
            ours <= limit,
            &format!("{} of {}", milliseconds(ours), milliseconds(limit)),
        );
    }

    /// nsrun takes at most `limit`.
    pub(crate) fn within(&mut self, race: &Race, limit: Duration) {
        if let Some(ours) = race.p50("nsrun") {
            let what = format!("{}: at most {}", race.title, milliseconds(limit));
            self.check(&what, ours <= limit, &milliseconds(ours));
        }
    }

    /// A target of any kind.
    pub(crate) fn check(&mut self, what: &str, met: bool, figures: &str) {
        let word = if met { "met   " } else { "MISSED" };
        println!("  target {word} {what}: {figures}");
        if met {
            self.met += 1;
        } else {
            self.missed += 1;
        }
    }

    /// Prints the sum; the number of missed targets.
    pub(crate) fn close(&self) -> usize {
        println!("\n{} targets met, {} missed", self.met, self.missed);
        self.missed
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
