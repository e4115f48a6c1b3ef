//! Regions and racks as users see them.

use super::Timestamp;
use rackwright_common::link::RackAddress;
use rackwright_common::ntp::TimeReport;
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
    /// Names of the regions that it has a stream to.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Blocks of dynamic addresses that are granted to it.
    #[serde(default)]
    pub blocks: i64,
    /// How many addresses those are.
    #[serde(default)]
    pub block_addresses: i64,
    /// Of a rack that is not heard and has blocks: from then on others may have its addresses, if it stays away. Earlier
    /// after a fence.
    #[serde(default)]
    pub blocks_free_at: Option<Timestamp>,
    /// When a person said that its box is off.
    #[serde(default)]
    pub fenced_at: Option<Timestamp>,
    /// How it has the time, while it is connected.
    #[serde(default)]
    pub time: Option<TimeReport>,
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
    /// How it has the time, while it lives; absent when it serves none.
    #[serde(default)]
    pub time: Option<TimeReport>,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// Last sign of life.
    pub last_seen_at: Timestamp,
}

/// What a site has and how it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SiteStatus {
    /// Version of the region that answers.
    pub version: String,
    /// Machines by status.
    #[schema(value_type = Object)]
    pub machines: std::collections::BTreeMap<String, i64>,
    /// Operations under way.
    pub operations_running: i64,
    /// Of those, by the region that looked at them last.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub operations_by_region: std::collections::BTreeMap<String, i64>,
    /// Notifications that their receiver refused: `pending` ones are tried again, `failed` ones were given up.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub notifications_refused: std::collections::BTreeMap<String, i64>,
    /// The last time that a region took over what another did not go on with.
    #[serde(default)]
    pub last_takeover: Option<Takeover>,
    /// The database's servers, as this region sees them.
    #[serde(default)]
    pub database: Vec<DatabaseServer>,
    /// Regions.
    pub regions: Vec<Region>,
    /// Racks.
    pub racks: Vec<Rack>,
}

/// A claim that expired and became another's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Takeover {
    /// Of which operation.
    pub operation: i64,
    /// When.
    pub at: Timestamp,
    /// Whose it was, as `REGION/NUMBER`.
    pub from: String,
    /// Whose it became.
    pub to: String,
    /// Since the first one was heard last, seconds.
    pub seconds: f64,
}

/// A server of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DatabaseServer {
    /// As `database_url` names it.
    pub name: String,
    /// What it is.
    pub role: DatabaseRole,
    /// Of a standby: bytes of the primary's log that it has not replayed, as far as both are known.
    #[serde(default)]
    pub lag_bytes: Option<i64>,
}

/// What a server of the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseRole {
    /// It takes writes.
    Primary,
    /// It follows the primary.
    Standby,
    /// It does not answer.
    Gone,
}

impl DatabaseRole {
    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::Gone => "gone",
        }
    }
}
