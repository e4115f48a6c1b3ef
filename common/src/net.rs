//! Network names: MAC addresses and host names.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An Ethernet address, written `aa:bb:cc:dd:ee:ff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, example = "52:54:00:00:00:01"))]
pub struct Mac(pub [u8; 6]);

/// The text is not a MAC address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a MAC address: write it as aa:bb:cc:dd:ee:ff")]
pub struct InvalidMac(String);

impl FromStr for Mac {
    type Err = InvalidMac;

    /// Accepts `:` or `-` between the bytes, in either case (iPXE's `hexhyp` writes `-`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidMac(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(part.ok_or_else(invalid)?, 16).map_err(|_| invalid())?;
        }
        if parts.next().is_some() { Err(invalid()) } else { Ok(Self(bytes)) }
    }
}

impl TryFrom<String> for Mac {
    type Error = InvalidMac;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// One label of a host name (RFC 1123): letters, digits and inner hyphens, 63 bytes at most, lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, example = "node-1"))]
pub struct Hostname(String);

/// The text is not a host name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a host name: 1 to 63 letters, digits and inner hyphens")]
pub struct InvalidHostname(String);

impl Hostname {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hostname {
    type Err = InvalidHostname;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.to_ascii_lowercase();
        let inner = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let ok = (1..=63).contains(&name.len()) && inner && !name.starts_with('-') && !name.ends_with('-');
        if ok { Ok(Self(name)) } else { Err(InvalidHostname(text.to_owned())) }
    }
}

impl TryFrom<String> for Hostname {
    type Error = InvalidHostname;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Hostname> for String {
    fn from(name: Hostname) -> Self {
        name.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_reads_both_notations_and_writes_one() {
        let mac: Mac = "52-54-00-AB-cd-01".parse().unwrap();
        assert_eq!(mac.to_string(), "52:54:00:ab:cd:01");
        assert_eq!("52:54:00:ab:cd:01".parse(), Ok(mac));
    }

    #[test]
    fn other_macs_are_refused() {
        for text in [
            "",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:01:02",
            "52:54:00:ab:cd:0g",
            "525400abcd01",
            "+2:54:00:ab:cd:01",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn host_names_are_labels() {
        assert_eq!("Node-1".parse::<Hostname>().unwrap().as_str(), "node-1");
        for text in ["", "-a", "a-", "a.b", "a_b", "ä", &"x".repeat(64)] {
            assert!(text.parse::<Hostname>().is_err(), "{text}");
        }
    }
}
