//! The table on the whole screen.

use std::io::{self, Stdout};
use std::time::{Duration, Instant};

use nsrun_runtime::state::State;
use nsrun_runtime::terminal::{FullScreen, Wake};
use nsrun_runtime::{Context, Result};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Row as TableRow, Table, TableState};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use super::table::{HEADINGS, NUMBERS, Row, Tick};
use super::{Column, Order, Watch};

const KEYS: &str = "sort: n c m t i u  reverse: r  look: space  quit: q";

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Quit,
    Suspend,
    Look,
    Redraw,
    Sort(Column),
    Reverse,
    Move(i32),
    Nothing,
}

fn wish(key: KeyEvent) -> Wish {
    if key.kind == KeyEventKind::Release {
        return Wish::Nothing;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if control => Wish::Quit,
        KeyCode::Char('z') if control => Wish::Suspend,
        KeyCode::Char('l') if control => Wish::Redraw,
        KeyCode::Char('q') | KeyCode::Esc => Wish::Quit,
        KeyCode::Char(' ') | KeyCode::Enter => Wish::Look,
        KeyCode::Char('n') => Wish::Sort(Column::Name),
        KeyCode::Char('c') => Wish::Sort(Column::Cpu),
        KeyCode::Char('m') => Wish::Sort(Column::Memory),
        KeyCode::Char('t') => Wish::Sort(Column::Tasks),
        KeyCode::Char('i') => Wish::Sort(Column::Io),
        KeyCode::Char('u') => Wish::Sort(Column::Uptime),
        KeyCode::Char('r') => Wish::Reverse,
        KeyCode::Up | KeyCode::Char('k') => Wish::Move(-1),
        KeyCode::Down | KeyCode::Char('j') => Wish::Move(1),
        KeyCode::PageUp => Wish::Move(-20),
        KeyCode::PageDown => Wish::Move(20),
        KeyCode::Home => Wish::Move(i32::MIN),
        KeyCode::End => Wish::Move(i32::MAX),
        _ => Wish::Nothing,
    }
}

/// Shows the machines until the user has enough, or `count` looks are over.
pub(super) fn show(watch: &mut Watch, delay: Duration, count: u64) -> Result<()> {
    let tick = watch.look()?;
    let screen = FullScreen::enter()?;
    let mut view = View {
        terminal: terminal().cannot(USE)?,
        screen,
        tick,
        state: TableState::default().with_selected(0),
        due: Instant::now() + delay,
    };
    let mut looks = 1;
    let signal = loop {
        view.draw(watch.order)?;
        match view.screen.wait(view.due)? {
            Wake::End(signal) => break signal,
            Wake::Redraw => view.terminal = terminal().cannot(USE)?,
            Wake::Typed => {
                if !view.typed(watch)? {
                    return Ok(());
                }
            }
            Wake::Due if looks == count => return Ok(()),
            Wake::Due => {
                looks += 1;
                view.due = Instant::now() + delay;
                view.tick = watch.look()?;
            }
        }
    };
    view.screen.end(signal);
    Ok(())
}

const USE: fn() -> &'static str = || "use the terminal";

/// The terminal with nothing on it. What ratatui does by itself about another size asks the terminal
/// where its cursor is, and fails with one that does not answer.
fn terminal() -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    let mut backend = CrosstermBackend::new(io::stdout());
    let area = Rect::from((Position::ORIGIN, backend.size()?));
    backend.clear()?;
    let viewport = Viewport::Fixed(area);
    Terminal::with_options(backend, TerminalOptions { viewport })
}

struct View {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    screen: FullScreen,
    tick: Tick,
    state: TableState,
    due: Instant,
}

impl View {
    /// Does what keys ask for; false to quit.
    fn typed(&mut self, watch: &mut Watch) -> Result<bool> {
        let what = || "read a key";
        while event::poll(Duration::ZERO).cannot(what)? {
            let Event::Key(key) = event::read().cannot(what)? else {
                continue;
            };
            match wish(key) {
                Wish::Quit => return Ok(false),
                Wish::Suspend => {
                    self.screen.suspend()?;
                    self.terminal = terminal().cannot(USE)?;
                }
                Wish::Look => self.due = Instant::now(),
                Wish::Redraw => self.terminal = terminal().cannot(USE)?,
                Wish::Sort(column) => watch.order.column = column,
                Wish::Reverse => watch.order.reverse = !watch.order.reverse,
                Wish::Move(rows) => self.go(rows),
                Wish::Nothing => {}
            }
            self.tick.sort(watch.order);
        }
        Ok(true)
    }

    fn go(&mut self, rows: i32) {
        let last = self.tick.machines.len().saturating_sub(1);
        let at = self.state.selected().unwrap_or_default();
        let distance = usize::try_from(rows.unsigned_abs()).unwrap_or(usize::MAX);
        let to = match rows {
            ..0 => at.saturating_sub(distance),
            0.. => at.saturating_add(distance).min(last),
        };
        self.state.select(Some(to));
    }

    fn draw(&mut self, order: Order) -> Result<()> {
        let (tick, state) = (&self.tick, &mut self.state);
        let drawn = self.terminal.draw(|frame| draw(frame, tick, order, state));
        drawn.map(drop).cannot(|| "draw on the terminal")
    }
}

fn draw(frame: &mut Frame<'_>, tick: &Tick, order: Order, state: &mut TableState) {
    let parts = [
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(1),
    ];
    let [head, body, foot] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(Line::from(tick.heading()).bold(), head);
    let cells: Vec<_> = tick.machines.iter().map(Row::cells).collect();
    let columns = columns(&cells, body.width);
    let rows = tick.machines.iter().zip(&cells).map(|(row, cells)| {
        TableRow::new(columns.iter().filter_map(|&(number, _)| {
            let cell = cell(number, cells.get(number)?);
            Some(match number {
                1 => cell.style(Style::new().fg(colour(row.state))),
                _ => cell,
            })
        }))
    });
    let heading = columns.iter().filter_map(|&(number, _)| {
        let cell = cell(number, HEADINGS.get(number)?);
        let sorted = sorted_by(order.column) == number;
        Some(if sorted { cell.reversed() } else { cell })
    });
    let widths = columns.iter().map(|&(_, width)| Constraint::Length(width));
    let table = Table::new(rows, widths)
        .header(TableRow::new(heading).bold())
        .row_highlight_style(Style::new().bold());
    frame.render_stateful_widget(table, body, state);
    let note = match tick.problems.first() {
        Some(problem) => Line::from(problem.to_string()).red(),
        None => Line::from(KEYS).dim(),
    };
    frame.render_widget(note, foot);
}

/// The columns that are shown, with their widths: those that say something, as far as they have
/// room.
fn columns(rows: &[[String; HEADINGS.len()]], room: u16) -> Vec<(usize, u16)> {
    let mut left = usize::from(room);
    let mut columns = Vec::new();
    for (number, heading) in HEADINGS.iter().enumerate() {
        let cells = || rows.iter().filter_map(|row| row.get(number));
        if !rows.is_empty() && cells().all(|cell| cell == "-") {
            continue;
        }
        let widest = cells().map(String::len).max().unwrap_or_default();
        let width = widest.max(heading.len());
        if width > left && number > 0 {
            break;
        }
        left = left.saturating_sub(width + 1);
        columns.push((number, u16::try_from(width).unwrap_or(u16::MAX)));
    }
    columns
}

fn cell(column: usize, text: &str) -> Cell<'_> {
    let text = Text::from(text);
    Cell::from(match NUMBERS.contains(&column) {
        true => text.alignment(Alignment::Right),
        false => text,
    })
}

/// The number of the column with those values.
fn sorted_by(column: Column) -> usize {
    match column {
        Column::Name => 0,
        Column::Tasks => 3,
        Column::Memory => 4,
        Column::Cpu => 5,
        Column::Io => 6,
        Column::Uptime => 8,
    }
}

fn colour(state: State) -> Color {
    match state {
        State::Running => Color::Green,
        State::Starting | State::Stopping | State::Paused => Color::Yellow,
        State::Orphaned | State::Dead => Color::Red,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_sort_and_controls_do_not() {
        let key = |code, modifiers| wish(KeyEvent::new(code, modifiers));
        let plain = KeyModifiers::NONE;
        assert_eq!(key(KeyCode::Char('c'), plain), Wish::Sort(Column::Cpu));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Wish::Quit);
        assert_eq!(
            key(KeyCode::Char('z'), KeyModifiers::CONTROL),
            Wish::Suspend
        );
        assert_eq!(key(KeyCode::Char('z'), plain), Wish::Nothing);
    }

    #[test]
    fn columns_are_shown_that_say_something_and_have_room() {
        let row = |name: &str| {
            let mut row = ["-"; HEADINGS.len()].map(str::to_owned);
            row[0] = name.to_owned();
            row[5] = "12.5".to_owned();
            row[8] = "01:02:03".to_owned();
            row
        };
        let rows = [row("web"), row("a-longer-name")];
        assert_eq!(columns(&rows, 80), [(0, 13), (5, 4), (8, 8)]);
        assert_eq!(columns(&rows, 20), [(0, 13), (5, 4)]);
        assert_eq!(columns(&rows, 5), [(0, 13)]);
        assert_eq!(columns(&[], 200).len(), HEADINGS.len());
    }
}
