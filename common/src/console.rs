//! What machines write to their serial consoles, made fit to be read and shown.
//!
//! Consoles are recorded as they are, escape sequences and all. [`PlainText`] takes out what terminals act upon, so that
//! no machine's output can move a reader's cursor, set a title, or hide text. What holds: whatever comes in, only
//! printable characters, tabs and line ends come out, and no more than came in. Left out: painting a screen; text that firmware places by cursor addresses becomes lines in the order of writing.

/// Longest escape sequence; what claims to be longer is text again.
const LONGEST_SEQUENCE: usize = 4096;

/// Where the filter is within an escape sequence (ECMA-48 §5.3, §5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Within {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte: one more byte ends it.
    Designation,
    /// After ESC [, until a final byte.
    Control,
    /// A command string (OSC, DCS, APC, PM, SOS), until BEL or ESC \.
    String,
    /// ESC within a command string.
    StringEnd,
}

/// A filter that is fed pieces of a console's text in order; sequences may be cut anywhere.
#[derive(Debug, Clone, Default)]
pub struct PlainText {
    within: Within,
    /// Characters of the present sequence.
    length: usize,
    /// The cursor has gone elsewhere: what is written next begins a line.
    moved: bool,
    /// Characters on the present line.
    column: usize,
    /// Empty lines in a row.
    blank: usize,
}

impl PlainText {
    /// The readable part of the next piece.
    pub fn push(&mut self, text: &str) -> String {
        let mut plain = String::with_capacity(text.len());
        for c in text.chars() {
            self.take(c, &mut plain);
        }
        plain
    }

    fn take(&mut self, c: char, plain: &mut String) {
        self.length += 1;
        if self.within != Within::Text && (self.length > LONGEST_SEQUENCE || c == '\n') {
            self.within = Within::Text;
        }
        self.within = match (self.within, c) {
            (Within::Text | Within::Escape | Within::Control | Within::Designation, '\u{1b}') => {
                self.length = 0;
                Within::Escape
            }
            (Within::Text, c) => {
                self.write(c, plain);
                Within::Text
            }
            (Within::Escape, '[') => Within::Control,
            (Within::Escape, ']' | 'P' | 'X' | '^' | '_') => Within::String,
            (Within::Escape, '\u{20}'..='\u{2f}') => Within::Designation,
            // ESC c, E and M: reset, next line, line up.
            (Within::Escape, c) => {
                self.moved |= matches!(c, 'c' | 'E' | 'M');
                Within::Text
            }
            (Within::Designation, _) => Within::Text,
            (Within::Control, '\u{40}'..='\u{7e}') => {
                match c {
                    'H' | 'f' | 'J' | 'A' | 'B' | 'E' | 'F' | 'd' => self.moved = true,
                    'C' | 'G' => self.write(' ', plain),
                    _ => {}
                }
                Within::Text
            }
            (Within::Control, _) => Within::Control,
            (Within::String, '\u{7}' | '\u{9c}') => Within::Text,
            (Within::String, '\u{1b}') => Within::StringEnd,
            (Within::String, _) => Within::String,
            (Within::StringEnd, '\\') => Within::Text,
            (Within::StringEnd, _) => Within::String,
        };
    }

    fn write(&mut self, c: char, plain: &mut String) {
        match c {
            '\n' => self.end_line(plain),
            // A line that is written over, as progress bars do, becomes lines.
            '\r' => self.moved = true,
            '\t' => self.put(c, plain),
            c if is_hidden(c) => {}
            c => self.put(c, plain),
        }
    }

    fn put(&mut self, c: char, plain: &mut String) {
        if std::mem::take(&mut self.moved) && self.column > 0 {
            self.end_line(plain);
        }
        plain.push(c);
        self.column += 1;
        self.blank = 0;
    }

    fn end_line(&mut self, plain: &mut String) {
        self.moved = false;
        if self.column == 0 {
            self.blank += 1;
            if self.blank > 1 {
                return;
            }
        }
        plain.push('\n');
        self.column = 0;
    }
}

/// Control characters, and those that change the direction or the look of others without being seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The readable part of a whole text.
pub fn plain(text: &str) -> String {
    PlainText::default().push(text)
}

/// The last whole lines of a text that fit in `bytes`, at most `lines` of them, without the empty ones at either end.
/// A line that alone does not fit loses its beginning.
pub fn last_lines(text: &str, bytes: usize, lines: usize) -> Vec<String> {
    let mut room = bytes;
    let mut kept: Vec<String> = Vec::new();
    for line in text.trim_end().lines().rev().take(lines) {
        let cost = line.len() + 1;
        if cost > room {
            if kept.is_empty() {
                let cut = line.ceil_char_boundary(line.len().saturating_sub(room));
                kept.push(line[cut..].to_owned());
            }
            break;
        }
        room -= cost;
        kept.push(line.trim_end().to_owned());
    }
    while kept.last().is_some_and(String::is_empty) {
        kept.pop();
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_titles_and_character_sets_are_taken_out() {
        let kernel = "\u{1b}[0;1;31mFailed\u{1b}[0m to start\r\n\u{1b}]0;title\u{7}\u{1b}(Blogin: \u{1b}]3008;x\u{1b}\\";
        assert_eq!(plain(kernel), "Failed to start\nlogin: ");
    }

    #[test]
    fn what_is_written_over_or_placed_elsewhere_becomes_lines() {
        assert_eq!(plain("10%\r20%\r\r\nend"), "10%\n20%\nend");
        assert_eq!(
            plain("\u{1b}[2J\u{1b}[01;01HBoot menu\u{1b}[03;05HDebian\u{1b}[5Cok"),
            "Boot menu\nDebian ok"
        );
        assert_eq!(plain("a\n\n\n\r\n\nb"), "a\n\nb");
    }

    #[test]
    fn a_sequence_may_be_cut_anywhere() {
        let text = "one\u{1b}[1;32mtwo\u{1b}[0m\r\nthree\u{1b}]8;;x\u{1b}\\four\rfive\u{1b}[2J\u{1b}[Hsix";
        let whole = plain(text);
        for (cut, _) in text.char_indices() {
            let mut filter = PlainText::default();
            let parts = filter.push(&text[..cut]) + &filter.push(&text[cut..]);
            assert_eq!(parts, whole, "cut at {cut}");
        }
        assert_eq!(whole, "onetwo\nthreefour\nfive\nsix");
    }

    #[test]
    fn nothing_that_a_terminal_acts_upon_comes_through() {
        let mut filter = PlainText::default();
        for seed in 0..20_000_u32 {
            let c = char::from_u32(seed.wrapping_mul(2_654_435_761) % 0x300).unwrap_or('x');
            for out in filter.push(&c.to_string()).chars() {
                assert!(out == '\n' || out == '\t' || !is_hidden(out), "{out:?}");
            }
        }
        assert_eq!(plain("\u{202e}evil\u{0}\u{8}"), "evil");
        assert_eq!(plain("\u{1b}]never ended\nnext"), "\nnext", "a lost end costs a line, not the rest");
        let long = format!("\u{1b}P{}", "y".repeat(LONGEST_SEQUENCE + 5));
        assert!(plain(&long).ends_with("yyyy"));
    }

    #[test]
    fn the_last_lines_are_whole() {
        assert_eq!(last_lines("one\ntwo\n\nthree\n\n", 10, 9), ["three"]);
        assert_eq!(last_lines("one\ntwo\nthree\n", 10, 9), ["two", "three"]);
        assert_eq!(last_lines("one\ntwo\nthree", 100, 2), ["two", "three"]);
        assert_eq!(last_lines("ab\u{20ac}\u{20ac}", 4, 2), ["\u{20ac}"]);
        assert!(last_lines("\n\n", 10, 2).is_empty());
    }
}
