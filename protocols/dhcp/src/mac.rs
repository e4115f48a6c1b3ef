//! Who a client is on the wire.

use std::fmt;
use std::str::FromStr;

/// An Ethernet address, six bytes in transmission order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddr(pub [u8; 6]);

/// The text is not six hexadecimal pairs separated by `:` or `-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a MAC address has six hexadecimal pairs, such as 52:54:00:12:34:56")]
pub struct ParseMacError;

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<MacAddr, ParseMacError> {
        let mut bytes = [0; 6];
        let mut pairs = text.split([':', '-']);
        for byte in &mut bytes {
            let pair = pairs.next().filter(|p| p.len() == 2).ok_or(ParseMacError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ParseMacError)?;
        }
        if pairs.next().is_some() { Err(ParseMacError) } else { Ok(MacAddr(bytes)) }
    }
}

/// What a lease belongs to: hardware type and address or, for a client that has none, its option 61.
///
/// Option 61 is deliberately not the first choice of RFC 2131 §4.2: firmware, iPXE and the installed system of one
/// machine send different identifiers, and would get three addresses in one boot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey(Box<[u8]>);

impl ClientKey {
    /// The key of an Ethernet client.
    pub fn ethernet(mac: MacAddr) -> ClientKey {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&mac.0);
        ClientKey(bytes.into())
    }

    /// The key for a hardware type and address; `identifier` (option 61) counts only when the address is empty or zero.
    pub fn of(htype: u8, address: &[u8], identifier: Option<&[u8]>) -> Option<ClientKey> {
        if address.iter().any(|b| *b != 0) {
            let mut bytes = vec![htype];
            bytes.extend_from_slice(address);
            return Some(ClientKey(bytes.into()));
        }
        let identifier = identifier.filter(|id| !id.is_empty())?;
        let mut bytes = vec![0];
        bytes.extend_from_slice(&identifier[..identifier.len().min(255)]);
        Some(ClientKey(bytes.into()))
    }

    /// The bytes as they may be stored; [`ClientKey::from_bytes`] reads them back.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key that was stored; `None` when it is empty or longer than any key this crate makes.
    pub fn from_bytes(bytes: &[u8]) -> Option<ClientKey> {
        (2..=256).contains(&bytes.len()).then(|| ClientKey(bytes.into()))
    }

    /// The Ethernet address, when it is one.
    pub fn mac(&self) -> Option<MacAddr> {
        match &*self.0 {
            [1, rest @ ..] => rest.try_into().ok().map(MacAddr),
            _ => None,
        }
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mac() {
            Some(mac) => write!(f, "{mac}"),
            None => write!(f, "{:02x?}", self.0),
        }
    }
}
