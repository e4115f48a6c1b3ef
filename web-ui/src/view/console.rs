//! The serial console of a machine, as far as it was recorded.

use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::console::ConsoleTail;

/// The end of a console; more is fetched while it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "machine_console.html")]
pub struct ConsolePanel {
    /// Machine.
    pub machine: String,
    /// An operation works on it: it is being recorded.
    pub running: bool,
    /// Its BMC lets people type.
    pub opens: bool,
    /// Text, with notes where a recording began.
    pub text: String,
    /// Where to go on.
    pub position: i64,
}

impl ConsolePanel {
    /// With a way to where one types.
    #[must_use]
    pub fn that_opens(self, opens: bool) -> Self {
        Self { opens, ..self }
    }

    /// Of the end of a machine's console.
    pub fn new(machine: &str, running: bool, tail: &ConsoleTail) -> Self {
        Self {
            machine: machine.to_owned(),
            running,
            opens: false,
            text: tail.text(false),
            position: tail.position,
        }
    }
}

#[cfg(test)]
impl ConsolePanel {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let tail = serde_json::json!({ "position": 40, "pieces": [
            { "position": 40, "at": "2026-01-01T00:00:00Z", "lost": 0, "text": "login: </pre><script>",
              "recording": { "began": "2026-01-01T00:00:00Z", "rack": "<b>rack</b>" } }] });
        Self::new("k3x9ab", true, &serde_json::from_value(tail).expect("a tail"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_writes_is_text_and_never_markup() {
        let shown = ConsolePanel::sample().to_string();
        assert!(
            shown.contains("recorded by &#60;b&#62;rack&#60;/b&#62; from 2026-01-01T00:00:00Z"),
            "{shown}"
        );
        assert!(shown.contains("login: &#60;/pre&#62;&#60;script&#62;</pre>"), "{shown}");
        assert!(shown.contains(r#"data-after="40" data-running"#), "{shown}");
    }
}
