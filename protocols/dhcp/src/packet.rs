//! The message of RFC 2131 §2.

use std::net::Ipv4Addr;

use crate::mac::{ClientKey, MacAddr};
use crate::options::{MessageType, Options, code};

/// Bytes before the options: the fixed fields of BOOTP and the magic cookie.
const FIXED: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Relays and old firmware drop what is shorter than a BOOTP message.
const SHORTEST: usize = 300;
/// IP and UDP headers, which option 57 counts (RFC 2132 §9.10, RFC 2131 §2: 576 for a whole datagram).
const HEADERS: usize = 28;
/// What fits in an Ethernet frame, whatever the client says.
const LONGEST: usize = 1500 - HEADERS;

/// One DHCP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// 1 from clients and relays, 2 from servers.
    pub op: u8,
    /// Hardware type; 1 is Ethernet.
    pub htype: u8,
    /// Length of the hardware address in bytes, at most 16.
    pub hlen: u8,
    /// Relays passed.
    pub hops: u8,
    /// Transaction number, chosen by the client.
    pub xid: u32,
    /// Seconds since the client began, by its own count.
    pub secs: u16,
    /// Bit 15 asks for broadcast replies.
    pub flags: u16,
    /// The client's address, if it has one it can answer ARP for.
    pub ciaddr: Ipv4Addr,
    /// The address given to the client.
    pub yiaddr: Ipv4Addr,
    /// The server of the next step, which is TFTP.
    pub siaddr: Ipv4Addr,
    /// The relay's address on the client's link; zero without a relay.
    pub giaddr: Ipv4Addr,
    /// Hardware address, `hlen` bytes of it valid.
    pub chaddr: [u8; 16],
    /// Server name, NUL padded; options when overloaded.
    pub sname: [u8; 64],
    /// Boot file name, NUL padded; options when overloaded.
    pub file: [u8; 128],
    /// Options of all fields together.
    pub options: Options,
}

/// Why bytes are not a DHCP message at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the fixed fields.
    #[error("{0} bytes, fewer than the 236 of BOOTP's fixed fields")]
    Short(usize),
}

impl Packet {
    /// Reads a message. Without the magic cookie it is plain BOOTP and has no options.
    pub fn decode(bytes: &[u8]) -> Result<Packet, DecodeError> {
        let fixed: &[u8; FIXED] = bytes.first_chunk().ok_or(DecodeError::Short(bytes.len()))?;
        let mut packet = Packet {
            op: fixed[0],
            htype: fixed[1],
            hlen: fixed[2].min(16),
            hops: fixed[3],
            xid: u32::from_be_bytes(array(fixed, 4)),
            secs: u16::from_be_bytes(array(fixed, 8)),
            flags: u16::from_be_bytes(array(fixed, 10)),
            ciaddr: array(fixed, 12).into(),
            yiaddr: array(fixed, 16).into(),
            siaddr: array(fixed, 20).into(),
            giaddr: array(fixed, 24).into(),
            chaddr: array(fixed, 28),
            sname: array(fixed, 44),
            file: array(fixed, 108),
            options: Options::new(),
        };
        if let Some(area) = bytes[FIXED..].strip_prefix(&COOKIE) {
            packet.options.read(area);
            packet.read_overloaded();
        }
        Ok(packet)
    }

    /// Option 52 (RFC 2132 §9.3): `file` is read before `sname` (RFC 3396 §5). The fields then hold no names.
    fn read_overloaded(&mut self) {
        let overload = self.options.byte(code::OVERLOAD).unwrap_or(0);
        if overload & 1 != 0 {
            self.options.read(&self.file);
            self.file = [0; 128];
        }
        if overload & 2 != 0 {
            self.options.read(&self.sname);
            self.sname = [0; 64];
        }
        self.options.remove(code::OVERLOAD);
    }

    /// Writes the message, at least 300 and at most `limit` bytes long; options that do not fit are left out whole,
    /// the last first. `limit` is the UDP payload, see [`Packet::reply_limit`].
    pub fn encode(&self, limit: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(576);
        out.extend_from_slice(&[self.op, self.htype, self.hlen, self.hops]);
        out.extend_from_slice(&self.xid.to_be_bytes());
        out.extend_from_slice(&self.secs.to_be_bytes());
        out.extend_from_slice(&self.flags.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            out.extend_from_slice(&address.octets());
        }
        out.extend_from_slice(&self.chaddr);
        out.extend_from_slice(&self.sname);
        out.extend_from_slice(&self.file);
        out.extend_from_slice(&COOKIE);
        let room = limit.clamp(SHORTEST, LONGEST) - out.len();
        self.options.write(&mut out, room);
        out.resize(out.len().max(SHORTEST), 0);
        out
    }

    /// The longest reply this client takes, in bytes of UDP payload: option 57 less the headers, between 548 and 1472.
    pub fn reply_limit(&self) -> usize {
        let stated = self.options.short(code::MAX_MESSAGE_SIZE).map_or(576, usize::from);
        stated.max(576).saturating_sub(HEADERS).min(LONGEST)
    }

    /// An empty reply to this message: op 2, the fields that RFC 2131 §4.3.1 (table 3) has copied.
    pub fn reply(&self) -> Packet {
        Packet {
            op: 2,
            hops: 0,
            secs: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            sname: [0; 64],
            file: [0; 128],
            options: Options::new(),
            ..*self
        }
    }

    /// The DECLINE that the client would send if it had found `address` in use (RFC 2131 §4.4.4): for a server that has
    /// found it out before its offer.
    pub fn decline(&self, address: Ipv4Addr, server: Ipv4Addr) -> Packet {
        let mut options = Options::new();
        options.set(code::MESSAGE_TYPE, [MessageType::Decline as u8]);
        options.set(code::REQUESTED_ADDRESS, address.octets());
        options.set(code::SERVER_ID, server.octets());
        for code in [code::CLIENT_ID, code::RELAY_INFO] {
            if let Some(value) = self.options.get(code) {
                options.set(code, value);
            }
        }
        Packet { ciaddr: Ipv4Addr::UNSPECIFIED, options, ..*self }
    }

    /// The client's Ethernet address, when that is what it has.
    pub fn mac(&self) -> Option<MacAddr> {
        let mac = MacAddr(self.chaddr[..6].try_into().ok()?);
        (self.htype == 1 && self.hlen == 6 && mac.0 != [0; 6] && mac.0[0] & 1 == 0).then_some(mac)
    }

    /// Whom the leases of this message belong to.
    pub fn client_key(&self) -> Option<ClientKey> {
        let address = &self.chaddr[..usize::from(self.hlen.min(16))];
        ClientKey::of(self.htype, address, self.options.get(code::CLIENT_ID))
    }

    /// The client cannot receive unicast before it has an address.
    pub fn wants_broadcast(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// Puts a name in `file`; false, and nothing done, when it is longer than 127 bytes.
    pub fn set_file(&mut self, name: &str) -> bool {
        set_text(&mut self.file, name)
    }

    /// Puts a name in `sname`; false, and nothing done, when it is longer than 63 bytes.
    pub fn set_sname(&mut self, name: &str) -> bool {
        set_text(&mut self.sname, name)
    }
}

fn set_text(field: &mut [u8], text: &str) -> bool {
    if text.len() >= field.len() {
        return false;
    }
    field.fill(0);
    field[..text.len()].copy_from_slice(text.as_bytes());
    true
}

/// `N` bytes of the fixed part, which is long enough for every field at its offset.
fn array<const N: usize>(fixed: &[u8; FIXED], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&fixed[at..at + N]);
    out
}
