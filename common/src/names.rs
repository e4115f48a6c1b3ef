//! Names as regions publish them and racks serve them.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// What a rack needs to answer names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamesView {
    /// All zones of the site, forward and reverse.
    pub zones: Vec<ZoneView>,
    /// The networks of the site: whoever is in one of them is answered about every name.
    pub clients: Vec<IpNet>,
    /// Servers that are asked about other names; the rack's own box knows some when there are none.
    pub upstreams: Vec<IpAddr>,
    /// Live racks on this rack's subnets that answer names, itself included.
    pub servers: Vec<Ipv4Addr>,
}

/// A zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneView {
    /// Its name, without the dot at the end.
    pub origin: String,
    /// Its serial.
    pub serial: u32,
    /// How long it holds that something is not there, seconds.
    pub minimum: u32,
    /// All records but the start of authority, in order.
    pub records: Vec<RecordView>,
}

/// A record in presentation form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordView {
    /// Owner, in full.
    pub name: String,
    /// Type, such as `A`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Time to live, seconds.
    pub ttl: u32,
    /// Data; names in it are full ones.
    pub data: String,
}
