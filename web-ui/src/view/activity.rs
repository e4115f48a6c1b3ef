//! What is under way on a machine, or was last: the operation with its work, its timeline and its log.

use super::cause::{Cause, likeliest};
use super::timeline::Timeline;
use super::{Pill, Tone};
use crate::format::{self, Moment};
use askama::Template;
use askama_web::WebTemplate;
pub use rackwright_common::console::plain;
use rackwright_region::model::event::Event;
use rackwright_region::model::operation::{LogChunk, OperationDetail, WorkItem};
use time::OffsetDateTime;

/// An operation in full.
#[derive(Debug, Clone, PartialEq, Template, WebTemplate)]
#[template(path = "activity.html")]
pub struct Activity {
    /// Number.
    pub id: i64,
    /// Where to get this part anew.
    pub live: String,
    /// Kind, with a capital letter.
    pub kind: String,
    /// Machine.
    pub machine: String,
    /// State.
    pub outcome: Pill,
    /// It runs.
    pub running: bool,
    /// The step it is in.
    pub step: String,
    /// Tries of the step, when it is not the first.
    pub attempt: String,
    /// What it waits for.
    pub message: String,
    /// Why it failed.
    pub error: String,
    /// What is likely wrong, and what to do.
    pub cause: Option<Cause>,
    /// How far, 0 to 100.
    pub percent: Option<f32>,
    /// Who asked.
    pub requested_by: String,
    /// When it began.
    pub created: Moment,
    /// When it gives up.
    pub deadline: Moment,
    /// Its work.
    pub items: Vec<Item>,
    /// Its timeline.
    pub timeline: Timeline,
    /// Of a failed one: the last lines of the machine's serial console.
    pub console: String,
    /// Its log.
    pub log: Log,
}

/// A piece of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What.
    pub name: String,
    /// State.
    pub outcome: Pill,
    /// How far, while it runs.
    pub percent: Option<f32>,
    /// What it says, or why it failed.
    pub message: String,
    /// How long it took.
    pub took: String,
}

impl Item {
    fn new(item: &WorkItem) -> Self {
        let name = match &item.subject {
            Some(subject) => format!("{}: {subject}", format::capital(&item.kind)),
            None => format::capital(&item.kind),
        };
        Self {
            name,
            outcome: Pill::of_outcome(&item.status),
            percent: item.percent.filter(|_| item.status == "given"),
            message: if item.error.is_empty() { item.message.clone() } else { item.error.clone() },
            took: item.duration_ms.map(|ms| format::duration(ms as f64 / 1000.0)).unwrap_or_default(),
        }
    }
}

/// The log of an operation's work, so far.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "log.html")]
pub struct Log {
    /// Operation.
    pub operation: i64,
    /// More may come.
    pub running: bool,
    /// Text.
    pub text: String,
    /// Where to go on.
    pub position: i64,
}

impl Log {
    /// Of pieces of log, in order.
    pub fn new(operation: i64, running: bool, chunks: &[LogChunk]) -> Self {
        let text: String = chunks.iter().map(|c| c.text.as_str()).collect();
        Self { operation, running, text: plain(&text), position: chunks.last().map_or(0, |c| c.position) }
    }
}

impl Activity {
    /// Of an operation, its events (oldest first) and the end of its log.
    pub fn new(detail: &OperationDetail, events: &[Event], log: &[LogChunk], now: OffsetDateTime) -> Self {
        let op = &detail.operation;
        let running = op.is_running();
        Self {
            id: op.id.0,
            live: format!("/operations/{}/part", op.id),
            kind: format::capital(&op.kind.replace('-', " ")),
            machine: op.machine.to_string(),
            outcome: Pill::of_outcome(&op.status),
            running,
            step: format::capital(&op.step.replace('-', " ")),
            attempt: if op.attempt > 0 { format!("try {}", op.attempt + 1) } else { String::new() },
            message: op.message.clone(),
            error: format::capital(op.error.as_deref().unwrap_or_default()),
            cause: likeliest(detail, events, now),
            percent: op.percent.filter(|_| running),
            requested_by: op.requested_by.clone(),
            created: Moment::new(op.created_at, now),
            deadline: Moment::new(op.deadline, now),
            items: detail.items.iter().map(Item::new).collect(),
            timeline: Timeline::new(detail, events, now),
            console: detail.console_tail.join("\n"),
            log: Log::new(op.id.0, running, log),
        }
    }

    /// On the machine's page, where a later operation takes its place.
    #[must_use]
    pub fn of_machine(self) -> Self {
        Self { live: format!("/machines/{}/part/activity", self.machine), ..self }
    }

    /// Colour of the reason.
    pub fn tone(&self) -> Tone {
        if self.outcome == Pill::of_outcome("aborted") { Tone::Warning } else { Tone::Bad }
    }
}

#[cfg(test)]
impl Activity {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let (detail, events) = super::sample::hostile_operation();
        Self::new(&detail, &events, &super::sample::hostile_log(), super::sample_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn work_under_way_has_a_bar_and_ended_work_a_time() {
        let (mut detail, events) = sample::deployment();
        detail.items[1].status = "given".into();
        detail.items[1].percent = Some(40.0);
        let activity = Activity::new(&detail, &events, &[], crate::view::sample_now());
        let items: Vec<_> =
            activity.items.iter().map(|i| (i.name.as_str(), i.took.as_str(), i.percent)).collect();
        assert_eq!(items, [("Install: debian-12", "30 s", None), ("Reboot", "", Some(40.0))]);
    }

    #[test]
    fn terminal_controls_are_taken_out_of_logs() {
        assert_eq!(
            plain("a\u{1b}[1;31mred\u{1b}[0m\r\n10%\r20%\n\u{7}\u{0}end\u{1b}["),
            "ared\n10%\n20%\nend"
        );
    }
}
