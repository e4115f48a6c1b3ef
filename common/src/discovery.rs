//! Somebody that a rack has heard on the network of its machines.

use crate::inventory::LldpNeighbour;
use crate::net::Mac;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What was heard. Told when it is new, when it has changed, and every ten minutes while it is heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The rack's interface.
    pub interface: String,
    /// Who.
    pub mac: Mac,
    /// An address that it has; none of the other end of the rack's own cable.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// What it calls itself (multicast DNS).
    #[serde(default)]
    pub hostname: Option<String>,
    /// What it says as the other end of the cable.
    #[serde(default)]
    pub lldp: Option<LldpNeighbour>,
}
