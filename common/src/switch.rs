//! Network switches: how a rack reaches one by SNMP, what it read there, and the one thing it may change.

use crate::inventory::LldpNeighbour;
use crate::net::Mac;
use crate::secret::{Secret, exposed};
use serde::{Deserialize, Serialize};

/// A switch, and how to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchEndpoint {
    /// Host name or address.
    pub address: String,
    /// UDP port; 161 as a rule.
    pub port: u16,
    /// Credentials.
    pub access: SnmpAccess,
}

/// Versions of SNMP with what each needs to let somebody in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "version")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SnmpAccess {
    /// SNMPv2c: one word, in the clear.
    V2c {
        /// The word.
        #[serde(with = "exposed")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        community: Secret<String>,
    },
    /// SNMPv3, authenticated and encrypted (RFC 3414 authPriv).
    V3 {
        /// User name.
        username: String,
        /// Hash of the authentication.
        authentication: SnmpAuthentication,
        /// Eight characters at least.
        #[serde(with = "exposed")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        authentication_password: Secret<String>,
        /// Cipher.
        privacy: SnmpPrivacy,
        /// Eight characters at least.
        #[serde(with = "exposed")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        privacy_password: Secret<String>,
    },
}

/// Hashes of SNMPv3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SnmpAuthentication {
    /// HMAC-SHA-1-96 (RFC 3414).
    Sha1,
    /// HMAC-SHA-256-192 (RFC 7860).
    Sha256,
    /// HMAC-SHA-512-384 (RFC 7860).
    Sha512,
}

/// Ciphers of SNMPv3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SnmpPrivacy {
    /// AES-128 in CFB mode (RFC 3826).
    Aes128,
    /// AES-256 in CFB mode; needs a hash of 256 bits at least, as how shorter ones are stretched is no standard.
    Aes256,
}

impl SnmpAccess {
    /// How somebody is let in, for people: without what is secret.
    pub fn shown(&self) -> String {
        match self {
            Self::V2c { .. } => "SNMPv2c".to_owned(),
            Self::V3 { username, authentication, privacy, .. } => {
                format!("SNMPv3 {username}, {}, {}", authentication.as_str(), privacy.as_str())
            }
        }
    }

    /// Why nobody could be let in like this, if so (RFC 3414 §11.2: passwords of eight characters at least).
    pub fn fault(&self) -> Option<&'static str> {
        match self {
            Self::V2c { community } if community.expose().is_empty() => {
                Some("a community has a character at least")
            }
            Self::V2c { .. } => None,
            Self::V3 { username, .. } if username.is_empty() => Some("SNMPv3 needs a user name"),
            Self::V3 { authentication_password, privacy_password, .. }
                if [authentication_password, privacy_password].iter().any(|p| p.expose().len() < 8) =>
            {
                Some("passwords of SNMPv3 have eight characters at least")
            }
            Self::V3 { authentication: SnmpAuthentication::Sha1, privacy: SnmpPrivacy::Aes256, .. } => {
                Some("AES-256 needs SHA-256 or SHA-512: how a shorter hash becomes a key is no standard")
            }
            Self::V3 { .. } => None,
        }
    }
}

impl SnmpAuthentication {
    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
        }
    }
}

impl SnmpPrivacy {
    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aes128 => "AES-128",
            Self::Aes256 => "AES-256",
        }
    }
}

/// Something to be done at a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchOrder {
    /// Where.
    pub endpoint: SwitchEndpoint,
    /// What.
    pub action: SwitchAction,
}

/// What can be done at a switch. Each may be repeated: what is so already stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum SwitchAction {
    /// Read all of it.
    Read,
    /// Make a port an access port of a VLAN, and read all of it.
    SetAccessVlan {
        /// The port's number, [`SwitchPort::number`].
        port: u32,
        /// 1 to 4094.
        vid: u16,
    },
}

/// What a switch says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SwitchReading {
    /// `sysName`.
    pub name: String,
    /// `sysDescr`.
    pub description: String,
    /// Its own LLDP chassis identifier, as its neighbours see it.
    pub chassis: Option<String>,
    /// By number.
    pub ports: Vec<SwitchPort>,
    /// By number.
    pub vlans: Vec<SwitchVlan>,
    /// Who was heard at which port.
    pub macs: Vec<SwitchMac>,
}

/// A port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SwitchPort {
    /// `dot1dBasePort`; of a device that is no bridge `ifIndex`.
    pub number: u32,
    /// `ifName`, else `ifDescr`.
    pub name: String,
    /// What an operator wrote (`ifAlias`).
    pub alias: String,
    /// There is a link.
    pub up: bool,
    /// Mbit/s; 0 when not told.
    pub speed_mbps: u64,
    /// VLAN of untagged frames that come in.
    pub pvid: Option<u16>,
    /// VLANs whose frames leave it with a tag.
    pub tagged: Vec<u16>,
    /// VLANs whose frames leave it without one.
    pub untagged: Vec<u16>,
    /// The other end of the cable.
    pub neighbour: Option<LldpNeighbour>,
}

impl SwitchPort {
    /// Whether one VLAN, untagged, is all that it carries, so that it may be given another one.
    pub fn is_access(&self) -> bool {
        self.pvid.is_some() && self.tagged.is_empty()
    }
}

/// A VLAN.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SwitchVlan {
    /// 1 to 4094.
    pub vid: u16,
    /// Its name there.
    pub name: String,
}

/// Somebody who was heard at a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SwitchMac {
    /// Who.
    pub mac: Mac,
    /// In which VLAN; not told by old bridges.
    #[serde(default)]
    pub vid: Option<u16>,
    /// The port's number.
    pub port: u32,
}

/// Why a switch did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "error", content = "why")]
pub enum SwitchError {
    /// No answer. SNMPv2c does not answer a wrong community either.
    #[error("the switch does not answer: {0}")]
    Unreachable(String),
    /// It knows the user or the password not.
    #[error("the switch refuses the login: {0}")]
    Login(String),
    /// It cannot be done, or the switch will not.
    #[error("{0}")]
    Refused(String),
    /// What it answers makes no sense.
    #[error("the switch's answer makes no sense: {0}")]
    Protocol(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v3(password: &str, authentication: SnmpAuthentication, privacy: SnmpPrivacy) -> SnmpAccess {
        SnmpAccess::V3 {
            username: "op".into(),
            authentication,
            authentication_password: Secret::new(password.to_owned()),
            privacy,
            privacy_password: Secret::new("second secret".into()),
        }
    }

    #[test]
    fn what_is_secret_is_not_shown_and_what_cannot_work_is_said() {
        let good = v3("first secret", SnmpAuthentication::Sha256, SnmpPrivacy::Aes128);
        assert_eq!((good.shown().as_str(), good.fault()), ("SNMPv3 op, SHA-256, AES-128", None));
        assert!(!format!("{good:?}").contains("first"));
        assert!(v3("short", SnmpAuthentication::Sha256, SnmpPrivacy::Aes128).fault().is_some());
        assert!(v3("first secret", SnmpAuthentication::Sha1, SnmpPrivacy::Aes256).fault().is_some());
    }
}
