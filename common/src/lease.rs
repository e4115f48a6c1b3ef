//! What racks and regions tell each other of dynamic addresses: the messages of decision 0007, as they are on the line.
//! What they mean, and why no address gets two holders, is in `rackwright_dhcp::racks`.
//!
//! A rack reports about once a second and whenever something happened; each report is answered. All times of a rack are
//! by its own clock, in seconds since the Unix epoch; the regions' are by the database's.

use crate::snapshot::BlockView;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use uuid::Uuid;

/// From a rack: everything that it has to say, each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseReport {
    /// Names the rack's memory, its lease file. A box with another one has forgotten what it gave.
    pub memory: Uuid,
    /// Raised with each start on this memory.
    pub life: u64,
    /// When it was sent, by the rack's clock.
    pub sent_at: u64,
    /// What follows leaves nothing out after this number.
    pub after: u64,
    /// What happened and is durable on the rack, in the order of its numbers.
    pub facts: Vec<LeaseFact>,
    /// The changes up to this number are taken, though perhaps not durably yet.
    pub learned: u64,
    /// Subnets whose blocks have few free addresses left, by their numbers in the region.
    #[serde(default)]
    pub low: Vec<i64>,
}

/// One durable fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseFact {
    /// Counts up, with gaps; never used twice for two facts.
    pub number: u64,
    /// What.
    #[serde(flatten)]
    pub what: LeaseEvent,
}

/// What a rack reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fact")]
pub enum LeaseEvent {
    /// A dynamic address was acknowledged, or a client found it in use by something else.
    Lease {
        /// Which.
        address: Ipv4Addr,
        /// The client's key, hexadecimal.
        client: String,
        /// For how long from the report on, seconds.
        seconds: u64,
        /// The epoch of the rack's own block with the address; none when another rack's lease was extended.
        #[serde(default)]
        epoch: Option<u64>,
    },
    /// The rack durably acts on no change older than this one.
    CaughtUp {
        /// The regions' number.
        change: u64,
    },
    /// From a newer version.
    #[serde(other)]
    Unknown,
}

/// From a region: the answer to one report, read from the database at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseNews {
    /// The rack's number in the region.
    pub rack: i64,
    /// Of the report.
    pub memory: Uuid,
    /// Of the report.
    pub life: u64,
    /// Of the report.
    pub sent_at: u64,
    /// The rack's blocks; none where nothing has changed since `after`.
    #[serde(default)]
    pub blocks: Option<Vec<BlockView>>,
    /// The changes in `words` are all after this number,
    pub after: u64,
    /// up to this one.
    pub upto: u64,
    /// `words` are all that there is, not only changes.
    pub whole: bool,
    /// The rack's facts up to this number are stored.
    pub stored: u64,
    /// One for each address that changed.
    pub words: Vec<LeaseWord>,
    /// Which racks of each subnet are alive.
    #[serde(default)]
    pub live: Vec<LiveRacks>,
}

/// The state of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseWord {
    /// Which.
    pub address: Ipv4Addr,
    /// Whose it is, hexadecimal; none when that lease is not to be extended any more.
    #[serde(default)]
    pub client: Option<String>,
}

/// The racks of a subnet that regions hear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRacks {
    /// The subnet's network.
    pub network: Ipv4Net,
    /// Numbers of the racks, ascending.
    pub racks: Vec<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::ToRegion;

    #[test]
    fn a_report_is_on_the_line_as_documented_and_a_newer_fact_does_no_harm() {
        let report = LeaseReport {
            memory: Uuid::nil(),
            life: 2,
            sent_at: 1000,
            after: 4,
            facts: vec![LeaseFact { number: 5, what: LeaseEvent::CaughtUp { change: 9 } }],
            learned: 9,
            low: vec![],
        };
        let mut json = serde_json::to_value(ToRegion::Leases(report)).unwrap();
        assert_eq!(json["type"], "leases");
        assert_eq!(json["facts"][0], serde_json::json!({ "number": 5, "fact": "caught-up", "change": 9 }));
        json["facts"][0]["fact"] = "from-the-future".into();
        let ToRegion::Leases(read) = serde_json::from_value(json).unwrap() else { panic!("it is a report") };
        assert_eq!(read.facts[0], LeaseFact { number: 5, what: LeaseEvent::Unknown });
    }
}
