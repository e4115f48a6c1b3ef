//! Regions and racks.

use super::{Layout, Pill, Tone};
use crate::format::Moment;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::controller::{Rack, Region};
use time::OffsetDateTime;

/// A rack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RackRow {
    /// Name.
    pub name: String,
    /// Alive or not.
    pub state: Pill,
    /// Whether it runs the newest snapshot.
    pub snapshot: Pill,
    /// Running and newest generation.
    pub generations: String,
    /// Why it refused a snapshot.
    pub error: String,
    /// Addresses: interface, network.
    pub addresses: Vec<(String, String)>,
    /// Software version.
    pub version: String,
    /// Last heard.
    pub seen: Option<Moment>,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionRow {
    /// Name.
    pub name: String,
    /// Alive or not, or being drained.
    pub state: Pill,
    /// Where racks dial it.
    pub stream: String,
    /// Racks that have a stream to it.
    pub racks: Vec<String>,
    /// Whether its image store is complete.
    pub images: Pill,
    /// Files that it lacks.
    pub lacks: Vec<String>,
    /// Why they are not here yet.
    pub lacks_because: String,
    /// Software version.
    pub version: String,
    /// Since when it runs.
    pub started: Moment,
    /// Last sign of life.
    pub seen: Moment,
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "controllers.html")]
pub struct ControllersPage {
    /// Around it.
    pub layout: Layout,
    /// All regions.
    pub regions: Vec<RegionRow>,
    /// All racks.
    pub racks: Vec<RackRow>,
}

fn state(connected: bool) -> Pill {
    if connected { Pill::new(Tone::Good, "Alive") } else { Pill::new(Tone::Bad, "Not heard") }
}

impl ControllersPage {
    /// Of all controllers.
    pub fn new(layout: Layout, regions: &[Region], racks: &[Rack], now: OffsetDateTime) -> Self {
        let rack = |r: &Rack| RackRow {
            name: r.name.clone(),
            state: state(r.connected),
            snapshot: match (&r.error, r.running >= r.generation) {
                (Some(_), _) => Pill::new(Tone::Bad, "Refused"),
                (None, true) => Pill::new(Tone::Good, "Current"),
                (None, false) => Pill::new(Tone::Warning, "Behind"),
            },
            generations: format!("{} of {}", r.running, r.generation),
            error: r.error.clone().unwrap_or_default(),
            addresses: r.addresses.iter().map(|a| (a.interface.clone(), a.network.to_string())).collect(),
            version: r.version.clone(),
            seen: r.last_seen_at.map(|at| Moment::new(at, now)),
        };
        let region = |r: &Region| RegionRow {
            name: r.name.clone(),
            state: match (r.connected, r.draining) {
                (true, true) => Pill::new(Tone::Warning, "Draining"),
                (connected, _) => state(connected),
            },
            stream: r.stream.clone(),
            racks: r.racks.clone(),
            images: match r.lacks.len() {
                0 => Pill::new(Tone::Good, "All"),
                _ => Pill::new(Tone::Warning, "Lacks some"),
            },
            lacks: r.lacks.clone(),
            lacks_because: r.lacks_because.clone().unwrap_or_default(),
            version: r.version.clone(),
            started: Moment::new(r.started_at, now),
            seen: Moment::new(r.last_seen_at, now),
        };
        Self {
            layout,
            regions: regions.iter().map(region).collect(),
            racks: racks.iter().map(rack).collect(),
        }
    }
}

#[cfg(test)]
impl ControllersPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let (regions, racks) = super::sample::controllers();
        Self::new(Layout::sample("Controllers"), &regions, &racks, super::sample_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rack_that_runs_an_older_snapshot_is_behind() {
        let page = ControllersPage::sample();
        assert_eq!(page.racks[0].snapshot, Pill::new(Tone::Warning, "Behind"));
        assert_eq!(page.racks[0].generations, "41 of 42");
        assert_eq!(page.racks[1].snapshot, Pill::new(Tone::Bad, "Refused"));
        assert_eq!(page.racks[1].state, Pill::new(Tone::Bad, "Not heard"));
    }

    #[test]
    fn a_region_that_is_drained_or_lacks_images_says_so() {
        let page = ControllersPage::sample();
        assert_eq!(page.regions[0].state, Pill::new(Tone::Warning, "Draining"));
        assert_eq!(page.regions[0].images, Pill::new(Tone::Warning, "Lacks some"));
    }
}
