//! Tables as systemd's tools print them, for people or as JSON.

use serde_json::{Map, Value};

/// How a table is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// Leave out the heading and the count.
    pub(super) no_legend: bool,
    /// Print JSON, on one line or several.
    pub(super) json: Option<Json>,
    /// Show what is hidden.
    pub(super) all: bool,
    /// How many addresses of a machine are shown.
    pub(super) addresses: Addresses,
}

/// How many addresses of a machine are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    /// So many; with none there is no column for them.
    Some(usize),
    /// All.
    All,
}

impl Default for Addresses {
    fn default() -> Self {
        Self::Some(1)
    }
}

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// On one line.
    Short,
    /// For reading.
    Pretty,
}

/// What a field holds.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// For people; may have several lines.
    pub(super) text: String,
    /// For programs.
    pub(super) value: Value,
}

impl Cell {
    /// Text that is the same for both; `-` for people and null for programs if there is none.
    pub(super) fn of(text: Option<&str>) -> Self {
        match text {
            None | Some("") => Self {
                text: "-".to_owned(),
                value: Value::Null,
            },
            Some(text) => Self {
                text: text.to_owned(),
                value: text.into(),
            },
        }
    }
}

/// The lines of a table of `things`.
pub(super) fn lines(style: Style, things: &str, head: &[&str], rows: &[Vec<Cell>]) -> Vec<String> {
    if let Some(json) = style.json {
        return vec![as_json(json, head, rows)];
    }
    let mut lines = Vec::new();
    if rows.is_empty() {
        if !style.no_legend {
            lines.push(format!("No {things}."));
        }
        return lines;
    }
    let heading = head.iter().map(|name| vec![*name]).collect();
    let cells = |row: &'_ Vec<Cell>| -> Vec<Vec<String>> {
        let split = |cell: &Cell| cell.text.lines().map(str::to_owned).collect();
        row.iter().map(split).collect()
    };
    let mut all: Vec<Vec<Vec<String>>> = Vec::new();
    if !style.no_legend {
        let owned = |cell: Vec<&str>| cell.into_iter().map(str::to_owned).collect();
        let heading: Vec<Vec<&str>> = heading;
        all.push(heading.into_iter().map(owned).collect());
    }
    all.extend(rows.iter().map(cells));
    lines.extend(layout(&all));
    if !style.no_legend {
        lines.push(String::new());
        lines.push(format!("{} {things} listed.", rows.len()));
    }
    lines
}

/// Columns are as wide as their widest cell, and have one blank between them.
fn layout(rows: &[Vec<Vec<String>>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).flatten();
        cells.map(|line| columns_of(line)).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut lines = Vec::new();
    for row in rows {
        let height = row.iter().map(Vec::len).max().unwrap_or_default();
        for level in 0..height {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let text = cell.get(level).map_or("", String::as_str);
                let blanks = width.saturating_sub(columns_of(text)) + 1;
                line.push_str(text);
                line.extend(std::iter::repeat_n(' ', blanks));
            }
            lines.push(line.trim_end().to_owned());
        }
    }
    lines
}

fn columns_of(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

fn as_json(json: Json, head: &[&str], rows: &[Vec<Cell>]) -> String {
    let object = |row: &Vec<Cell>| {
        let names = head.iter().map(|name| name.to_ascii_lowercase());
        let values = row.iter().map(|cell| cell.value.clone());
        Value::Object(names.zip(values).collect::<Map<_, _>>())
    };
    let all = Value::Array(rows.iter().map(object).collect());
    match json {
        Json::Short => all.to_string(),
        Json::Pretty => format!("{all:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<Cell>> {
        let cell = |text: &str| Cell::of(Some(text));
        vec![
            vec![cell("web"), cell("10.0.0.2\nfe80::1"), cell("x")],
            vec![cell("longer-name"), Cell::of(None), cell("y")],
        ]
    }

    #[test]
    fn columns_are_aligned_and_a_cell_may_have_lines() {
        let head = ["MACHINE", "ADDRESSES", "OS"];
        let lines = lines(Style::default(), "machines", &head, &rows());
        let wanted = [
            "MACHINE     ADDRESSES OS",
            "web         10.0.0.2  x",
            "            fe80::1",
            "longer-name -         y",
            "",
            "2 machines listed.",
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn without_legend_there_are_rows_only() {
        let style = Style {
            no_legend: true,
            ..Style::default()
        };
        assert_eq!(lines(style, "machines", &["A"], &[]), Vec::<String>::new());
        assert_eq!(
            lines(style, "machines", &["A"], &rows()[1..]),
            ["longer-name - y"]
        );
        assert_eq!(
            lines(Style::default(), "images", &["A"], &[]),
            ["No images."]
        );
    }

    #[test]
    fn json_has_the_columns_as_keys() {
        let style = Style {
            json: Some(Json::Short),
            ..Style::default()
        };
        let head = ["MACHINE", "ADDRESSES", "OS"];
        let lines = lines(style, "machines", &head, &rows()[1..]);
        let wanted = r#"[{"addresses":null,"machine":"longer-name","os":"y"}]"#;
        assert_eq!(lines, [wanted]);
    }
}
