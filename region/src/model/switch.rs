//! Switches: where they are, what is plugged in where, and the VLAN of a port.

use super::Timestamp;
use rackwright_common::switch::{SnmpAccess, SwitchPort, SwitchVlan};
use rackwright_common::{Mac, MachineId};
use serde::{Deserialize, Serialize};

/// A switch that racks read by SNMP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Switch {
    /// Number.
    pub id: i64,
    /// Its name here.
    pub name: String,
    /// Host name or address of its SNMP agent.
    pub address: String,
    /// UDP port of its SNMP agent.
    pub port: u16,
    /// How racks are let in, without what is secret: `SNMPv3 op, SHA-256, AES-128`.
    pub access: String,
    /// Seconds from one reading to the next.
    pub poll_seconds: i32,
    /// What it calls itself.
    pub system: String,
    /// What it says it is.
    pub description: String,
    /// How many ports it has.
    pub port_count: i64,
    /// When it was last read.
    #[serde(default)]
    pub read_at: Option<Timestamp>,
    /// The rack that tried last.
    #[serde(default)]
    pub rack: Option<String>,
    /// Why it could not be read the last time.
    #[serde(default)]
    pub error: Option<String>,
    /// Since when it is entered.
    pub created_at: Timestamp,
}

/// A switch with what it said the last time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SwitchDetail {
    /// The switch.
    #[serde(flatten)]
    pub switch: Switch,
    /// Its VLANs, by number.
    pub vlans: Vec<SwitchVlan>,
    /// Its ports, by number.
    pub ports: Vec<PortDetail>,
}

/// A port, and who is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PortDetail {
    /// The port.
    #[serde(flatten)]
    pub port: SwitchPort,
    /// The first twenty who were heard there, machines first.
    pub heard: Vec<HeardAt>,
    /// How many were heard there.
    pub heard_count: usize,
}

/// Somebody who was heard at a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HeardAt {
    /// Hardware address.
    pub mac: Mac,
    /// In which VLAN.
    #[serde(default)]
    pub vid: Option<u16>,
    /// The machine that has it.
    #[serde(default)]
    pub machine: Option<MachineId>,
    /// That machine's name.
    #[serde(default)]
    pub machine_name: Option<String>,
    /// That machine's interface.
    #[serde(default)]
    pub interface: Option<String>,
}

/// A switch to enter or to change into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSwitch {
    /// Its name here: lower-case letters, digits, inner hyphens.
    pub name: String,
    /// Host name or address of its SNMP agent.
    pub address: String,
    /// UDP port of its SNMP agent.
    #[serde(default = "default_port")]
    pub port: u16,
    /// How racks are let in. Of a switch that is there already: what is stored, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<SnmpAccess>,
    /// Seconds from one reading to the next, 10 to 86400.
    #[serde(default = "default_poll")]
    pub poll_seconds: i32,
}

fn default_port() -> u16 {
    161
}

fn default_poll() -> i32 {
    60
}

/// The VLAN of an access port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessVlan {
    /// 1 to 4094; the switch has it.
    #[schema(minimum = 1, maximum = 4094)]
    pub vid: u16,
}
