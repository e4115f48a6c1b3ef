//! What switches say of themselves (LLDP, IEEE 802.1AB), with the port's VLAN (802.1 organisation's TLV).

use super::word;

/// On Ethernet.
pub const ETHERTYPE: u16 = 0x88cc;

/// The other end of a cable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lldp {
    /// Chassis identifier.
    pub chassis: String,
    /// Port identifier.
    pub port: String,
    /// System name.
    pub system: Option<String>,
    /// Port description.
    pub description: Option<String>,
    /// Untagged VLAN.
    pub vlan: Option<u16>,
}

/// From an Ethernet frame, which may carry a VLAN tag.
pub fn read_frame(frame: &[u8]) -> Option<Lldp> {
    match word(frame, 12)? {
        ETHERTYPE => read(frame.get(14..)?),
        0x8100 if word(frame, 16)? == ETHERTYPE => read(frame.get(18..)?),
        _ => None,
    }
}

/// From the TLVs of one LLDPDU; none without the chassis and port that every one must begin with.
pub fn read(mut data: &[u8]) -> Option<Lldp> {
    let mut neighbour = Lldp::default();
    // Seven bits of type, nine of length (802.1AB §8.4).
    while let [first, second, rest @ ..] = data {
        let length = usize::from(first & 1) << 8 | usize::from(*second);
        let Some(value) = rest.get(..length) else { break };
        match first >> 1 {
            0 => break,
            1 => neighbour.chassis = identifier(value, 4, 5)?,
            2 => neighbour.port = identifier(value, 3, 4)?,
            4 => neighbour.description = shown(value),
            5 => neighbour.system = shown(value),
            127 => {
                if let [0x00, 0x80, 0xc2, 1, high, low] = value {
                    neighbour.vlan =
                        Some(u16::from_be_bytes([*high, *low]) & 0xfff).filter(|vlan| *vlan != 0);
                }
            }
            _ => {}
        }
        data = &rest[length..];
    }
    (!neighbour.chassis.is_empty() && !neighbour.port.is_empty()).then_some(neighbour)
}

/// A chassis or port identifier: a subtype, then a MAC (subtype `mac`), a network address (subtype `address`) or text.
pub fn identifier(value: &[u8], mac: u8, address: u8) -> Option<String> {
    let (subtype, id) = value.split_first()?;
    let hex = || id.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    match (*subtype, id) {
        (subtype, _) if subtype == mac && id.len() == 6 => Some(hex()),
        (subtype, [1, a, b, c, d]) if subtype == address => Some(format!("{a}.{b}.{c}.{d}")),
        _ => shown(id).or_else(|| (!id.is_empty()).then(hex)),
    }
}

/// Text for people; none when there is nothing to show.
fn shown(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}
