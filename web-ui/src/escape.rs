//! Characters that nobody sees, shown as ones that everybody sees.
//!
//! Machines, switches and consoles say what they like. An escape sequence does nothing in a browser, but it does where somebody
//! pastes what they copied from the page; an override of the writing direction makes a line read as something else. Templates make
//! markup harmless; this is done to the whole page that they made. Values of form fields are the exception ([`Kept`]): they come
//! back as they are shown, and would be changed by being looked at.

use askama::filters::{Escaper, Html, HtmlSafe};
use std::fmt::{Display, Formatter, Result};

/// The page with every unseen character replaced by one that is seen; nothing when there is none.
pub fn visible(html: &str) -> Option<String> {
    html.contains(|c| stand_in(c).is_some()).then(|| html.chars().map(|c| stand_in(c).unwrap_or(c)).collect())
}

/// What stands for a character that is not seen: Unicode's pictures of control characters, else the replacement character.
fn stand_in(c: char) -> Option<char> {
    match c {
        '\t' | '\n' | '\r' => None,
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)),
        '\u{7f}' => Some('\u{2421}'),
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some('\u{fffd}'),
        _ => None,
    }
}

/// The value of a form field: unseen characters are written as character references, which browsers read as what they were. (But
/// NUL and U+0080 to U+009F, which HTML has no way of writing.)
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a>(pub &'a str);

impl HtmlSafe for Kept<'_> {}

impl Display for Kept<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        for c in self.0.chars() {
            if stand_in(c).is_some() {
                write!(out, "&#{};", u32::from(c))?;
            } else {
                Html.write_escaped_char(&mut *out, c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_seen_and_all_else_is_left() {
        assert_eq!(
            visible("a\u{1b}[31m\0\u{7f}é\u{202e}\u{85}!").as_deref(),
            Some("a␛[31m␀␡é\u{fffd}\u{fffd}!")
        );
        assert_eq!(visible("<p>two\nlines\tand a blank\r\n</p>"), None);
    }

    #[test]
    fn the_value_of_a_field_comes_back_as_it_was() {
        assert_eq!(Kept("a<b>\u{1b}[0m\n\"é").to_string(), "a&#60;b&#62;&#27;[0m\n&#34;é");
    }
}
