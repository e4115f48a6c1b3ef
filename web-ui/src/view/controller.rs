//! Regions and racks.

use super::{Layout, Pill, Tone};
use crate::format::{self, Moment};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::ntp::{TimeReport, TimeState};
use rackwright_region::model::controller::{DatabaseRole, DatabaseServer, Rack, Region, SiteStatus};
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
    /// Regions that it has a stream to.
    pub regions: Vec<String>,
    /// Dynamic addresses that are granted to it.
    pub granted: String,
    /// Of one that is not heard: from when on others may have those.
    pub free_at: Option<Moment>,
    /// A person said that its box is off.
    pub fenced: bool,
    /// Whether it gives the time; nothing when it serves none.
    pub time: Option<Clock>,
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
    /// Operations that it looked at last.
    pub operations: i64,
    /// Whether its image store is complete.
    pub images: Pill,
    /// Files that it lacks.
    pub lacks: Vec<String>,
    /// Why they are not here yet.
    pub lacks_because: String,
    /// Whether it gives the time; nothing when it serves none.
    pub time: Option<Clock>,
    /// Software version.
    pub version: String,
    /// Since when it runs.
    pub started: Moment,
    /// Last sign of life.
    pub seen: Moment,
}

/// How a controller has the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// In a word.
    pub state: Pill,
    /// More about it.
    pub message: String,
}

/// A server of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseRow {
    /// Name.
    pub name: String,
    /// What it is.
    pub role: Pill,
    /// How far behind it is.
    pub lag: String,
}

/// The last takeover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeoverLine {
    /// Of which operation.
    pub operation: i64,
    /// When.
    pub at: Moment,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: String,
    /// Since the first was heard last.
    pub after: String,
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
    /// The database's servers.
    pub database: Vec<DatabaseRow>,
    /// The last takeover.
    pub takeover: Option<TakeoverLine>,
}

fn state(connected: bool) -> Pill {
    if connected { Pill::new(Tone::Good, "Alive") } else { Pill::new(Tone::Bad, "Not heard") }
}

fn clock(time: &TimeReport) -> Option<Clock> {
    let state = match time.state {
        TimeState::Off => return None,
        TimeState::Synchronised => Pill::new(Tone::Good, "Synchronised"),
        TimeState::Unsynchronised => Pill::new(Tone::Warning, "Has none"),
        TimeState::Starting => Pill::new(Tone::Busy, "Starting"),
        TimeState::Failed => Pill::new(Tone::Bad, "Not served"),
        TimeState::Unknown => Pill::new(Tone::Quiet, "Unknown"),
    };
    Some(Clock { state, message: time.message.clone() })
}

impl ControllersPage {
    /// Of all controllers.
    pub fn new(layout: Layout, status: &SiteStatus, now: OffsetDateTime) -> Self {
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
            regions: r.regions.clone(),
            granted: format!(
                "{} in {}",
                r.block_addresses,
                match r.blocks {
                    1 => "1 block".to_owned(),
                    blocks => format!("{blocks} blocks"),
                }
            ),
            free_at: r.blocks_free_at.map(|at| Moment::new(at, now)),
            fenced: r.fenced_at.is_some(),
            time: r.time.as_ref().and_then(clock),
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
            operations: status.operations_by_region.get(&r.name).copied().unwrap_or(0),
            images: match r.lacks.len() {
                0 => Pill::new(Tone::Good, "All"),
                _ => Pill::new(Tone::Warning, "Lacks some"),
            },
            lacks: r.lacks.clone(),
            lacks_because: r.lacks_because.clone().unwrap_or_default(),
            time: r.time.as_ref().and_then(clock),
            version: r.version.clone(),
            started: Moment::new(r.started_at, now),
            seen: Moment::new(r.last_seen_at, now),
        };
        Self {
            layout,
            regions: status.regions.iter().map(region).collect(),
            racks: status.racks.iter().map(rack).collect(),
            database: status.database.iter().map(server).collect(),
            takeover: status.last_takeover.as_ref().map(|t| TakeoverLine {
                operation: t.operation,
                at: Moment::new(t.at, now),
                from: t.from.clone(),
                to: t.to.clone(),
                after: format::duration(t.seconds),
            }),
        }
    }
}

fn server(server: &DatabaseServer) -> DatabaseRow {
    DatabaseRow {
        name: server.name.clone(),
        role: match server.role {
            DatabaseRole::Primary => Pill::new(Tone::Good, "Primary"),
            DatabaseRole::Standby => Pill::new(Tone::Good, "Standby"),
            DatabaseRole::Gone => Pill::new(Tone::Bad, "Not heard"),
        },
        lag: server.lag_bytes.and_then(|lag| u64::try_from(lag).ok()).map(format::bytes).unwrap_or_default(),
    }
}

#[cfg(test)]
impl ControllersPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        Self::new(Layout::sample("Controllers"), &super::sample::site_status(), super::sample_now())
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
    fn of_a_rack_that_is_gone_it_says_when_others_may_have_its_addresses_and_the_way_out() {
        let page = ControllersPage::sample();
        assert!(page.racks[0].free_at.is_none());
        let html = page.render().expect("the template takes its sample");
        assert_eq!(html.matches("rackwright rack fence").count(), 1);
        assert!(html.contains("2026-11-23T10:00:00Z"), "{html}");
    }

    #[test]
    fn a_takeover_and_the_servers_of_the_database_are_told() {
        let page = ControllersPage::sample();
        let takeover = page.takeover.expect("the sample has one");
        assert_eq!((takeover.operation, takeover.after.as_str()), (7, "10 s"));
        let roles: Vec<_> = page.database.iter().map(|row| (row.role.clone(), row.lag.as_str())).collect();
        assert_eq!(roles[0], (Pill::new(Tone::Good, "Primary"), ""));
        assert_eq!(roles[1], (Pill::new(Tone::Good, "Standby"), format::bytes(4096).as_str()));
        assert_eq!(roles[2], (Pill::new(Tone::Bad, "Not heard"), ""));
        assert_eq!(page.regions[0].operations, 1);
        assert_eq!(page.racks[0].granted, "64 in 2 blocks");
    }

    #[test]
    fn a_region_that_is_drained_or_lacks_images_says_so() {
        let page = ControllersPage::sample();
        assert_eq!(page.regions[0].state, Pill::new(Tone::Warning, "Draining"));
        assert_eq!(page.regions[0].images, Pill::new(Tone::Warning, "Lacks some"));
    }
}
