//! Spaces: VLANs between which traffic may flow, named by people.

use serde::{Deserialize, Serialize};

/// A space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Space {
    /// Number.
    pub id: i64,
    /// Name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Its VLANs, by number of the row.
    pub vlans: Vec<i64>,
}

/// A space to make or to change into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSpace {
    /// Name, 1 to 100 characters.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
}
