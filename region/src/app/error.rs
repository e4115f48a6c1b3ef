//! What can be wrong with a request, by its meaning to the caller. Nothing of the database's own text gets out.

use crate::db::DbError;
use crate::lifecycle::StartError;
use rackwright_common::bmc::BmcError;
use rackwright_common::switch::SwitchError;
use std::time::Duration;

/// Why a request was not carried out. The texts are for the one who asked: what was wrong, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing.
    #[error("there is no {what} {id}")]
    NotFound {
        /// The noun.
        what: &'static str,
        /// As the caller named it.
        id: String,
    },
    /// It does not go together with what there is.
    #[error("{message}")]
    Conflict {
        /// The field at fault, if one is.
        field: Option<&'static str>,
        /// What with, and what to do.
        message: String,
    },
    /// A value that cannot be.
    #[error("{message}")]
    Invalid {
        /// The field at fault.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// The caller may not.
    #[error("{0}")]
    Forbidden(String),
    /// Nobody knows who the caller is.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// Something else is under way; it will be possible later.
    #[error("{0}")]
    Busy(String),
    /// Somebody else has changed it since the caller read it.
    #[error("it was changed since you read it (now version {current}); read it again and repeat your change")]
    PreconditionFailed {
        /// The present version.
        current: i64,
    },
    /// Too many tries.
    #[error("too many failed logins; try again in {} seconds", retry_after.as_secs() + 1)]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The machine's BMC did not do it.
    #[error("{0}")]
    Bmc(#[from] BmcError),
    /// The switch did not do it.
    #[error("{0}")]
    Switch(#[from] SwitchError),
    /// The database does not answer.
    #[error("{}", outage(.0))]
    Unavailable(#[source] DbError),
    /// A fault of ours.
    #[error("an internal error; the region's log says more")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What app functions return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A value that cannot be.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), message: message.into() }
    }

    /// It does not go together with what there is.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict { field: None, message: message.into() }
    }

    /// There is no such thing.
    pub fn not_found(what: &'static str, id: impl ToString) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    /// A fault of ours.
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Box::new(source))
    }
}

/// Constraints, the field at fault, and what to say. `true`: the value clashes with another row (409); `false`: it
/// is wrong by itself (422).
const CONSTRAINTS: &[(&str, &str, bool, &str)] = &[
    ("user_name_unique", "name", true, "there is already a user of this name"),
    (
        "user_name_format",
        "name",
        false,
        "a user name is a lower-case letter, then up to 63 letters, digits, dots, hyphens or underscores",
    ),
    ("user_name_reserved", "name", true, "Rackwright's own parts have this name in events"),
    ("user_machine_limit_range", "machine_limit", false, "a limit is 0 or more, or -1 for none"),
    ("user_subject_unique", "subject", true, "the login provider knows another user by this"),
    (
        "user_subject_format",
        "subject",
        false,
        "give the provider's issuer and the subject with a blank between them, as a refused login shows them",
    ),
    ("notification_rule_pool_exists", "pool", false, "there is no such pool"),
    (
        "notification_rule_name_check",
        "name",
        false,
        "a name has 1 to 63 lower-case letters, digits and hyphens",
    ),
    ("login_provider_issuer_check", "issuer", false, "an address has 1 to 500 characters"),
    ("login_provider_client_id_check", "client_id", false, "a client id has 1 to 500 characters"),
    ("login_provider_base_url_check", "base_url", false, "an address has 1 to 500 characters"),
    ("login_provider_label_check", "label", false, "a label has 1 to 50 characters"),
    ("role_binding_pool_exists", "pools", false, "there is no such pool"),
    ("token_name_unique", "name", true, "you already have a token of this name"),
    ("token_name_check", "name", false, "a token's name has 1 to 100 characters"),
    ("ssh_key_unique", "public_key", true, "you already have this key"),
    ("ssh_key_public_key_check", "public_key", false, "a public key has 20 to 16384 characters"),
    ("fabric_name_unique", "name", true, "there is already a fabric of this name"),
    ("fabric_name_check", "name", false, "a name has 1 to 100 characters"),
    ("vlan_fabric_exists", "fabric", false, "there is no such fabric"),
    ("vlan_vid_range", "vid", false, "a VLAN number is 0 (untagged) to 4094"),
    ("vlan_vid_unique", "vid", true, "the fabric already has a VLAN of this number"),
    ("vlan_mtu_range", "mtu", false, "an MTU is 552 to 65535 bytes"),
    ("vlan_name_check", "name", false, "a name has 1 to 100 characters"),
    ("subnet_vlan_exists", "vlan", false, "there is no such VLAN"),
    ("subnet_gateway_inside", "gateway", false, "the gateway lies outside the subnet"),
    ("subnet_lease_range", "lease_seconds", false, "a lease lasts 60 to 604800 seconds"),
    ("subnet_overlap", "cidr", true, "the network overlaps with another subnet"),
    ("subnet_name_check", "name", false, "a name has 1 to 100 characters"),
    ("ip_range_subnet_exists", "subnet", false, "there is no such subnet"),
    ("ip_range_order", "last", false, "the last address comes before the first"),
    ("ip_range_overlap", "first", true, "the range overlaps with another range of the subnet"),
    ("vlan_space_exists", "space", false, "there is no such space"),
    ("vlan_relay_exists", "relay", false, "there is no such VLAN"),
    ("vlan_relay_chain", "relay", true, "a VLAN that is relayed to cannot relay itself, nor to itself"),
    ("space_name_unique", "name", true, "there is already a space of this name"),
    ("space_name_check", "name", false, "a name has 1 to 100 characters"),
    ("static_route_subnet_exists", "subnet", false, "there is no such subnet"),
    ("static_route_metric_range", "metric", false, "a metric is 0 or more"),
    ("static_route_unique", "destination", true, "the subnet already has this route"),
    ("static_route_family", "gateway", false, "destination and gateway are of one kind, IPv4 or IPv6"),
    ("static_route_gateway_inside", "gateway", false, "the gateway lies outside the subnet"),
    ("device_hostname_unique", "hostname", true, "there is already a device of this name"),
    ("ip_range_inside", "first", false, "the range lies outside its subnet"),
    ("ip_range_fixed", "first", true, "the range holds somebody's fixed address"),
    ("subnet_holds", "cidr", true, "something in the subnet lies outside this network"),
    ("fixed_address_inside", "address", false, "the address lies outside its subnet"),
    ("fixed_address_host", "address", false, "no host can have the network's or the broadcast address"),
    ("fixed_address_dynamic", "address", true, "the address lies in a dynamic range of its subnet"),
    ("fixed_address_taken", "address", true, "a machine has this address"),
    ("interface_mtu_range", "mtu", false, "an MTU is 552 to 65535 bytes"),
    ("interface_address_address_unique", "address", true, "another machine has this address"),
    ("virtual_interface_name_unique", "name", true, "the machine already has an interface of this name"),
    ("virtual_interface_mtu_range", "mtu", false, "an MTU is 552 to 65535 bytes"),
    ("virtual_interface_vlan_exists", "vlan", false, "there is no such VLAN"),
    ("reservation_mac_unique", "mac", true, "there is already a reservation for this MAC"),
    ("reservation_address_unique", "address", true, "this address is already reserved"),
    ("domain_name_unique", "name", true, "there is already a domain of this name"),
    ("domain_name_format", "name", false, "a domain is named like a host, with at most 200 characters"),
    ("domain_ttl_range", "ttl", false, "a time to live is 1 to 604800 seconds"),
    ("dns_record_unique", "data", true, "there is already this very record"),
    ("dns_record_ttl_range", "ttl", false, "a time to live is 1 to 604800 seconds"),
    ("dns_record_name_check", "name", false, "a name has 253 characters at most"),
    ("machine_domain_exists", "domain", false, "there is no such domain"),
    ("secondary_pkey", "name", true, "there is already a secondary of this name"),
    ("secondary_name_format", "name", false, "a name has 1 to 63 lower-case letters, digits and hyphens"),
    ("secondary_port_range", "port", false, "a port is 1 to 65535"),
    ("pool_name_check", "name", false, "a name has 1 to 63 lower-case letters, digits and inner hyphens"),
    ("zone_name_check", "name", false, "a name has 1 to 63 lower-case letters, digits and inner hyphens"),
    (
        "image_name_check",
        "name",
        false,
        "an image's name has 1 to 63 lower-case letters, digits, dots, hyphens or underscores",
    ),
    ("image_file_pkey", "files", false, "two files of the image have the same name"),
    ("image_file_sha256_check", "files", false, "a hash is 64 lower-case hexadecimal digits"),
    (
        "script_name_check",
        "name",
        false,
        "a script's name has 1 to 63 lower-case letters, digits, dots, hyphens or underscores",
    ),
    ("script_body_check", "body", false, "a script has 1 MiB at most"),
    ("machine_hostname_unique", "hostname", true, "there is already a machine of this name"),
    ("machine_pool_exists", "pool", false, "there is no such pool"),
    ("machine_zone_exists", "zone", false, "there is no such zone"),
    ("interface_mac_unique", "macs", true, "another machine has this MAC"),
    ("interface_address_unique", "address", true, "another machine has this address"),
    ("interface_mode_check", "mode", false, "the mode is auto, dhcp or link-up"),
    ("switch_name_unique", "name", true, "there is already a switch of this name"),
    ("switch_name_format", "name", false, "a name has 1 to 63 lower-case letters, digits and inner hyphens"),
    ("switch_address_given", "address", false, "say where its SNMP agent is: a host name or an address"),
    ("switch_port_range", "port", false, "a port is 1 to 65535"),
    ("switch_poll_range", "poll_seconds", false, "switches are read every 10 to 86400 seconds"),
    ("bmc_port_check", "port", false, "a port is 1 to 65535"),
];

/// What to say of a database that does not do what is asked.
fn outage(error: &DbError) -> &'static str {
    if error.is_disk_full() {
        "the database's disk is full; make room there and try again"
    } else {
        "the database does not answer; try again in a moment"
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Constraint { ref constraint, .. } => {
                match CONSTRAINTS.iter().find(|(name, ..)| name == constraint) {
                    Some((_, field, true, message)) => {
                        Self::Conflict { field: Some(field), message: (*message).to_owned() }
                    }
                    Some((_, field, false, message)) => Self::invalid(*field, *message),
                    None => Self::internal(error),
                }
            }
            DbError::NotFound => Self::not_found("row", "of that number"),
            DbError::Stale => Self::Busy("somebody else changed it at the same time; try again".into()),
            DbError::Unavailable(_) | DbError::ReadOnly if error.is_outage() => Self::Unavailable(error),
            DbError::Unavailable(_) if error.is_bad_text() => {
                Self::invalid("text", "text cannot hold the character NUL")
            }
            // The server answered, and it is our statement that it did not like.
            DbError::Unavailable(_)
            | DbError::Corrupt { .. }
            | DbError::Migrate(_)
            | DbError::TooOld { .. }
            | DbError::TooNew { .. }
            | DbError::ReadOnly => Self::internal(error),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        DbError::from(error).into()
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        let message = error.to_string();
        match error {
            StartError::NoMachine(id) => Self::not_found("machine", id),
            StartError::Illegal(illegal) => Self::Conflict {
                field: Some("status"),
                message: format!("this is not possible while the machine is {}", illegal.status),
            },
            StartError::Busy { .. } => Self::Busy(message),
            StartError::Locked(_) => Self::Conflict { field: Some("locked"), message },
            StartError::Precondition(_) => Self::Conflict { field: None, message },
            StartError::Db(error) => error.into(),
        }
    }
}

/// Puts a noun to a row that is not there, and a reason to one that cannot go because others refer to it.
pub trait Describe<T> {
    /// Says what was looked for.
    fn or_not_found(self, what: &'static str, id: impl ToString) -> Result<T>;
    /// Says what still refers to it.
    fn or_in_use(self, message: &str) -> Result<T>;
}

impl<T> Describe<T> for std::result::Result<T, DbError> {
    fn or_not_found(self, what: &'static str, id: impl ToString) -> Result<T> {
        self.map_err(|error| match error {
            DbError::NotFound => Error::not_found(what, id),
            other => other.into(),
        })
    }

    fn or_in_use(self, message: &str) -> Result<T> {
        self.map_err(|error| match error {
            DbError::Constraint { .. } => Error::conflict(message),
            other => other.into(),
        })
    }
}
