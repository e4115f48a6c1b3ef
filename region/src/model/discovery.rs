//! Who was heard on the networks of machines, and interfaces that are elsewhere than the model says.

use super::Timestamp;
use super::page::PageQuery;
use rackwright_common::inventory::LldpNeighbour;
use rackwright_common::{Hostname, Mac, MachineId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What the model knows of somebody who was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// Nothing.
    Unknown,
    /// A machine has this MAC.
    Machine,
    /// A reservation is for this MAC.
    Reservation,
    /// A rack controller has it.
    Controller,
    /// Somebody said that nobody wants to hear of it.
    Ignored,
}

impl Known {
    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Machine => "machine",
            Self::Reservation => "reservation",
            Self::Controller => "controller",
            Self::Ignored => "ignored",
        }
    }
}

/// Somebody that a rack has heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Discovery {
    /// Number.
    pub id: i64,
    /// Hardware address.
    pub mac: Mac,
    /// Who made the hardware, by the MAC.
    #[serde(default)]
    pub vendor: Option<String>,
    /// Its address; none of the other end of the rack's own cable.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// What it calls itself (multicast DNS).
    #[serde(default)]
    pub hostname: Option<String>,
    /// What it says as the other end of the rack's cable.
    #[serde(default)]
    pub lldp: Option<LldpNeighbour>,
    /// The rack that heard it.
    pub rack: String,
    /// On this interface of the rack.
    pub interface: String,
    /// The subnet that the address lies in.
    #[serde(default)]
    pub subnet: Option<i64>,
    /// What the model knows of it.
    pub known: Known,
    /// The machine that it is.
    #[serde(default)]
    pub machine: Option<MachineId>,
    /// That machine's name.
    #[serde(default)]
    pub machine_name: Option<String>,
    /// When it was heard first.
    pub first_seen_at: Timestamp,
    /// When it was heard last; told every ten minutes.
    pub last_seen_at: Timestamp,
}

/// Which discoveries, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DiscoveryQuery {
    /// Those too that the model knows or that are ignored.
    #[serde(default)]
    pub all: bool,
    /// With an address of this subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<i64>,
    /// Rows on the page, 1 to 1000; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl DiscoveryQuery {
    /// Its page.
    pub fn page(&self) -> PageQuery {
        PageQuery { limit: self.limit, cursor: self.cursor.clone() }
    }
}

/// How a discovery becomes a machine or a reservation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Adoption {
    /// Its name; what it calls itself when absent.
    #[serde(default)]
    pub hostname: Option<Hostname>,
    /// Commission the machine at once.
    #[serde(default)]
    pub commission: bool,
}

/// Whether something is to be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Whether {
    /// It is.
    pub on: bool,
}

/// An interface that is elsewhere than the model says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WiringFault {
    /// Of this machine.
    #[serde(default)]
    pub machine: Option<MachineId>,
    /// Of this rack.
    #[serde(default)]
    pub rack: Option<String>,
    /// The name of the machine or the rack.
    pub name: String,
    /// Interface.
    pub interface: String,
    /// The switch at the other end.
    pub switch: String,
    /// Its port.
    pub port: String,
    /// The VLAN that is untagged there.
    pub seen_vid: i32,
    /// The VLAN of the interface's subnet.
    pub model_vid: i32,
    /// All of it in a sentence.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// Whose faults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WiringQuery {
    /// Of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
}
