//! Static routes of machines and DHCP clients.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A route that machines with an address in a subnet have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StaticRoute {
    /// Number.
    pub id: i64,
    /// From which subnet.
    pub subnet: i64,
    /// Where to.
    #[schema(value_type = String, example = "10.200.0.0/16")]
    pub destination: IpNet,
    /// By way of; an address in the subnet.
    #[schema(value_type = String)]
    pub gateway: IpAddr,
    /// Among routes to one destination the lowest is taken.
    pub metric: i32,
}

/// A route to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStaticRoute {
    /// From which subnet.
    pub subnet: i64,
    /// Where to; without host bits.
    #[schema(value_type = String, example = "10.200.0.0/16")]
    pub destination: IpNet,
    /// By way of; an address in the subnet.
    #[schema(value_type = String)]
    pub gateway: IpAddr,
    /// Among routes to one destination the lowest is taken.
    #[serde(default)]
    pub metric: i32,
}
