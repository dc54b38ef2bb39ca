//! The messages between a console and those who attach to it: one byte for the kind, then the rest.

/// What a viewer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromViewer<'a> {
    /// It wants to write; with `take` also if another does.
    Write { take: bool },
    /// This was typed.
    Typed(&'a [u8]),
    /// Its terminal has this size.
    Size { rows: u16, columns: u16 },
}

/// What a viewer is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToViewer<'a> {
    /// The machine wrote this.
    Output(&'a [u8]),
    /// So many bytes were not taken in time.
    Lost(u64),
    /// Whether it may write from now on.
    Writes(bool),
}

/// What a viewer's message means; `None` if it means nothing.
pub(crate) fn decode(message: &[u8]) -> Option<FromViewer<'_>> {
    match message {
        [b'w', take] => Some(FromViewer::Write { take: *take != 0 }),
        [b'i', typed @ ..] => Some(FromViewer::Typed(typed)),
        [b's', a, b, c, d] => Some(FromViewer::Size {
            rows: u16::from_be_bytes([*a, *b]),
            columns: u16::from_be_bytes([*c, *d]),
        }),
        _ => None,
    }
}

/// What a message to a viewer means; `None` if it means nothing.
pub(crate) fn decode_for_viewer(message: &[u8]) -> Option<ToViewer<'_>> {
    match message {
        [b'o', bytes @ ..] => Some(ToViewer::Output(bytes)),
        [b'l', count @ ..] => Some(ToViewer::Lost(u64::from_be_bytes(count.try_into().ok()?))),
        [b'g', writes] => Some(ToViewer::Writes(*writes != 0)),
        _ => None,
    }
}

/// A wish to write.
pub(crate) fn write(take: bool) -> [u8; 2] {
    [b'w', u8::from(take)]
}

/// What was typed.
pub(crate) fn typed(bytes: &[u8]) -> Vec<u8> {
    with_kind(b'i', bytes)
}

/// The size of a viewer's terminal.
pub(crate) fn size(rows: u16, columns: u16) -> [u8; 5] {
    let ([a, b], [c, d]) = (rows.to_be_bytes(), columns.to_be_bytes());
    [b's', a, b, c, d]
}

/// What the machine wrote.
pub(crate) fn output(bytes: &[u8]) -> Vec<u8> {
    with_kind(b'o', bytes)
}

/// How much a viewer has missed.
pub(crate) fn lost(count: u64) -> Vec<u8> {
    with_kind(b'l', &count.to_be_bytes())
}

/// Whether a viewer may write.
pub(crate) fn greeting(writes: bool) -> [u8; 2] {
    [b'g', u8::from(writes)]
}

fn with_kind(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(kind);
    message.extend_from_slice(bytes);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        assert_eq!(decode(&write(true)), Some(FromViewer::Write { take: true }));
        assert_eq!(decode(&typed(b"ls\n")), Some(FromViewer::Typed(b"ls\n")));
        let (rows, columns) = (24, 300);
        assert_eq!(
            decode(&size(rows, columns)),
            Some(FromViewer::Size { rows, columns })
        );
        assert_eq!(
            decode_for_viewer(&output(b"hi")),
            Some(ToViewer::Output(b"hi"))
        );
        assert_eq!(decode_for_viewer(&lost(300)), Some(ToViewer::Lost(300)));
        assert_eq!(
            decode_for_viewer(&greeting(true)),
            Some(ToViewer::Writes(true))
        );
    }

    #[test]
    fn nonsense_is_nothing() {
        for message in [&b""[..], b"w", b"w01", b"s123", b"s12345", b"x", b"o"] {
            let for_console = decode(message);
            assert!(for_console.is_none(), "{message:?}: {for_console:?}");
        }
        for message in [&b""[..], b"l1", b"g", b"i"] {
            assert_eq!(decode_for_viewer(message), None);
        }
    }
}
