//! Devices: things with a name and fixed addresses that are not machines. Printers, switches, BMCs.

use super::Timestamp;
use rackwright_common::{Hostname, Mac};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Device {
    /// Number.
    pub id: i64,
    /// Its name in the DNS.
    pub hostname: Hostname,
    /// For people.
    pub description: String,
    /// Its addresses; each is a reservation.
    pub addresses: Vec<DeviceAddress>,
    /// Since when.
    pub created_at: Timestamp,
}

/// An address of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceAddress {
    /// Hardware address.
    pub mac: Mac,
    /// The address that DHCP always gives it; outside of dynamic ranges.
    #[schema(value_type = String)]
    pub address: IpAddr,
}

/// A device to make or to change into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// Its name in the DNS; no machine and no other device has it.
    pub hostname: Hostname,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// All its addresses.
    #[serde(default)]
    pub addresses: Vec<DeviceAddress>,
}
