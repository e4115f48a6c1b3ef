//! The audit: what people did, with what it was before and after.

use super::Layout;
use super::group::encoded;
use crate::format::Moment;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::audit::{AuditEntry, AuditQuery};
use rackwright_region::model::{Page, Timestamp};
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub number: i64,
    /// When.
    pub at: Option<Moment>,
    /// Who.
    pub actor: String,
    /// From where.
    pub from: String,
    /// What, in words.
    pub message: String,
    /// Stable name.
    pub kind: String,
    /// With which machine.
    pub machine: String,
    /// What was changed: name, before, after.
    pub changes: Vec<(String, String, String)>,
    /// The beginning of its hash.
    pub hash: String,
}

impl Row {
    /// Of an entry.
    pub fn new(entry: &AuditEntry, now: OffsetDateTime) -> Self {
        let record: Value = serde_json::from_str(&entry.record).unwrap_or_default();
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let at = serde_json::from_value::<Timestamp>(record["at"].clone()).ok();
        Self {
            number: entry.number,
            at: at.map(|at| Moment::new(at, now)),
            actor: text("actor"),
            from: text("from"),
            message: text("message"),
            kind: text("kind"),
            machine: text("machine"),
            changes: changes(&record["data"]["before"], &record["data"]["after"]),
            hash: entry.hash.chars().take(12).collect(),
        }
    }
}

/// What differs between two objects.
fn changes(before: &Value, after: &Value) -> Vec<(String, String, String)> {
    let none = Map::new();
    let (old, new) = (before.as_object().unwrap_or(&none), after.as_object().unwrap_or(&none));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let shown = |value: Option<&Value>| match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let pairs = names.into_iter().map(|name| (name.clone(), shown(old.get(name)), shown(new.get(name))));
    pairs.filter(|(_, before, after)| before != after).collect()
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "audit.html")]
pub struct AuditPage {
    /// Around it.
    pub layout: Layout,
    /// Newest first.
    pub rows: Vec<Row>,
    /// Only those by this user.
    pub actor: String,
    /// All that there are.
    pub total: i64,
    /// Older entries.
    pub older: Option<String>,
}

impl AuditPage {
    /// Of entries, newest first.
    pub fn new(layout: Layout, page: &Page<AuditEntry>, query: &AuditQuery, now: OffsetDateTime) -> Self {
        let actor = query.actor.clone().unwrap_or_default();
        let full = page.items.len() >= usize::try_from(query.limit.unwrap_or(100)).unwrap_or(usize::MAX);
        let older = page.items.last().filter(|_| full);
        let older = older.map(|e| format!("/audit?actor={}&before={}", encoded(&actor), e.number));
        Self {
            layout,
            rows: page.items.iter().map(|e| Row::new(e, now)).collect(),
            actor,
            total: page.total,
            older,
        }
    }
}

#[cfg(test)]
impl AuditPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample::MARKUP;
        let record = serde_json::json!({
            "at": "2026-11-22T06:29:00.000000Z", "actor": MARKUP, "from": MARKUP, "kind": MARKUP, "machine": MARKUP,
            "message": MARKUP, "data": { "before": { "name": MARKUP, "zone": "a" }, "after": { "name": "x", "zone": "a" } },
        });
        let entry = AuditEntry { number: 7, record: record.to_string(), hash: "ab".repeat(32) };
        Self::new(
            Layout::sample("Audit"),
            &Page::whole(vec![entry]),
            &AuditQuery::default(),
            super::sample_now(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let page = AuditPage::sample();
        let names: Vec<_> = page.rows[0].changes.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["name"]);
        assert!(page.rows[0].at.is_some());
    }
}
