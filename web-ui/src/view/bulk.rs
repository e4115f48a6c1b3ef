//! One action on many machines: first what would happen and what would be refused and why, then how far it is.
//!
//! What would be refused follows the life cycle's own function, as the buttons of one machine do. The use cases decide
//! when it is carried out: what changed in between is refused then.

use super::form::{Field, Form};
use super::machine_list::Row;
use super::{Layout, Pill};
use crate::command;
use crate::error::sentence;
use crate::format::Moment;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::Status;
use rackwright_common::lifecycle::{Event, next};
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::bulk::{Bulk, BulkVerb};
use rackwright_region::model::image::{Image, ImagePurpose};
use rackwright_region::model::machine::MachineSummary;
use time::OffsetDateTime;

/// A command names machines one by one; with more it would not be read.
const NAMED_IN_A_COMMAND: usize = 100;

/// Verbs with their names in addresses and for people, least role, and whether something is lost or interrupted.
const VERBS: [(BulkVerb, &str, &str, Role, bool); 18] = [
    (BulkVerb::Deploy, "deploy", "Deploy", Role::User, false),
    (BulkVerb::Commission, "commission", "Commission", Role::Operator, false),
    (BulkVerb::Test, "test", "Test", Role::Operator, false),
    (BulkVerb::Release, "release", "Release", Role::User, true),
    (BulkVerb::Allocate, "allocate", "Allocate", Role::User, false),
    (BulkVerb::Abort, "abort", "Abort", Role::User, true),
    (BulkVerb::PowerOn, "power-on", "Switch on", Role::User, false),
    (BulkVerb::PowerOff, "power-off", "Switch off at once", Role::User, true),
    (BulkVerb::Lock, "lock", "Lock", Role::User, false),
    (BulkVerb::Unlock, "unlock", "Unlock", Role::User, false),
    (BulkVerb::MarkBroken, "mark-broken", "Mark broken", Role::Operator, true),
    (BulkVerb::MarkFixed, "mark-fixed", "Mark fixed", Role::Operator, false),
    (BulkVerb::Override, "override", "Override failed tests", Role::Operator, false),
    (BulkVerb::AddTag, "add-tag", "Add a tag", Role::User, false),
    (BulkVerb::RemoveTag, "remove-tag", "Remove a tag", Role::User, false),
    (BulkVerb::SetPool, "set-pool", "Set the pool", Role::User, false),
    (BulkVerb::SetZone, "set-zone", "Set the zone", Role::User, false),
    (BulkVerb::Delete, "delete", "Remove from Rackwright", Role::Operator, true),
];

fn row(verb: BulkVerb) -> (&'static str, &'static str, Role, bool) {
    let found = VERBS.iter().find(|(v, ..)| *v == verb).expect("the table has every verb; a test says so");
    (found.1, found.2, found.3, found.4)
}

/// Of its name in addresses.
pub fn parse(name: &str) -> Option<BulkVerb> {
    VERBS.iter().find(|(_, n, ..)| *n == name).map(|(verb, ..)| *verb)
}

/// Its name in addresses, and in the API.
pub fn name(verb: BulkVerb) -> &'static str {
    row(verb).0
}

/// For people.
pub fn label(verb: BulkVerb) -> &'static str {
    row(verb).1
}

/// The verbs that a person with this role has: name, label.
pub fn choices(role: Role) -> Vec<(&'static str, &'static str)> {
    VERBS
        .iter()
        .filter(|(_, _, _, least, _)| role >= *least)
        .map(|(_, name, label, ..)| (*name, *label))
        .collect()
}

/// What a machine's status has to allow; none where the status does not matter.
fn event(verb: BulkVerb) -> Option<Event> {
    let back_to = Status::Ready;
    match verb {
        BulkVerb::Deploy => Some(Event::StartDeploy),
        BulkVerb::Commission => Some(Event::StartCommission),
        BulkVerb::Test => Some(Event::StartTest),
        BulkVerb::Release => Some(Event::StartRelease),
        BulkVerb::Allocate => Some(Event::Allocate),
        BulkVerb::MarkBroken => Some(Event::MarkBroken),
        BulkVerb::MarkFixed => Some(Event::MarkFixed { back_to }),
        BulkVerb::Override => Some(Event::OverrideFailedTest { back_to }),
        BulkVerb::Abort
        | BulkVerb::PowerOn
        | BulkVerb::PowerOff
        | BulkVerb::Lock
        | BulkVerb::Unlock
        | BulkVerb::AddTag
        | BulkVerb::RemoveTag
        | BulkVerb::SetPool
        | BulkVerb::SetZone
        | BulkVerb::Delete => None,
    }
}

/// Why a machine would refuse this now, as far as its row tells.
pub fn obstacle(verb: BulkVerb, m: &MachineSummary, actor: &Actor) -> Option<String> {
    let mine = m.owner.as_deref() == Some(actor.name.as_str());
    let free = m.owner.is_none() && matches!(verb, BulkVerb::Deploy | BulkVerb::Allocate);
    if actor.role_in(&m.pool) < Role::Operator && !mine && !free {
        return Some(match &m.owner {
            Some(owner) => format!("it is {owner}'s"),
            None => "it is nobody's, and only operators act on those".into(),
        });
    }
    match (verb, &m.operation) {
        (BulkVerb::Abort, None) => return Some("nothing is under way on it".into()),
        (
            BulkVerb::Abort
            | BulkVerb::Lock
            | BulkVerb::Unlock
            | BulkVerb::AddTag
            | BulkVerb::RemoveTag
            | BulkVerb::SetPool
            | BulkVerb::SetZone,
            _,
        ) => {}
        (_, Some(running)) => {
            return Some(format!("{} is under way on it (operation {})", running.kind, running.id));
        }
        (_, None) => {}
    }
    let touches =
        event(verb).is_some() || matches!(verb, BulkVerb::PowerOn | BulkVerb::PowerOff | BulkVerb::Delete);
    if m.locked && touches {
        return Some("it is locked".into());
    }
    if matches!(verb, BulkVerb::PowerOn | BulkVerb::PowerOff) && m.power_driver.is_none() {
        return Some("it has no BMC".into());
    }
    if verb == BulkVerb::Delete && m.status == Status::Deployed {
        return Some("it is deployed; release it first".into());
    }
    let needed = event(verb)?;
    next(m.status, needed).is_err().then(|| format!("this is not possible while it is {}", m.status))
}

/// A machine in a list of those that will, or will not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Identifier.
    pub id: String,
    /// Name.
    pub hostname: String,
    /// Status.
    pub status: Pill,
}

impl Item {
    /// Of a machine.
    pub fn new(m: &MachineSummary) -> Self {
        Self { id: m.id.to_string(), hostname: m.hostname.to_string(), status: Pill::of_status(m.status) }
    }
}

/// What would happen.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "bulk_preview.html")]
pub struct PreviewPage {
    /// Around it.
    pub layout: Layout,
    /// The action, for people.
    pub label: &'static str,
    /// Machines it would be done with.
    pub will: Vec<Item>,
    /// Machines that would refuse, and why.
    pub wont: Vec<(Item, String)>,
    /// How it is meant; none when no machine would take it.
    pub form: Option<Form>,
    /// Back to the list.
    pub back: String,
}

/// What an action can be told.
#[derive(Debug)]
pub struct Choices<'a> {
    /// All images.
    pub images: &'a [Image],
    /// Names of the pools.
    pub pools: Vec<String>,
    /// Names of the zones.
    pub zones: Vec<String>,
}

impl PreviewPage {
    /// Of the machines that were chosen.
    pub fn new(
        layout: Layout,
        actor: &Actor,
        verb: BulkVerb,
        machines: &[MachineSummary],
        choices: &Choices<'_>,
        back: String,
    ) -> Self {
        let (mut will, mut wont) = (Vec::new(), Vec::new());
        for m in machines {
            match obstacle(verb, m, actor) {
                Some(why) => wont.push((Item::new(m), why)),
                None => will.push(Item::new(m)),
            }
        }
        let form = (!will.is_empty()).then(|| confirm(&layout.csrf, verb, &will, choices));
        Self { layout, label: label(verb), will, wont, form, back }
    }
}

fn confirm(csrf: &str, verb: BulkVerb, will: &[Item], choices: &Choices<'_>) -> Form {
    let own = |names: &[String]| names.iter().map(|n| (n.clone(), n.clone())).collect::<Vec<_>>();
    let first = |names: &[String]| names.first().cloned().unwrap_or_default();
    let fields = match verb {
        BulkVerb::Deploy => vec![Field::choice("image", "Image", systems(choices.images), "")],
        BulkVerb::Release => {
            let ways = [
                ("", "As the site's setting says"),
                ("none", "No"),
                ("quick", "Quick"),
                ("full", "Full, may take hours"),
            ];
            let ways = ways.map(|(value, label)| (value.to_owned(), label.to_owned()));
            vec![Field::choice("erase", "Erase their disks", ways, "")]
        }
        BulkVerb::Commission => vec![Field::check("no_tests", "Run no tests afterwards", false)],
        BulkVerb::MarkBroken | BulkVerb::MarkFixed | BulkVerb::Override => {
            vec![Field::text("message", "Why", "").hint("for whoever looks later")]
        }
        BulkVerb::AddTag | BulkVerb::RemoveTag => vec![Field::text("tag", "Tag", "").required()],
        BulkVerb::SetPool => vec![Field::choice("pool", "Pool", own(&choices.pools), first(&choices.pools))],
        BulkVerb::SetZone => vec![Field::choice("zone", "Zone", own(&choices.zones), first(&choices.zones))],
        BulkVerb::Test
        | BulkVerb::Allocate
        | BulkVerb::Abort
        | BulkVerb::PowerOn
        | BulkVerb::PowerOff
        | BulkVerb::Lock
        | BulkVerb::Unlock
        | BulkVerb::Delete => Vec::new(),
    };
    let mut form = Form::new("confirm", "/machines/bulk", csrf, fields);
    form.hidden = vec![("verb", name(verb).to_owned()), ("confirmed", "yes".to_owned())];
    form.hidden.extend(will.iter().map(|item| ("machine", item.id.clone())));
    form.danger = row(verb).3;
    if will.len() <= NAMED_IN_A_COMMAND {
        let machines: Vec<&str> = will.iter().map(|item| item.id.as_str()).collect();
        let known = vec![("verb", name(verb).to_owned()), ("machines", machines.join(" "))];
        form = form.command(pattern(verb), known);
    }
    let many = if will.len() == 1 { "1 machine".to_owned() } else { format!("{} machines", will.len()) };
    form.submit = format!("{}: {many}", label(verb));
    form
}

/// The command that does it.
fn pattern(verb: BulkVerb) -> &'static str {
    match verb {
        BulkVerb::AddTag | BulkVerb::RemoveTag => command::BULK_TAG,
        BulkVerb::SetPool => command::BULK_POOL,
        BulkVerb::SetZone => command::BULK_ZONE,
        _ => command::BULK,
    }
}

fn systems(images: &[Image]) -> Vec<(String, String)> {
    let mut names = vec![(String::new(), "The site's default image".to_owned())];
    for image in images.iter().filter(|i| i.kind == ImagePurpose::Os) {
        if !names.iter().any(|(name, _)| *name == image.name) {
            names.push((
                image.name.clone(),
                super::joined([Some(image.name.as_str()), Some(&image.title)], " — "),
            ));
        }
    }
    names
}

/// How far it is, and what was refused.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "bulk_result.html")]
pub struct ResultPage {
    /// Around it.
    pub layout: Layout,
    /// Number.
    pub id: i64,
    /// The action, for people.
    pub label: &'static str,
    /// Who asked for it, and when.
    pub asked: (String, Moment),
    /// There are machines that nobody has looked at.
    pub running: bool,
    /// Who ended it before its last machine; empty for nobody.
    pub stopped_by: String,
    /// Machines, those with which it was done, those that refused.
    pub counts: (i64, i64, i64),
    /// Those with which it was done, or is being done, the first of them; live.
    pub done: Vec<Row>,
    /// Machines that refused: identifier, name, why.
    pub refused: Vec<(String, String, String)>,
}

impl ResultPage {
    /// Of an action and the machines as they are now.
    pub fn new(layout: Layout, bulk: &Bulk, done: &[MachineSummary], now: OffsetDateTime) -> Self {
        let refused = bulk.refusals.iter();
        let refused = refused.map(|r| (r.machine.to_string(), r.hostname.clone(), sentence(&r.message)));
        Self {
            layout,
            id: bulk.id,
            label: label(bulk.verb),
            asked: (bulk.requested_by.clone(), Moment::new(bulk.created_at, now)),
            running: bulk.finished_at.is_none(),
            stopped_by: bulk.stopped_by.clone().unwrap_or_default(),
            counts: (bulk.total, bulk.done, bulk.refused),
            done: done.iter().map(|m| Row::new(m, false, now)).collect(),
            refused: refused.collect(),
        }
    }

    /// Machines that somebody has looked at.
    pub fn looked_at(&self) -> i64 {
        self.counts.1 + self.counts.2
    }

    /// Machines with which it was done and that are not shown.
    pub fn more(&self) -> i64 {
        self.counts.1.saturating_sub(i64::try_from(self.done.len()).unwrap_or(i64::MAX)).max(0)
    }
}

#[cfg(test)]
impl PreviewPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample::{MARKUP, actor, hostile, image, machine};
        let free = MachineSummary { status: Status::Ready, operation: None, ..hostile().summary };
        let machines = [free, machine().summary];
        let choices = Choices { images: &[image()], pools: vec![MARKUP.into()], zones: vec![MARKUP.into()] };
        Self::new(
            Layout::sample("Machines"),
            &actor(),
            BulkVerb::Deploy,
            &machines,
            &choices,
            "/machines".into(),
        )
    }
}

#[cfg(test)]
impl ResultPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample::{MARKUP, hostile};
        let bulk = serde_json::json!({
            "id": 3, "verb": "lock", "requested_by": MARKUP, "created_at": "2026-11-22T06:29:00Z", "total": 3, "done": 1, "refused": 1,
            "refusals": [{ "machine": "k3x9ab", "hostname": MARKUP, "message": MARKUP }],
        });
        let bulk: Bulk = serde_json::from_value(bulk).expect("a sample fits its model");
        Self::new(Layout::sample("Machines"), &bulk, &[hostile().summary], super::sample_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn ready() -> MachineSummary {
        MachineSummary { status: Status::Ready, operation: None, owner: None, ..sample::machine().summary }
    }

    fn of(role: Role) -> Actor {
        Actor { role, ..sample::actor() }
    }

    #[test]
    fn every_verb_is_in_the_table_under_its_name() {
        for (verb, word, shown, ..) in VERBS {
            assert_eq!((parse(word), name(verb), label(verb)), (Some(verb), word, shown));
        }
        assert_eq!(parse("explode"), None);
    }

    #[test]
    fn what_would_be_refused_says_why() {
        let busy = sample::machine().summary;
        let operator = of(Role::Operator);
        let said =
            |verb: BulkVerb, m: &MachineSummary, actor: &Actor| obstacle(verb, m, actor).unwrap_or_default();
        assert_eq!(said(BulkVerb::Deploy, &ready(), &operator), "");
        assert_eq!(said(BulkVerb::Deploy, &busy, &operator), "deploy is under way on it (operation 7)");
        assert_eq!(said(BulkVerb::Abort, &ready(), &operator), "nothing is under way on it");
        assert_eq!(said(BulkVerb::Release, &ready(), &operator), "this is not possible while it is Ready");
        let locked = MachineSummary { locked: true, ..ready() };
        assert_eq!(
            (said(BulkVerb::Deploy, &locked, &operator), said(BulkVerb::Unlock, &locked, &operator)),
            ("it is locked".into(), String::new())
        );
        let bare = MachineSummary { power_driver: None, ..ready() };
        assert_eq!(said(BulkVerb::PowerOn, &bare, &operator), "it has no BMC");
        let theirs = MachineSummary { owner: Some("ben".into()), ..ready() };
        assert_eq!(said(BulkVerb::Deploy, &theirs, &of(Role::User)), "it is ben's");
        assert_eq!(said(BulkVerb::Allocate, &ready(), &of(Role::User)), "");
    }

    #[test]
    fn a_preview_tells_both_and_asks_only_for_those_that_would() {
        let page = PreviewPage::sample();
        assert_eq!((page.will.len(), page.wont.len()), (1, 1));
        let form = page.form.unwrap();
        assert_eq!(form.hidden.iter().filter(|(name, _)| *name == "machine").count(), 1);
        assert_eq!(form.submit, "Deploy: 1 machine");
    }

    #[test]
    fn roles_have_their_verbs() {
        assert_eq!(choices(Role::Viewer), []);
        assert!(!choices(Role::User).iter().any(|(name, _)| *name == "delete"));
        assert_eq!(choices(Role::Operator).len(), VERBS.len());
    }
}
