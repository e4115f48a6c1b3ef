//! A machine's serial console, as it was recorded.

use super::Timestamp;
use serde::{Deserialize, Serialize};

/// The end of a console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConsoleTail {
    /// Where it ends: go on with `after`.
    pub position: i64,
    /// In order.
    pub pieces: Vec<ConsolePiece>,
}

/// A piece of a console: readable text, without what terminals act upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConsolePiece {
    /// Bytes that the machine wrote up to its end; grows, and is the `id` of the stream's events.
    pub position: i64,
    /// When its beginning arrived.
    pub at: Timestamp,
    /// A recording began with it: what was written before, since the one before it ended, is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    /// Bytes that were lost between the console and here, just before it.
    #[serde(default)]
    pub lost: i64,
    /// Text; may begin and end in the middle of a line.
    pub text: String,
}

/// Where a recording came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Recording {
    /// When it began.
    pub began: Timestamp,
    /// The rack that recorded it.
    pub rack: String,
}

impl ConsolePiece {
    /// What is to be said before its text: a recording began, something was lost.
    pub fn notes(&self) -> Vec<String> {
        let recording = self.recording.as_ref();
        let began = recording.map(|r| format!("recorded by {} from {}", r.rack, r.began));
        let lost = (self.lost > 0).then(|| format!("{} bytes were lost", self.lost));
        began.into_iter().chain(lost).collect()
    }

    /// Its text with its notes before it, on lines of their own. `in_line`: what was shown before has not ended its line.
    pub fn shown(&self, in_line: bool) -> String {
        let notes: String = self.notes().iter().map(|note| format!("--- {note} ---\n")).collect();
        let end = if in_line && !notes.is_empty() { "\n" } else { "" };
        format!("{end}{notes}{}", self.text)
    }
}

impl ConsoleTail {
    /// All pieces as one text.
    pub fn text(&self, in_line: bool) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            let in_line = if text.is_empty() { in_line } else { !text.ends_with('\n') };
            text.push_str(&piece.shown(in_line));
        }
        text
    }
}

/// How much of a console.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConsoleQuery {
    /// At most so many bytes of the end, as the machine wrote them; 65536 when absent, 262144 are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
}

/// From where to follow a console.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConsoleAfter {
    /// The last `position` that was read; from now on when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
}
