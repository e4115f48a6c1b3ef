//! DHCP options that a person sets for a VLAN, a subnet or a reservation: a code, a type, and the value as text. Options
//! that are known have their type; others are set by number with a type. What the server itself decides by cannot be set.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// One option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DhcpOption {
    /// Code, 1 to 254 (RFC 2132).
    pub code: u8,
    /// How the value is read.
    pub r#type: OptionType,
    /// The value as text; several addresses are separated by commas.
    pub value: String,
}

/// How a value goes onto the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OptionType {
    /// One IPv4 address.
    Address,
    /// IPv4 addresses, separated by commas.
    Addresses,
    /// Text, without a trailing zero.
    Text,
    /// `true` or `false`, one byte.
    Flag,
    /// 0 to 255.
    U8,
    /// 0 to 65535.
    U16,
    /// 0 to 4294967295.
    U32,
    /// A signed number of 32 bits.
    I32,
    /// Bytes as hexadecimal digits; colons between them are ignored.
    Hex,
}

/// Options with a name and a type of their own (RFC 2132, 2242, 4833, 5859, 7710, 8925).
const KNOWN: &[(u8, &str, OptionType)] = &[
    (2, "time-offset", OptionType::I32),
    (4, "time-servers", OptionType::Addresses),
    (7, "log-servers", OptionType::Addresses),
    (9, "lpr-servers", OptionType::Addresses),
    (13, "boot-size", OptionType::U16),
    (17, "root-path", OptionType::Text),
    (19, "ip-forwarding", OptionType::Flag),
    (23, "default-ttl", OptionType::U8),
    (31, "router-discovery", OptionType::Flag),
    (37, "tcp-ttl", OptionType::U8),
    (40, "nis-domain", OptionType::Text),
    (41, "nis-servers", OptionType::Addresses),
    (42, "ntp-servers", OptionType::Addresses),
    (44, "netbios-name-servers", OptionType::Addresses),
    (46, "netbios-node-type", OptionType::U8),
    (47, "netbios-scope", OptionType::Text),
    (48, "font-servers", OptionType::Addresses),
    (49, "x-display-managers", OptionType::Addresses),
    (64, "nisplus-domain", OptionType::Text),
    (65, "nisplus-servers", OptionType::Addresses),
    (69, "smtp-servers", OptionType::Addresses),
    (70, "pop3-servers", OptionType::Addresses),
    (72, "www-servers", OptionType::Addresses),
    (100, "posix-timezone", OptionType::Text),
    (101, "tz-name", OptionType::Text),
    (108, "ipv6-only-preferred", OptionType::U32),
    (114, "captive-portal", OptionType::Text),
    (116, "auto-configuration", OptionType::U8),
    (138, "capwap-controllers", OptionType::Addresses),
    (150, "tftp-server-addresses", OptionType::Addresses),
    (252, "proxy-autodiscovery", OptionType::Text),
];

/// Options that the server sets itself or reads from clients: a person who set them would break leases or booting. The
/// subnet has fields for the common ones.
const OURS: &[(u8, &str)] = &[
    (1, "the subnet's network says it"),
    (3, "set the subnet's gateway"),
    (6, "set the subnet's DNS servers"),
    (12, "a machine's and a reservation's own name"),
    (15, "set the subnet's domain"),
    (26, "set the VLAN's MTU"),
    (43, "used for booting"),
    (50, "used for leases"),
    (51, "set the subnet's lease time"),
    (52, "used for leases"),
    (53, "used for leases"),
    (54, "used for leases"),
    (55, "used for leases"),
    (56, "used for leases"),
    (57, "used for leases"),
    (58, "set the subnet's lease time"),
    (59, "set the subnet's lease time"),
    (60, "used for booting"),
    (61, "used for leases"),
    (66, "used for booting"),
    (67, "used for booting"),
    (77, "used for booting"),
    (82, "of relays"),
    (93, "used for booting"),
    (94, "used for booting"),
    (97, "used for booting"),
    (121, "set static routes"),
    (175, "used for booting"),
    (249, "set static routes"),
];

/// Why an option cannot be set; for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidOption(String);

impl DhcpOption {
    /// The option's name, where it has one.
    pub fn name(&self) -> Option<&'static str> {
        KNOWN.iter().find(|(code, ..)| *code == self.code).map(|(_, name, _)| *name)
    }

    /// The bytes on the wire, 1 to 255 of them; refused when the value is not of its type, or the option not a person's
    /// to set.
    pub fn encode(&self) -> Result<Vec<u8>, InvalidOption> {
        let refuse = |why: String| Err(InvalidOption(format!("option {}: {why}", self.code)));
        if matches!(self.code, 0 | 255) {
            return refuse("a code is 1 to 254".into());
        }
        if let Some((_, why)) = OURS.iter().find(|(code, _)| *code == self.code) {
            return refuse(format!("Rackwright sets it ({why})"));
        }
        if let Some((_, name, kind)) =
            KNOWN.iter().find(|(code, _, kind)| *code == self.code && *kind != self.r#type)
        {
            return refuse(format!("{name} has the type {}", kind.as_str()));
        }
        let Some(bytes) = bytes(self.r#type, self.value.trim()) else {
            return refuse(format!("`{}` is not {}", self.value, self.r#type.describe()));
        };
        if bytes.is_empty() || bytes.len() > 255 {
            return refuse("a value has 1 to 255 bytes".into());
        }
        Ok(bytes)
    }
}

fn bytes(kind: OptionType, text: &str) -> Option<Vec<u8>> {
    Some(match kind {
        OptionType::Address => text.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
        OptionType::Addresses => {
            let addresses: Result<Vec<Ipv4Addr>, _> = text.split(',').map(|a| a.trim().parse()).collect();
            addresses.ok()?.iter().flat_map(Ipv4Addr::octets).collect()
        }
        OptionType::Text => Some(text).filter(|t| !t.contains('\0'))?.as_bytes().to_vec(),
        OptionType::Flag => vec![u8::from(text.parse::<bool>().ok()?)],
        OptionType::U8 => vec![text.parse().ok()?],
        OptionType::U16 => text.parse::<u16>().ok()?.to_be_bytes().to_vec(),
        OptionType::U32 => text.parse::<u32>().ok()?.to_be_bytes().to_vec(),
        OptionType::I32 => text.parse::<i32>().ok()?.to_be_bytes().to_vec(),
        OptionType::Hex => {
            let digits: Vec<u8> = text.bytes().filter(|b| *b != b':').collect();
            if !digits.len().is_multiple_of(2) {
                return None;
            }
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            let all: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
            all?
        }
    })
}

impl OptionType {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Addresses => "addresses",
            Self::Text => "text",
            Self::Flag => "flag",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::Hex => "hex",
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Address => "an IPv4 address",
            Self::Addresses => "IPv4 addresses separated by commas",
            Self::Text => "text",
            Self::Flag => "`true` or `false`",
            Self::U8 => "a number from 0 to 255",
            Self::U16 => "a number from 0 to 65535",
            Self::U32 => "a number from 0 to 4294967295",
            Self::I32 => "a number from -2147483648 to 2147483647",
            Self::Hex => "pairs of hexadecimal digits",
        }
    }
}

impl fmt::Display for DhcpOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}={}", self.value),
            None => write!(f, "{}:{}={}", self.code, self.r#type.as_str(), self.value),
        }
    }
}

/// `NAME=VALUE`, `CODE=VALUE` of a known one, or `CODE:TYPE=VALUE`.
impl FromStr for DhcpOption {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let how = || {
            InvalidOption(format!(
                "`{text}`: write NAME=VALUE or CODE:TYPE=VALUE, such as time-servers=10.0.0.1 or 224:text=abc"
            ))
        };
        let (what, value) = text.split_once('=').ok_or_else(how)?;
        let (code, kind) = match what.split_once(':') {
            Some((code, kind)) => {
                let kind = serde_json::from_value(kind.into()).map_err(|_| how())?;
                (code.parse().map_err(|_| how())?, kind)
            }
            None => {
                let known = |(code, name, _): &&(u8, &str, OptionType)| {
                    *name == what || what.parse::<u8>() == Ok(*code)
                };
                let (code, _, kind) = KNOWN.iter().find(known).ok_or_else(how)?;
                (*code, *kind)
            }
        };
        let option = Self { code, r#type: kind, value: value.to_owned() };
        option.encode()?;
        Ok(option)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<DhcpOption>().unwrap_err().to_string()
    }

    #[test]
    fn a_value_goes_onto_the_wire_by_its_type() {
        let bytes = |text: &str| text.parse::<DhcpOption>().unwrap().encode().unwrap();
        assert_eq!(bytes("time-servers=10.0.0.1, 10.0.0.2"), [10, 0, 0, 1, 10, 0, 0, 2]);
        assert_eq!(bytes("time-offset=-3600"), (-3600i32).to_be_bytes());
        assert_eq!(bytes("ip-forwarding=true"), [1]);
        assert_eq!(bytes("17=nfs"), b"nfs");
        assert_eq!(bytes("224:hex=0a:0B0c"), [10, 11, 12]);
        assert_eq!(bytes("225:u16=300"), [1, 44]);
        assert_eq!("224:hex=0a".parse::<DhcpOption>().unwrap().to_string(), "224:hex=0a");
        assert_eq!("4=10.0.0.1".parse::<DhcpOption>().unwrap().to_string(), "time-servers=10.0.0.1");
    }

    #[test]
    fn what_is_not_of_its_type_or_is_the_servers_own_is_refused() {
        assert_eq!(refused("time-servers=x"), "option 4: `x` is not IPv4 addresses separated by commas");
        assert_eq!(refused("4:text=x"), "option 4: time-servers has the type addresses");
        assert_eq!(
            refused("6:addresses=10.0.0.1"),
            "option 6: Rackwright sets it (set the subnet's DNS servers)"
        );
        assert_eq!(refused("224:hex=abc"), "option 224: `abc` is not pairs of hexadecimal digits");
        assert_eq!(refused("255:u8=1"), "option 255: a code is 1 to 254");
        assert!(refused("no-such=1").contains("CODE:TYPE=VALUE"));
        assert!(refused(&format!("224:text={}", "x".repeat(256))).ends_with("a value has 1 to 255 bytes"));
    }
}
