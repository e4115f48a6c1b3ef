//! What has changed in a machine, and the button that says that it is meant.

use super::{Pill, Tone};
use crate::format::{Moment, capital};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::hardware_change::{ChangeKind, HardwareChange};
use rackwright_region::model::machine::MachineSummary;
use time::OffsetDateTime;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What has become of the part.
    pub kind: Pill,
    /// A sentence.
    pub message: String,
    /// When it was found.
    pub at: Moment,
    /// Who said that it is meant.
    pub meant: String,
}

/// The section; empty without a change.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "machine_changes.html")]
pub struct Changes {
    /// Machine and its name.
    pub machine: (String, String),
    /// Proves where a form comes from.
    pub csrf: String,
    /// Newest first.
    pub rows: Vec<Row>,
    /// The newest, when some are open and this person may settle them.
    pub upto: Option<i64>,
}

impl Changes {
    /// Of a machine, for a person.
    pub fn new(
        m: &MachineSummary,
        found: &[HardwareChange],
        actor: &Actor,
        csrf: &str,
        now: OffsetDateTime,
    ) -> Self {
        let open = found.iter().any(|c| c.accepted_at.is_none());
        let may = actor.role_in(&m.pool) >= Role::Operator;
        Self {
            machine: (m.id.to_string(), m.hostname.to_string()),
            csrf: csrf.to_owned(),
            rows: found.iter().map(|c| row(c, now)).collect(),
            upto: found.first().map(|c| c.id).filter(|_| open && may),
        }
    }
}

fn row(c: &HardwareChange, now: OffsetDateTime) -> Row {
    let kind = match (c.kind, &c.accepted_at) {
        (ChangeKind::Gone, None) => Pill::new(Tone::Bad, "Gone"),
        (ChangeKind::Gone, Some(_)) => Pill::new(Tone::Quiet, "Gone"),
        (ChangeKind::New, _) => Pill::new(Tone::Good, "New"),
        (ChangeKind::Changed, _) => Pill::new(Tone::Warning, "Changed"),
    };
    let meant = match c.accepted_by.as_deref() {
        Some("rackwright") => "it is back".to_owned(),
        Some(by) => format!("meant, says {by}"),
        None => String::new(),
    };
    Row { kind, message: capital(&c.message), at: Moment::new(c.at, now), meant }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn open_changes_can_be_settled_by_operators_and_settled_ones_say_by_whom() {
        let m = sample::machine();
        let mut change = sample::hardware_change();
        let shown = |change: &HardwareChange, actor: &Actor| {
            Changes::new(&m.summary, std::slice::from_ref(change), actor, "t", super::super::sample_now())
        };
        let viewer = Actor::new(2, "eve", Role::Viewer, None);
        assert_eq!(shown(&change, &sample::actor()).upto, Some(change.id));
        assert_eq!(shown(&change, &viewer).upto, None);
        assert!(!shown(&change, &sample::actor()).to_string().contains("<script"));
        (change.accepted_at, change.accepted_by) = (Some(change.at), Some("ann".into()));
        let settled = shown(&change, &sample::actor());
        assert_eq!((settled.upto, settled.rows[0].meant.as_str()), (None, "meant, says ann"));
        let none = Changes::new(&m.summary, &[], &viewer, "t", super::super::sample_now()).to_string();
        assert!(!none.contains("<h2"), "{none}");
    }
}
