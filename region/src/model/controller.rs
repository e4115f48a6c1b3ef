//! Regions and racks as users see them.

use super::Timestamp;
use rackwright_common::link::RackAddress;
use serde::{Deserialize, Serialize};

/// A rack controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rack {
    /// Number.
    pub id: i64,
    /// Name; the one in its certificate.
    pub name: String,
    /// Software version.
    pub version: String,
    /// A region hears it.
    pub connected: bool,
    /// Where machines reach it.
    #[schema(value_type = Vec<Object>)]
    pub addresses: Vec<RackAddress>,
    /// The generation of the snapshot it runs.
    pub running: i64,
    /// The newest generation made for it.
    pub generation: i64,
    /// Why it refused a snapshot.
    #[serde(default)]
    pub error: Option<String>,
    /// Last heard.
    #[serde(default)]
    pub last_seen_at: Option<Timestamp>,
    /// When a person said that its box is off.
    #[serde(default)]
    pub fenced_at: Option<Timestamp>,
    /// Enrolled.
    pub created_at: Timestamp,
}

/// A rack that was declared off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RackFence {
    /// From then on its dynamic addresses may go to other racks: the last lease that it can have given is over.
    pub blocks_free_at: Timestamp,
}

/// A region controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Region {
    /// Name.
    pub name: String,
    /// Software version.
    pub version: String,
    /// Lives: it was heard within the last three seconds.
    pub connected: bool,
    /// It takes no new work, because somebody wants to stop it.
    #[serde(default)]
    pub draining: bool,
    /// `host:port` where racks dial it.
    pub stream: String,
    /// Names of the racks that have a stream to it.
    #[serde(default)]
    pub racks: Vec<String>,
    /// Files of images that its store does not have yet, as `name@version/file`.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Why the last attempt to fetch one of them failed.
    #[serde(default)]
    pub lacks_because: Option<String>,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// Last sign of life.
    pub last_seen_at: Timestamp,
}

/// What a site has and how it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SiteStatus {
    /// Version of the region that answers.
    pub version: String,
    /// Machines by status.
    #[schema(value_type = Object)]
    pub machines: std::collections::BTreeMap<String, i64>,
    /// Operations under way.
    pub operations_running: i64,
    /// Regions.
    pub regions: Vec<Region>,
    /// Racks.
    pub racks: Vec<Rack>,
}
