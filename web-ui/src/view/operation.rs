//! Operations: the list, and one in full.

use super::activity::Activity;
use super::{Layout, Pill};
use crate::format::{self, Moment};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::Page;
use rackwright_region::model::operation::{Operation, OperationQuery};
use time::OffsetDateTime;

/// One operation in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Number.
    pub id: i64,
    /// Kind.
    pub kind: String,
    /// Machine and its name.
    pub machine: (String, String),
    /// State.
    pub outcome: Pill,
    /// How far.
    pub percent: Option<f32>,
    /// Where it is, or why it failed.
    pub message: String,
    /// Who asked.
    pub requested_by: String,
    /// When it began.
    pub created: Moment,
    /// How long it took, or has taken.
    pub took: String,
}

impl Row {
    /// Of an operation.
    pub fn new(op: &Operation, now: OffsetDateTime) -> Self {
        let end = op.finished_at.map_or(now, |t| t.0);
        let message = match (&op.error, op.is_running()) {
            (Some(error), _) => error.clone(),
            (None, true) => op.message.clone(),
            (None, false) => String::new(),
        };
        Self {
            id: op.id.0,
            kind: format::capital(&op.kind.replace('-', " ")),
            machine: (op.machine.to_string(), op.hostname.clone()),
            outcome: Pill::of_outcome(&op.status),
            percent: op.percent.filter(|_| op.is_running()),
            message: format::capital(&message),
            requested_by: op.requested_by.clone(),
            created: Moment::new(op.created_at, now),
            took: format::duration((end - op.created_at.0).as_seconds_f64()),
        }
    }
}

/// The list.
#[derive(Debug, Clone, PartialEq, Template, WebTemplate)]
#[template(path = "operations.html")]
pub struct OperationsPage {
    /// Around it.
    pub layout: Layout,
    /// Newest first.
    pub rows: Vec<Row>,
    /// Over all pages.
    pub total: i64,
    /// Status filter: value, label, chosen.
    pub statuses: Vec<(&'static str, &'static str, bool)>,
    /// The same page again.
    pub live: String,
    /// The next page.
    pub next: Option<String>,
}

impl OperationsPage {
    /// Of a page of operations.
    pub fn new(layout: Layout, page: &Page<Operation>, query: &OperationQuery, now: OffsetDateTime) -> Self {
        let known = [
            ("", "Any state"),
            ("running", "Running"),
            ("done", "Done"),
            ("failed", "Failed"),
            ("aborted", "Aborted"),
        ];
        let chosen = query.status.as_deref().unwrap_or_default();
        let here = format!("/operations?status={}", known.iter().find(|k| k.0 == chosen).map_or("", |k| k.0));
        // A cursor is base64url: nothing in it needs encoding.
        let next = page.next_cursor.as_ref().map(|cursor| format!("{here}&cursor={cursor}"));
        Self {
            layout,
            rows: page.items.iter().map(|o| Row::new(o, now)).collect(),
            total: page.total,
            statuses: known.iter().map(|(value, label)| (*value, *label, *value == chosen)).collect(),
            live: if query.cursor.is_some() { String::new() } else { here },
            next,
        }
    }
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Template, WebTemplate)]
#[template(path = "operation.html")]
pub struct OperationPage {
    /// Around it.
    pub layout: Layout,
    /// Machine and its name.
    pub machine: (String, String),
    /// The operation.
    pub activity: Activity,
}

#[cfg(test)]
impl OperationsPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let (detail, _) = super::sample::hostile_operation();
        let page = Page { items: vec![detail.operation], total: 4, next_cursor: Some("bQ".into()) };
        Self::new(Layout::sample("Operations"), &page, &OperationQuery::default(), super::sample_now())
    }
}

#[cfg(test)]
impl OperationPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let machine = ("k3x9ab".into(), "<i>name</i>".into());
        Self { layout: Layout::sample("Operations"), machine, activity: Activity::sample() }
    }
}
