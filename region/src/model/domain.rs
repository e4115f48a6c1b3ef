//! Domains and the records in them, as users see and change them.

use super::Timestamp;
use rackwright_common::Secret;
use rackwright_common::secret::exposed;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A domain that the regions are the authority of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Domain {
    /// Number.
    pub id: i64,
    /// Name, without the dot at its end.
    pub name: String,
    /// Time to live of records that have none of their own, seconds.
    pub ttl: i32,
    /// Machines that name no other domain, and all controllers, are in this one.
    pub is_default: bool,
    /// Records entered by people.
    pub records: i64,
}

/// A domain to make or to change into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDomain {
    /// Name: host-name labels with dots between.
    pub name: String,
    /// Time to live of records that have none of their own, 1 to 604800 seconds; 60 when absent.
    #[serde(default = "ttl")]
    pub ttl: i32,
    /// Makes it the default domain, in the place of the one that is.
    #[serde(default)]
    pub is_default: bool,
}

fn ttl() -> i32 {
    60
}

/// A record that somebody entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DnsRecord {
    /// Number.
    pub id: i64,
    /// Name of its domain.
    pub domain: String,
    /// Its name, in full.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, `MX`, `NS`, `SRV`, `TXT`, `SSHFP` or `CAA`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Data as zone files have it; names in it are full ones.
    pub data: String,
    /// Time to live, seconds; its domain's when absent.
    #[serde(default)]
    pub ttl: Option<i32>,
    /// Since when.
    pub created_at: Timestamp,
}

/// A record to enter, or to change into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDnsRecord {
    /// Its name, in full; its domain is found by it.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, `MX`, `NS`, `SRV`, `TXT`, `SSHFP` or `CAA`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Data as zone files have it, such as `10 mail.lab.example` of MX; names in it are full ones.
    pub data: String,
    /// Time to live, 1 to 604800 seconds; its domain's when absent.
    #[serde(default)]
    pub ttl: Option<i32>,
}

/// Which records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DomainQuery {
    /// Of the domain of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// A zone as it is published: a domain, or the reverse names of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Zone {
    /// Name.
    pub origin: String,
    /// Serial; the same on all regions.
    pub serial: i64,
    /// Records, without the start of authority.
    pub records: i64,
    /// When it last changed.
    pub changed_at: Timestamp,
}

/// A name as it is published, entered by somebody or derived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PublishedName {
    /// In full.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Time to live, seconds.
    pub ttl: i32,
    /// Data.
    pub data: String,
}

/// Which published names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NameQuery {
    /// Of this zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// That hold this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
}

/// A name server that gets copies of all zones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Secondary {
    /// Its name, and that of its key.
    pub name: String,
    /// Where it is told of changes.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Its port.
    pub port: i32,
    /// Since when.
    pub created_at: Timestamp,
    /// What it copied last, of each zone that it ever copied.
    #[serde(default)]
    pub copies: Vec<SecondaryCopy>,
}

/// The last copy of a zone that a secondary got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SecondaryCopy {
    /// The zone.
    pub zone: String,
    /// The serial that it got.
    pub serial: i64,
    /// When it got it, or was last told that it has it.
    pub copied_at: Timestamp,
    /// The zone changed more than five minutes ago, and it has not got that.
    pub behind: bool,
}

/// A secondary to enter.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecondary {
    /// Its name, and that of its key (TSIG): lower-case letters, digits and hyphens.
    pub name: String,
    /// Where it is told of changes.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Its port; 53 when absent.
    #[serde(default = "port")]
    pub port: i32,
}

fn port() -> i32 {
    53
}

/// The key of a secondary, shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SecondaryKey {
    /// Its name.
    pub name: String,
    /// `hmac-sha256`.
    pub algorithm: String,
    /// The key in base64.
    #[serde(with = "exposed")]
    #[schema(value_type = String)]
    pub secret: Secret<String>,
}
