//! What a message says about the machine behind it.

use super::wire::{Packet, code};
use crate::MacAddr;
use std::net::Ipv6Addr;

/// What a client would boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootKind {
    /// Nothing: it wants an address.
    None,
    /// A file by TFTP (`PXEClient`).
    Pxe,
    /// A file by HTTP (`HTTPClient`).
    Http,
    /// It is iPXE, and wants a script.
    Ipxe,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its DUID (RFC 8415 §11).
    pub duid: Vec<u8>,
    /// Hardware address, where one can be known.
    pub mac: Option<MacAddr>,
    /// SMBIOS UUID by which UEFI names itself (DUID-UUID, RFC 6355), as it stands on the wire.
    pub uuid: Option<[u8; 16]>,
    /// What it would boot.
    pub boot: BootKind,
    /// Architecture, by IANA's number (RFC 5970 §3.3).
    pub architecture: Option<u16>,
}

impl Client {
    /// Who sent it; `from` is the sender's address.
    pub fn of(packet: &Packet, from: Ipv6Addr) -> Self {
        let options = &packet.message.options;
        let duid = options.get(code::CLIENT_ID).unwrap_or_default().to_vec();
        let innermost = packet.relays.last();
        // RFC 6939: the first relay says who it had it from.
        let told =
            innermost.and_then(|relay| relay.options.get(code::CLIENT_LINK_ADDRESS)).and_then(|v| match v {
                [0, 1, mac @ ..] => mac.try_into().ok(),
                _ => None,
            });
        let address = innermost.map_or(from, |relay| relay.peer);
        let boot = match class(options.get(code::VENDOR_CLASS)) {
            _ if is_ipxe(options.get(code::USER_CLASS)) => BootKind::Ipxe,
            Some(class) if class.starts_with(b"HTTPClient") => BootKind::Http,
            Some(class) if class.starts_with(b"PXEClient") => BootKind::Pxe,
            _ => BootKind::None,
        };
        let architecture = match options.get(code::CLIENT_ARCHITECTURE) {
            Some([a, b, ..]) => Some(u16::from_be_bytes([*a, *b])),
            _ => None,
        };
        Self {
            mac: told.or_else(|| of_duid(&duid)).or_else(|| of_address(address)),
            uuid: match duid.as_slice() {
                [0, 4, uuid @ ..] => uuid.try_into().ok(),
                _ => None,
            },
            duid,
            boot,
            architecture,
        }
    }
}

/// DUID-LLT and DUID-LL of Ethernet (RFC 8415 §11.2, §11.4).
fn of_duid(duid: &[u8]) -> Option<MacAddr> {
    match duid {
        [0, 1, 0, 1, _, _, _, _, mac @ ..] | [0, 3, 0, 1, mac @ ..] => mac.try_into().ok(),
        _ => None,
    }
}

/// An address that was made from the hardware address (RFC 4291, appendix A).
fn of_address(address: Ipv6Addr) -> Option<MacAddr> {
    match address.octets() {
        [0xfe, 0x80, _, _, _, _, _, _, a, b, c, 0xff, 0xfe, d, e, f] => Some([a ^ 2, b, c, d, e, f]),
        _ => None,
    }
}

/// The first of the vendor's classes, behind the enterprise's number.
fn class(value: Option<&[u8]>) -> Option<&[u8]> {
    let [_, _, _, _, a, b, rest @ ..] = value? else { return None };
    rest.get(..usize::from(u16::from_be_bytes([*a, *b])))
}

fn is_ipxe(value: Option<&[u8]>) -> bool {
    value.is_some_and(|v| v.windows(4).any(|word| word == b"iPXE"))
}
