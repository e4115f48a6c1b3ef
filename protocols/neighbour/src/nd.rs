//! Neighbour solicitations and advertisements of IPv6 (RFC 4861 §4.3, §4.4).

use super::Mac;
use std::net::Ipv6Addr;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;

/// The address that the sender has, and the MAC that it says it has; none of duplicate-address detection.
pub fn read(source: Ipv6Addr, message: &[u8]) -> Option<(Option<Mac>, Ipv6Addr)> {
    let (address, wanted) = match (message.first()?, message.get(1)?) {
        (&SOLICITATION, 0) => (source, SOURCE_LINK_ADDRESS),
        (&ADVERTISEMENT, 0) => {
            (Ipv6Addr::from(<[u8; 16]>::try_from(message.get(8..24)?).ok()?), TARGET_LINK_ADDRESS)
        }
        _ => return None,
    };
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
        return None;
    }
    let mut options = message.get(24..)?;
    // A type, a length in units of eight bytes, a value.
    while let [kind, units, ..] = options {
        let length = usize::from(*units) * 8;
        let Some(option) = options.get(..length).filter(|_| length > 0) else { break };
        if *kind == wanted {
            let mac: Option<Mac> = option.get(2..8).and_then(|m| m.try_into().ok());
            return Some((mac.filter(|m| m[0] & 1 == 0 && *m != [0; 6]), address));
        }
        options = &options[length..];
    }
    Some((None, address))
}
