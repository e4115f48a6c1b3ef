//! Keys that zones are signed with (DNSSEC), as users see them.

use super::Timestamp;
use serde::{Deserialize, Serialize};

/// A key that a zone is signed with. Its secret is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DnsKey {
    /// Number.
    pub id: i64,
    /// Its zone: a domain, or reverse names.
    pub zone: String,
    /// The number that resolvers call it by (RFC 4034 appendix B).
    pub tag: i32,
    /// `ED25519` (RFC 8080).
    pub algorithm: String,
    /// The key as a zone file has it; resolvers that are told of it trust the zone.
    pub dnskey: String,
    /// What the zone above has to have of it, as a zone file has it.
    pub ds: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// A key to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDnsKey {
    /// The zone that is to be signed with it: a domain, or reverse names.
    pub zone: String,
}

/// How a key is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct KeyRemoval {
    /// Also the last one of a zone, which is then not signed any more.
    #[serde(default)]
    pub unsign: bool,
}
