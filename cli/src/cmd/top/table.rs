//! One look at all machines, as rows.

use std::cmp::Ordering;
use std::net::IpAddr;

use comfy_table::{CellAlignment, Table, presets};
use nsrun_runtime::machine::Sample;
use nsrun_runtime::state::State;
use nsrun_runtime::{Error, MachineName};
use serde::Serialize;

use super::{Column, Order};
use crate::format::{bytes, uptime};

/// Headings of the columns.
pub(super) const HEADINGS: [&str; 10] = [
    "MACHINE",
    "STATE",
    "LEADER",
    "TASKS",
    "MEMORY",
    "CPU%",
    "READ/S",
    "WRITE/S",
    "UPTIME",
    "ADDRESSES",
];

/// The columns of numbers, which are set to the right.
pub(super) const NUMBERS: std::ops::Range<usize> = 2..9;

/// What a machine used of late. What nothing counts is `None`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    name: MachineName,
    pub(super) state: State,
    leader: Option<i32>,
    tasks: Option<u64>,
    memory_bytes: Option<u64>,
    cpu_percent: Option<f64>,
    cpu_usec: Option<u64>,
    io_read_bytes_per_sec: Option<u64>,
    io_write_bytes_per_sec: Option<u64>,
    uptime_usec: Option<u64>,
    addresses: Vec<IpAddr>,
}

impl Row {
    /// By what was seen `now` and `before`; a machine that is new is seen from its start on.
    pub(super) fn new(now: &Sample, before: Option<&Sample>) -> Self {
        let before = before
            .filter(|before| before.leader == now.leader && before.uptime_usec < now.uptime_usec);
        let elapsed = now.uptime_usec.map(|uptime| {
            uptime
                - before
                    .and_then(|before| before.uptime_usec)
                    .unwrap_or_default()
        });
        let elapsed = elapsed.filter(|&elapsed| elapsed > 0);
        let gone = |value: fn(&Sample) -> Option<u64>| {
            let was = before.and_then(value).unwrap_or_default();
            Some((value(now)?.saturating_sub(was), elapsed?))
        };
        let rate = |value| {
            let (amount, elapsed) = gone(value)?;
            u64::try_from(u128::from(amount) * 1_000_000 / u128::from(elapsed)).ok()
        };
        Self {
            name: now.summary.name.clone(),
            state: now.summary.state,
            leader: now.leader,
            tasks: now.usage.tasks,
            memory_bytes: now.usage.memory_bytes,
            cpu_percent: gone(|sample| sample.usage.cpu_usec).map(percent),
            cpu_usec: now.usage.cpu_usec,
            io_read_bytes_per_sec: rate(|sample| sample.usage.io_read_bytes),
            io_write_bytes_per_sec: rate(|sample| sample.usage.io_write_bytes),
            uptime_usec: now.uptime_usec,
            addresses: now.summary.addresses.clone(),
        }
    }

    fn io(&self) -> Option<u64> {
        let (read, written) = (self.io_read_bytes_per_sec, self.io_write_bytes_per_sec);
        Some(read?.saturating_add(written?))
    }

    /// Its cells, under [`HEADINGS`].
    pub(super) fn cells(&self) -> [String; HEADINGS.len()] {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        [
            self.name.to_string(),
            self.state.to_string(),
            or_dash(self.leader.map(|pid| pid.to_string())),
            or_dash(self.tasks.map(|tasks| tasks.to_string())),
            or_dash(self.memory_bytes.map(bytes)),
            or_dash(self.cpu_percent.map(|percent| format!("{percent:.1}"))),
            or_dash(self.io_read_bytes_per_sec.map(bytes)),
            or_dash(self.io_write_bytes_per_sec.map(bytes)),
            or_dash(self.uptime_usec.map(uptime)),
            or_dash((!addresses.is_empty()).then(|| addresses.join(" "))),
        ]
    }

    fn compare(&self, other: &Self, column: Column) -> Ordering {
        let (name, cpu) = (self.name.cmp(&other.name), |row: &Self| {
            row.cpu_percent.unwrap_or(-1.0)
        });
        let order = match column {
            Column::Name => return name,
            Column::Cpu => cpu(other).total_cmp(&cpu(self)),
            Column::Memory => other.memory_bytes.cmp(&self.memory_bytes),
            Column::Tasks => other.tasks.cmp(&self.tasks),
            Column::Io => other.io().cmp(&self.io()),
            Column::Uptime => other.uptime_usec.cmp(&self.uptime_usec),
        };
        order.then(name)
    }
}

/// To a tenth, as it is shown.
#[expect(
    clippy::cast_precision_loss,
    reason = "the loss is far below a tenth of a percent"
)]
fn percent((used, elapsed): (u64, u64)) -> f64 {
    (used as f64 / elapsed as f64 * 1000.0).round() / 10.0
}

/// One look.
#[derive(Debug, Serialize)]
pub(super) struct Tick {
    /// When, in RFC 3339.
    time: String,
    pub(super) machines: Vec<Row>,
    #[serde(skip)]
    pub(super) problems: Vec<Error>,
    #[serde(skip)]
    clock: String,
}

impl Tick {
    pub(super) fn new(machines: Vec<Row>, problems: Vec<Error>) -> Self {
        let now = jiff::ZonedDateTime::now();
        Self {
            time: now.strftime("%FT%T%:z").to_string(),
            clock: now.strftime("%T").to_string(),
            machines,
            problems,
        }
    }

    pub(super) fn sort(&mut self, order: Order) {
        self.machines.sort_by(|one, other| {
            let sorted = one.compare(other, order.column);
            if order.reverse {
                sorted.reverse()
            } else {
                sorted
            }
        });
    }

    /// `18:30:05  3 machines, 45 tasks, CPU 12.5%`.
    pub(super) fn heading(&self) -> String {
        let count = self.machines.len();
        let machines = if count == 1 { "machine" } else { "machines" };
        let tasks: u64 = self.machines.iter().filter_map(|row| row.tasks).sum();
        let cpu = self.machines.iter().filter_map(|row| row.cpu_percent);
        // The sum of nothing would be -0.
        let cpu = cpu.fold(0.0, |sum, percent| sum + percent);
        let memory = self.machines.iter().map(|row| row.memory_bytes);
        let memory = memory.sum::<Option<u64>>().filter(|&bytes| bytes > 0);
        let memory = memory.map_or_else(String::new, |sum| format!(", memory {}", bytes(sum)));
        format!(
            "{}  {count} {machines}, {tasks} tasks, CPU {cpu:.1}%{memory}",
            self.clock
        )
    }

    /// The rows under their headings.
    pub(super) fn text(&self) -> String {
        let mut table = Table::new();
        *table.style_mut() = presets::NOTHING;
        table.set_header(HEADINGS);
        for row in &self.machines {
            table.add_row(row.cells());
        }
        for (number, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 1));
            if NUMBERS.contains(&number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nsrun_runtime::facts::Release;
    use nsrun_runtime::machine::Summary;

    const SECOND: u64 = 1_000_000;

    fn sample(name: &str, uptime: u64, cpu: u64) -> Sample {
        Sample {
            summary: Summary {
                name: name.parse().unwrap(),
                class: "container".to_owned(),
                state: State::Running,
                release: Release::default(),
                addresses: vec!["10.0.0.2".parse().unwrap()],
                ports: Vec::new(),
                enabled: false,
            },
            leader: Some(7),
            uptime_usec: Some(uptime * SECOND),
            usage: nsrun_runtime::cgroup::Stats {
                cpu_usec: Some(cpu * SECOND),
                ..Default::default()
            },
        }
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let mut before = sample("a", 10, 5);
        let mut now = sample("a", 12, 6);
        before.usage.io_read_bytes = Some(1000);
        now.usage.io_read_bytes = Some(5000);
        let row = Row::new(&now, Some(&before));
        assert_eq!(
            (row.cpu_percent, row.io_read_bytes_per_sec),
            (Some(50.0), Some(2000))
        );
        assert_eq!(row.io_write_bytes_per_sec, None);
        let cells = row.cells();
        assert_eq!((&*cells[4], &*cells[5], &*cells[6]), ("-", "50.0", "1.9K"));
    }

    #[test]
    fn a_machine_that_is_new_or_has_rebooted_is_seen_from_its_start_on() {
        assert_eq!(Row::new(&sample("a", 10, 1), None).cpu_percent, Some(10.0));
        let mut other = sample("a", 8, 8);
        other.leader = Some(8);
        let row = Row::new(&sample("a", 10, 1), Some(&other));
        assert_eq!(row.cpu_percent, Some(10.0));
        let later = sample("a", 20, 9);
        assert_eq!(
            Row::new(&sample("a", 10, 1), Some(&later)).cpu_percent,
            Some(10.0)
        );
        let less = Row::new(&sample("a", 10, 1), Some(&sample("a", 9, 5)));
        assert_eq!(less.cpu_percent, Some(0.0));
        assert_eq!(Row::new(&sample("a", 0, 0), None).cpu_percent, None);
    }

    #[test]
    fn amounts_come_in_descending_order_and_names_in_ascending() {
        let rows =
            [("b", 2), ("a", 1), ("c", 2)].map(|(n, cpu)| Row::new(&sample(n, 10, cpu), None));
        let mut tick = Tick::new(rows.to_vec(), Vec::new());
        let mut names = |column, reverse| {
            tick.sort(Order { column, reverse });
            let names = tick.machines.iter().map(|row| row.name.to_string());
            names.collect::<String>()
        };
        assert_eq!(names(Column::Cpu, false), "bca");
        assert_eq!(names(Column::Cpu, true), "acb");
        assert_eq!(names(Column::Name, false), "abc");
        assert_eq!(names(Column::Memory, false), "abc", "all are the same");
    }

    #[test]
    fn the_text_has_a_line_for_each_and_a_sum() {
        let rows = vec![
            Row::new(&sample("a", 10, 1), None),
            Row::new(&sample("b", 10, 2), None),
        ];
        let tick = Tick::new(rows, Vec::new());
        assert!(tick.heading().ends_with("  2 machines, 0 tasks, CPU 30.0%"));
        let text = tick.text();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.starts_with("MACHINE STATE   LEADER"), "{text}");
        let none = Tick::new(Vec::new(), Vec::new());
        assert_eq!(none.text().lines().count(), 1);
    }
}
