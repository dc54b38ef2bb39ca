use super::*;
use proptest::prelude::*;

fn filtered(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Screen::default().feed(bytes, &mut out);
    out
}

#[track_caller]
fn passes(bytes: &[u8]) {
    assert_eq!(filtered(bytes), bytes, "{}", bytes.escape_ascii());
}

/// Framed by text, to see that the filter is back where it was.
#[track_caller]
fn drops(bytes: &[u8]) {
    let framed = [b"<", bytes, b">"].concat();
    assert_eq!(filtered(&framed), b"<>", "{}", bytes.escape_ascii());
}

#[test]
fn text_passes() {
    passes(b"nixos login: \r\n\tok\x07\x08");
    passes("Grüße, Привет, 日本, 🙂, é, \u{a0}".as_bytes());
}

#[test]
fn bytes_that_look_like_controls_pass_within_a_character() {
    // U+041B ends in 0x9b, which alone is a control sequence introducer.
    passes("Л".as_bytes());
}

#[test]
fn colours_cursor_and_modes_pass() {
    for sequence in [
        &b"\x1b[1;31m"[..],
        b"\x1b[0;38;2;1;2;3m",
        b"\x1b[2J\x1b[H\x1b[10;20f",
        b"\x1b[?1049h\x1b[?25l\x1b[?2004h",
        b"\x1b[1;24r\x1b7\x1b8\x1bM",
        b"\x1b(0\x1b(B\x1b#8",
        b"\x1b[6n",
        b"\x1b[c",
        b"\x1b[>c",
        b"\x1b[4 q",
        b"\x1b[!p",
        b"\x1b[?2026$p",
        b"\x1b[>1u\x1b[<u",
        b"\x1bc",
    ] {
        passes(sequence);
    }
}

#[test]
fn what_makes_the_terminal_type_is_dropped() {
    for request in [
        &b"\x1b[21t"[..],
        b"\x1b[20t",
        b"\x1b[8;1;1t",
        b"\x1b[>0q",
        b"\x1b[=c",
        b"\x1b[x",
        b"\x1b[?15n",
        b"\x1b[1;1;1;1;1;1*y",
        b"\x1bZ",
        b"\x05",
        b"\x1bP$qm\x1b\\",
        b"\x1bP+q544e\x1b\\",
    ] {
        drops(request);
    }
}

#[test]
fn title_clipboard_links_and_printing_are_dropped() {
    for string in [
        &b"\x1b]0;evil\x07"[..],
        b"\x1b]2;evil\x1b\\",
        b"\x1b]52;c;cm0gLXJmIH4=\x07",
        b"\x1b]8;;http://example.org/\x1b\\",
        b"\x1b]11;?\x07",
        b"\x1b_payload\x1b\\",
        b"\x1b^payload\x1b\\",
        b"\x1bXpayload\x1b\\",
        b"\x1b[5i",
        b"\x1b%@",
    ] {
        drops(string);
    }
}

#[test]
fn eight_bit_controls_are_dropped() {
    // CSI, OSC and DCS of one byte, alone and as UTF-8. What follows is then plain text.
    assert_eq!(filtered(b"\x9b21t"), b"21t");
    assert_eq!(filtered("\u{9b}21t".as_bytes()), b"21t");
    assert_eq!(filtered("\u{90}$qm".as_bytes()), b"$qm");
}

#[test]
fn the_linux_palette_has_no_terminator() {
    drops(b"\x1b]P1ff0000");
    drops(b"\x1b]R");
}

#[test]
fn a_command_ends_at_the_line() {
    assert_eq!(filtered(b"\x1b]0;no end\nnext"), b"next");
}

#[test]
fn an_endless_sequence_is_dropped_up_to_its_end() {
    let long = [b"\x1b[".as_slice(), &[b'1'; 500], b"m"].concat();
    drops(&long);
}

#[test]
fn a_new_escape_abandons_the_old_one() {
    assert_eq!(filtered(b"\x1b[3\x1b[1m"), b"\x1b[1m");
    assert_eq!(filtered(b"\x1b[3\x18x"), b"x");
}

#[test]
fn the_alternate_screen_is_left_only_if_it_was_entered() {
    let mut screen = Screen::default();
    let mut out = Vec::new();
    assert_eq!(screen.reset(), b"");
    screen.feed(b"plain\r\n", &mut out);
    assert_eq!(screen.reset(), b"");
    screen.feed(b"\x1b[1;31mred", &mut out);
    assert!(!screen.reset().starts_with(b"\x1b[?1049l"));
    screen.feed(b"\x1b[?1;1049h", &mut out);
    assert!(screen.reset().starts_with(b"\x1b[?1049l"));
    screen.feed(b"\x1b[?1049l", &mut out);
    assert!(!screen.reset().starts_with(b"\x1b[?1049l"));
}

#[test]
fn the_reset_itself_is_harmless() {
    let screen = Screen {
        styled: true,
        alternate: true,
        ..Screen::default()
    };
    passes(&screen.reset());
}

/// Bytes that meet in control sequences, so that random input gets deep.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let telling =
        b"\x1b\x1b\x1b[[]]P_^X\\\x07\x18\n;?>=<!$ \"*012589mtcnhlqyzu\xc2\xd0\x9b\x90\x9c\x80"
            .to_vec();
    prop::collection::vec(
        prop_oneof![prop::sample::select(telling), any::<u8>()],
        0..200,
    )
}

proptest! {
    #[test]
    fn what_has_passed_passes_again(bytes in hostile()) {
        let once = filtered(&bytes);
        prop_assert_eq!(filtered(&once), once);
    }

    #[test]
    fn chunks_do_not_matter(bytes in hostile(), cut in 0_usize..200) {
        let (head, tail) = bytes.split_at(cut.min(bytes.len()));
        let (mut screen, mut out) = (Screen::default(), Vec::new());
        screen.feed(head, &mut out);
        screen.feed(tail, &mut out);
        prop_assert_eq!(out, filtered(&bytes));
    }

    #[test]
    fn never_gives_out_much_more_than_came_in(head in hostile(), tail in hostile()) {
        let (mut screen, mut out) = (Screen::default(), Vec::new());
        screen.feed(&head, &mut out);
        out.clear();
        screen.feed(&tail, &mut out);
        prop_assert!(out.len() <= tail.len() + HELD);
    }

    #[test]
    fn no_string_and_no_report_gets_through(bytes in hostile()) {
        let out = filtered(&bytes);
        for pair in out.windows(2) {
            prop_assert!(pair[0] != ESC || !b"]P_^XZ%".contains(&pair[1]), "{}", out.escape_ascii());
        }
    }
}
