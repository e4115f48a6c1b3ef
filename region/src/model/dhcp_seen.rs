//! What racks saw beside another DHCP server.

use super::Timestamp;
use rackwright_common::Mac;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A client in shadow mode: what racks would have answered, and what it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DhcpShadow {
    /// In which subnet.
    pub subnet: i64,
    /// The client.
    pub mac: Mac,
    /// The rack that listened.
    pub rack: String,
    /// The address that it would have got; one of the dynamic ranges when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub ours: Option<IpAddr>,
    /// The boot file that it would have been named.
    #[serde(default)]
    pub boot_file: Option<String>,
    /// The address that it got.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub theirs: Option<IpAddr>,
    /// From which server.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub server: Option<IpAddr>,
    /// The two differ in what matters.
    pub differs: bool,
    /// The same for people.
    pub message: String,
    /// When.
    pub at: Timestamp,
}
