//! The first page: how many machines are where, what needs a person and the way out, what is under way, who did what.

use super::action::{Button, buttons};
use super::event::Row as EventRow;
use super::operation::Row as OperationRow;
use super::{Layout, Pill, Tone};
use crate::format::{Moment, capital};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::Status;
use rackwright_region::auth::Actor;
use rackwright_region::model::Page;
use rackwright_region::model::controller::SiteStatus;
use rackwright_region::model::discovery::WiringFault;
use rackwright_region::model::event::Event;
use rackwright_region::model::hardware_change::HardwareChange;
use rackwright_region::model::machine::MachineSummary;
use rackwright_region::model::operation::Operation;
use time::OffsetDateTime;

/// A number with its place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// What is counted.
    pub label: &'static str,
    /// Colour.
    pub tone: Tone,
    /// How many.
    pub count: i64,
    /// Where they are listed.
    pub href: String,
}

/// Something that does not go on by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its name.
    pub name: String,
    /// Its page.
    pub href: String,
    /// How it is.
    pub state: Pill,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Option<Moment>,
    /// Ways out: text and address.
    pub ways: Vec<(String, String)>,
}

/// A controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Name.
    pub name: String,
    /// `region` or `rack`.
    pub kind: &'static str,
    /// Alive or not.
    pub state: Pill,
    /// What a rack runs.
    pub snapshot: Option<Pill>,
}

/// Everything that the page is made of.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The site.
    pub status: &'a SiteStatus,
    /// Machines whose status is a failure.
    pub failed: &'a Page<MachineSummary>,
    /// Operations under way, newest first.
    pub running: &'a Page<Operation>,
    /// Latest events, newest first.
    pub events: &'a [Event],
    /// Interfaces that are elsewhere than the model says.
    pub faults: &'a [WiringFault],
    /// Parts of machines that are gone, newest first.
    pub missing: &'a [HardwareChange],
}

/// The page.
#[derive(Debug, Clone, PartialEq, Template, WebTemplate)]
#[template(path = "dashboard.html")]
pub struct Dashboard {
    /// Around it.
    pub layout: Layout,
    /// Nothing is deployed yet: the first steps are worth a look.
    pub first_steps: bool,
    /// Machines by status, all of them first.
    pub counts: Vec<Count>,
    /// What needs a person.
    pub troubles: Vec<Trouble>,
    /// Machines with trouble that are not shown here.
    pub more: i64,
    /// Where all of them are listed.
    pub all_failed: String,
    /// Under way.
    pub running: Vec<OperationRow>,
    /// How many are, over all.
    pub running_total: i64,
    /// Regions and racks.
    pub controllers: Vec<Controller>,
    /// Who did what.
    pub events: Vec<EventRow>,
}

/// The statuses that a machine does not leave by itself, as the API's filter.
pub fn failures() -> String {
    let failed = Status::ALL.iter().filter(|s| s.is_failed()).map(|s| s.as_str());
    failed.collect::<Vec<_>>().join(",")
}

impl Dashboard {
    /// Of all sources, for a person.
    pub fn new(layout: Layout, actor: &Actor, s: &Sources<'_>, now: OffsetDateTime) -> Self {
        let mut troubles = controllers_in_trouble(s.status, now);
        troubles.extend(s.failed.items.iter().map(|m| trouble(m, actor, now)));
        troubles.extend(s.faults.iter().map(|f| miswired(f, now)));
        troubles.extend(s.missing.iter().map(|c| missing(c, now)));
        let shown = i64::try_from(s.failed.items.len()).unwrap_or(i64::MAX);
        Self {
            layout,
            first_steps: s.status.machines.get(Status::Deployed.as_str()).is_none_or(|n| *n == 0),
            counts: counts(s.status),
            troubles,
            more: s.failed.total.saturating_sub(shown).max(0),
            all_failed: format!("/machines?status={}", failures()),
            running: s.running.items.iter().map(|o| OperationRow::new(o, now)).collect(),
            running_total: s.running.total,
            controllers: controllers(s.status),
            events: s.events.iter().map(|e| EventRow::new(e, now)).collect(),
        }
    }
}

/// An interface that is elsewhere than the model says.
fn miswired(f: &WiringFault, now: OffsetDateTime) -> Trouble {
    let own = f.machine.as_ref().map(|m| (format!("/machines/{m}"), "The machine"));
    let (href, way) = own.unwrap_or_else(|| ("/controllers".into(), "Controllers"));
    Trouble {
        name: f.name.clone(),
        state: Pill::new(Tone::Bad, "Wiring"),
        reason: f.message.clone(),
        since: Some(Moment::new(f.since, now)),
        ways: vec![(way.into(), href.clone()), ("Networks".into(), "/networks".into())],
        href,
    }
}

/// A part of a machine that was there.
fn missing(c: &HardwareChange, now: OffsetDateTime) -> Trouble {
    let href = format!("/machines/{}#changes", c.machine);
    Trouble {
        name: c.hostname.clone(),
        state: Pill::new(Tone::Bad, "Hardware"),
        reason: capital(&c.message),
        since: Some(Moment::new(c.at, now)),
        ways: vec![("It is meant…".into(), href.clone())],
        href,
    }
}

fn counts(status: &SiteStatus) -> Vec<Count> {
    let all = Count {
        label: "Machines",
        tone: Tone::Quiet,
        count: status.machines.values().sum(),
        href: "/machines".into(),
    };
    let of = |s: &Status| {
        let count = status.machines.get(s.as_str()).copied().filter(|n| *n > 0)?;
        Some(Count {
            label: s.label(),
            tone: Tone::of_status(*s),
            count,
            href: format!("/machines?status={}", s.as_str()),
        })
    };
    std::iter::once(all).chain(Status::ALL.iter().filter_map(of)).collect()
}

/// A machine that failed, with what its own page offers: those buttons never lead where the life cycle would refuse.
fn trouble(m: &MachineSummary, actor: &Actor, now: OffsetDateTime) -> Trouble {
    let href = format!("/machines/{}", m.id);
    let leads = |b: &Button| !matches!(b.verb, "lock" | "power" | "mark-broken" | "abort" | "rescue");
    let way = |b: Button| {
        let place = if b.form { format!("{href}#do-{}", b.verb) } else { href.clone() };
        (if b.form { format!("{}…", b.label) } else { b.label.to_owned() }, place)
    };
    let ways: Vec<_> = buttons(m, actor).into_iter().filter(leads).take(4).map(way).collect();
    Trouble {
        name: m.hostname.to_string(),
        state: Pill::of_status(m.status),
        reason: capital(&m.status_message),
        since: Some(Moment::new(m.status_since, now)),
        ways,
        href,
    }
}

/// Racks and regions that are not heard, and snapshots that were refused.
fn controllers_in_trouble(status: &SiteStatus, now: OffsetDateTime) -> Vec<Trouble> {
    let silent = |name: &str, kind: &str, seen: Option<Moment>, cure: &str| Trouble {
        name: name.to_owned(),
        href: "/controllers".into(),
        state: Pill::new(Tone::Bad, "Not heard"),
        reason: format!("The {kind} says nothing. {cure}"),
        since: seen,
        ways: vec![("Controllers".into(), "/controllers".into())],
    };
    let cure = "See that its box and its network work and that it runs. Other racks of its networks go on.";
    let racks = status.racks.iter().filter_map(|r| match (&r.error, r.connected) {
        (_, false) => Some(silent(&r.name, "rack", r.last_seen_at.map(|at| Moment::new(at, now)), cure)),
        (Some(error), true) => Some(Trouble {
            state: Pill::new(Tone::Bad, "Refused a snapshot"),
            reason: capital(error),
            ..silent(&r.name, "rack", None, "")
        }),
        (None, true) => None,
    });
    let cure = "See that its box works and that it runs. Other regions go on with its work.";
    let gone = status.regions.iter().filter(|r| !r.connected);
    let regions = gone.map(|r| silent(&r.name, "region", Some(Moment::new(r.last_seen_at, now)), cure));
    regions.chain(racks).collect()
}

fn controllers(status: &SiteStatus) -> Vec<Controller> {
    let state =
        |alive: bool| if alive { Pill::new(Tone::Good, "Alive") } else { Pill::new(Tone::Bad, "Not heard") };
    let regions = status.regions.iter().map(|r| Controller {
        name: r.name.clone(),
        kind: "region",
        state: state(r.connected),
        snapshot: None,
    });
    let racks = status.racks.iter().map(|r| {
        let behind = r.connected && r.running < r.generation;
        Controller {
            name: r.name.clone(),
            kind: "rack",
            state: state(r.connected),
            snapshot: behind.then(|| Pill::new(Tone::Warning, "Behind")),
        }
    });
    regions.chain(racks).collect()
}

#[cfg(test)]
impl Dashboard {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample;
        let (detail, events) = sample::hostile_operation();
        let failed = Page { items: vec![sample::hostile().summary], total: 3, next_cursor: None };
        let running = Page { items: vec![detail.operation], total: 1, next_cursor: None };
        let sources = Sources {
            status: &sample::site_status(),
            failed: &failed,
            running: &running,
            events: &events,
            faults: &sample::wiring_faults(),
            missing: &[sample::hardware_change()],
        };
        Self::new(Layout::sample("Overview"), &sample::actor(), &sources, super::sample_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{sample, sample_now};

    #[test]
    fn what_failed_says_why_and_leads_out() {
        let m = MachineSummary {
            status: Status::FailedTesting,
            status_message: "disk-quick failed".into(),
            operation: None,
            ..sample::machine().summary
        };
        let shown = trouble(&m, &sample::actor(), sample_now());
        assert_eq!(shown.reason, "disk-quick failed");
        let ways: Vec<_> = shown.ways.iter().map(|(text, href)| (text.as_str(), href.as_str())).collect();
        assert_eq!(ways[0], ("Test…", "/machines/k3x9ab#do-test"));
        assert!(ways.contains(&("Override tests…", "/machines/k3x9ab#do-override")), "{ways:?}");
    }

    #[test]
    fn a_rack_that_is_gone_and_one_that_refused_need_a_person() {
        let page = Dashboard::sample();
        // One rack is only behind; the other is gone.
        assert_eq!(page.troubles.len(), 4);
        assert_eq!(page.troubles[0].state, Pill::new(Tone::Bad, "Not heard"));
        assert_eq!((page.more, page.controllers.len()), (2, 3));
        assert_eq!(page.controllers[1].snapshot, Some(Pill::new(Tone::Warning, "Behind")));
    }

    #[test]
    fn a_part_that_is_gone_needs_a_person_who_says_that_it_is_meant() {
        let lost = Dashboard::sample().troubles.pop().unwrap();
        assert_eq!(lost.state, Pill::new(Tone::Bad, "Hardware"));
        assert_eq!(lost.ways, [("It is meant…".to_owned(), "/machines/k3x9ab#changes".to_owned())]);
    }

    #[test]
    fn machines_are_counted_and_led_to() {
        let page = Dashboard::sample();
        let counts: Vec<_> = page.counts.iter().map(|c| (c.label, c.count)).collect();
        assert_eq!(counts, [("Machines", 4), ("Ready", 3), ("Broken", 1)]);
        assert!(
            failures().contains("failed-testing")
                && failures().contains("broken")
                && !failures().contains("ready")
        );
    }
}
