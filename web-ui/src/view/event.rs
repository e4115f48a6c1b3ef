//! What happened.

use super::{Layout, Pill, Tone};
use crate::format::Moment;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::event::{Event, EventQuery, Level};
use time::OffsetDateTime;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "event_row.html")]
pub struct Row {
    /// When.
    pub at: Moment,
    /// Stable name.
    pub kind: String,
    /// Level, unless it is the ordinary one.
    pub level: Option<Pill>,
    /// Machine.
    pub machine: String,
    /// Operation.
    pub operation: String,
    /// Who.
    pub actor: String,
    /// One sentence.
    pub message: String,
}

impl Row {
    /// Of an event.
    pub fn new(e: &Event, now: OffsetDateTime) -> Self {
        let level = match e.level {
            Level::Debug | Level::Info => None,
            Level::Warning => Some(Pill::new(Tone::Warning, "Warning")),
            Level::Error => Some(Pill::new(Tone::Bad, "Error")),
        };
        Self {
            at: Moment::new(e.at, now),
            kind: e.kind.clone(),
            level,
            machine: e.machine.as_ref().map(ToString::to_string).unwrap_or_default(),
            operation: e.operation.map(|o| o.to_string()).unwrap_or_default(),
            actor: e.actor.clone(),
            message: e.message.clone(),
        }
    }
}

/// The latest events of one machine, on its page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "machine_events.html")]
pub struct Recent {
    /// Machine.
    pub machine: String,
    /// Newest first.
    pub rows: Vec<Row>,
}

impl Recent {
    /// Of a machine's events, newest first.
    pub fn new(machine: &str, events: &[Event], now: OffsetDateTime) -> Self {
        Self { machine: machine.to_owned(), rows: events.iter().map(|e| Row::new(e, now)).collect() }
    }
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "events.html")]
pub struct EventsPage {
    /// Around it.
    pub layout: Layout,
    /// Newest first.
    pub rows: Vec<Row>,
    /// Only those of this machine.
    pub machine: String,
    /// Only those by this user.
    pub actor: String,
    /// Least level: value, label, chosen.
    pub levels: [(&'static str, &'static str, bool); 4],
    /// The same page again.
    pub live: String,
    /// Older events.
    pub older: Option<String>,
}

impl EventsPage {
    /// Of events, newest first.
    pub fn new(layout: Layout, events: &[Event], query: &EventQuery, now: OffsetDateTime) -> Self {
        let level = query.level.unwrap_or_default();
        let machine = query.machine.as_ref().map(ToString::to_string).unwrap_or_default();
        let actor = query.actor.clone().unwrap_or_default();
        let by = super::group::encoded(&actor);
        let here = format!("/events?machine={machine}&actor={by}&level={level}");
        let full = events.len() >= usize::try_from(query.limit.unwrap_or(100)).unwrap_or(usize::MAX);
        let older = events.last().filter(|_| full).map(|e| format!("{here}&before={}", e.id));
        let live = if query.before.is_some() { String::new() } else { here };
        let choice = |value: Level, label| (value.as_str(), label, value == level);
        Self {
            layout,
            rows: events.iter().map(|e| Row::new(e, now)).collect(),
            machine,
            actor,
            levels: [
                choice(Level::Debug, "Everything"),
                choice(Level::Info, "Info and above"),
                choice(Level::Warning, "Warnings and errors"),
                choice(Level::Error, "Errors"),
            ],
            live,
            older,
        }
    }
}

#[cfg(test)]
impl EventsPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let (_, events) = super::sample::hostile_operation();
        let query = EventQuery { limit: Some(2), ..EventQuery::default() };
        Self::new(Layout::sample("Events"), &events, &query, super::sample_now())
    }
}
