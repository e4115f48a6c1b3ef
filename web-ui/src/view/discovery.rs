//! Who was heard on the networks, and what to do with it; interfaces that are elsewhere than the model says.

use super::{Layout, Pill, Tone};
use crate::format::Moment;
use askama::Template;
use askama::filters::HtmlSafe;
use askama_web::WebTemplate;
use rackwright_region::model::discovery::{Discovery, Known, WiringFault};
use rackwright_region::model::{Page, Role};
use time::OffsetDateTime;

/// Somebody who was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Number.
    pub id: i64,
    /// Hardware address.
    pub mac: String,
    /// Maker.
    pub vendor: String,
    /// Address.
    pub address: String,
    /// What it calls itself, or its port as the other end of a cable.
    pub name: String,
    /// What the model knows.
    pub known: Pill,
    /// The machine that it is.
    pub machine: String,
    /// Rack and interface.
    pub by: String,
    /// When first.
    pub first: Moment,
    /// When last.
    pub last: Moment,
    /// It may become a machine, or be ignored.
    pub open: bool,
    /// It has an address that can be reserved.
    pub reservable: bool,
    /// It is ignored.
    pub ignored: bool,
}

impl Row {
    fn new(d: &Discovery, now: OffsetDateTime) -> Self {
        let port =
            d.lldp.as_ref().map(|l| format!("{} port {}", l.system.as_ref().unwrap_or(&l.chassis), l.port));
        let tone = match d.known {
            Known::Unknown => Tone::Warning,
            Known::Machine | Known::Reservation | Known::Controller => Tone::Good,
            Known::Ignored => Tone::Quiet,
        };
        let open = d.known == Known::Unknown;
        Self {
            id: d.id,
            mac: d.mac.to_string(),
            vendor: d.vendor.clone().unwrap_or_default(),
            address: d.address.map(|a| a.to_string()).unwrap_or_default(),
            name: d.machine_name.clone().or_else(|| d.hostname.clone()).or(port).unwrap_or_default(),
            known: Pill::new(tone, d.known.as_str()),
            machine: d.machine.as_ref().map(ToString::to_string).unwrap_or_default(),
            by: format!("{} {}", d.rack, d.interface),
            first: Moment::new(d.first_seen_at, now),
            last: Moment::new(d.last_seen_at, now),
            open,
            reservable: open && d.address.is_some_and(|a| a.is_ipv4()) && d.subnet.is_some(),
            ignored: d.known == Known::Ignored,
        }
    }
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "discoveries.html")]
pub struct DiscoveriesPage {
    /// Around it.
    pub layout: Layout,
    /// Newest first.
    pub rows: Vec<Row>,
    /// All there are.
    pub total: i64,
    /// The known ones too.
    pub all: bool,
    /// The visitor may act.
    pub may: bool,
    /// Where the next page is.
    pub next: Option<String>,
    /// Faults of the wiring.
    pub wiring: Wiring,
}

impl DiscoveriesPage {
    /// Of a page of discoveries.
    pub fn new(
        layout: Layout,
        found: &Page<Discovery>,
        all: bool,
        faults: &[WiringFault],
        now: OffsetDateTime,
    ) -> Self {
        Self {
            rows: found.items.iter().map(|d| Row::new(d, now)).collect(),
            total: found.total,
            all,
            may: layout.role >= Role::Operator,
            next: found.next_cursor.clone(),
            wiring: Wiring::new(faults, now),
            layout,
        }
    }
}

/// Interfaces that are elsewhere than the model says, as notices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(path = "wiring.html")]
pub struct Wiring {
    /// Sentence, since when, and the machine's page.
    pub faults: Vec<(String, Moment, Option<String>)>,
}

impl HtmlSafe for Wiring {}

impl Wiring {
    /// Of faults.
    pub fn new(faults: &[WiringFault], now: OffsetDateTime) -> Self {
        let one = |f: &WiringFault| {
            let page = f.machine.as_ref().map(|m| format!("/machines/{m}"));
            (f.message.clone(), Moment::new(f.since, now), page)
        };
        Self { faults: faults.iter().map(one).collect() }
    }
}

#[cfg(test)]
impl DiscoveriesPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample;
        let found = Page::whole(sample::discoveries());
        Self::new(Layout::sample("Discovery"), &found, true, &sample::wiring_faults(), super::sample_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_unknown_may_become_something_and_who_is_known_not() {
        let page = DiscoveriesPage::sample();
        assert_eq!((page.rows[0].open, page.rows[0].reservable), (true, true));
        assert_eq!((page.rows[1].open, page.rows[1].machine.as_str()), (false, "k3x9ab"));
        assert!(page.to_string().contains(r#"action="/discoveries/1/machine""#));
    }
}
