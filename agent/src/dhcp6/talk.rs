//! Questions and answers.

use crate::error::{Error, Result, io};
use nix::net::if_::if_nametoindex;
use rackwright_common::Mac;
use rackwright_dhcp6::{Message, Options, code, kind};
use std::fs;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

const CLIENT_PORT: u16 = 546;
const SERVER_PORT: u16 = 547;
/// All relays and servers of the link (RFC 8415 §7.1).
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// First and longest pause between two messages of one exchange.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(16);
/// The only association; its number is our own choice.
const ASSOCIATION: u32 = 1;
/// A life time that never ends (RFC 8415 §7.7).
const FOR_EVER: u32 = u32::MAX;

/// An address, and from whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    /// It is given, not merely offered.
    pub(super) given: bool,
    pub(super) address: Ipv6Addr,
    pub(super) name_servers: Vec<Ipv6Addr>,
    server: Vec<u8>,
    since: Instant,
    /// Seconds after which it is renewed, anybody is asked, and it is over.
    times: [u32; 3],
}

impl Lease {
    fn after(&self, seconds: u32) -> Instant {
        // A clock that cannot say so is asked again after a day.
        let day = Duration::from_secs(86_400);
        let wait = if seconds == FOR_EVER { day } else { Duration::from_secs(seconds.into()) };
        self.since.checked_add(wait).unwrap_or(self.since)
    }

    pub(super) fn renew_at(&self) -> Instant {
        self.after(self.times[0])
    }

    pub(super) fn rebind_at(&self) -> Instant {
        self.after(self.times[1])
    }

    pub(super) fn ends_at(&self) -> Instant {
        self.after(self.times[2])
    }
}

/// One client on one interface.
pub(super) struct Talk {
    duid: Vec<u8>,
    index: u32,
    interface: String,
}

impl Talk {
    /// Of an interface of Ethernet. Servers know it by its hardware address (DUID-LL, RFC 8415 §11.4).
    pub(super) fn new(interface: &str) -> Result<Self> {
        let path = Path::new("/sys/class/net").join(interface).join("address");
        let text = fs::read_to_string(&path).map_err(io("read", &path))?;
        let mac: Mac = text.trim().parse().map_err(|_| Error::refused(format!("{interface} has no MAC")))?;
        let source = |e: nix::Error| Error::Io { doing: format!("find {interface}"), source: e.into() };
        let index = if_nametoindex(interface).map_err(source)?;
        Ok(Self { duid: [&[0, 3, 0, 1], &mac.0[..]].concat(), index, interface: interface.to_owned() })
    }

    /// Asks everybody, for as long as it takes; nothing when there is no way to ask yet.
    pub(super) fn solicit(&self) -> Option<Lease> {
        self.ask(kind::SOLICIT, None, None)
    }

    pub(super) fn request(&self, offer: &Lease, until: Instant) -> Option<Lease> {
        self.ask(kind::REQUEST, Some(offer), Some(until)).filter(|lease| lease.given)
    }

    pub(super) fn renew(&self, lease: &Lease, until: Instant) -> Option<Lease> {
        self.ask(kind::RENEW, Some(lease), Some(until))
    }

    pub(super) fn rebind(&self, lease: &Lease, until: Instant) -> Option<Lease> {
        self.ask(kind::REBIND, Some(lease), Some(until))
    }

    /// Tells the server once that somebody else has the address.
    pub(super) fn decline(&self, lease: &Lease) {
        let question = question(kind::DECLINE, &self.duid, transaction(), Some(lease));
        if let Ok(socket) = self.socket() {
            socket.send_to(&question, self.servers()).ok();
        }
    }

    fn servers(&self) -> SocketAddr {
        SocketAddrV6::new(SERVERS, SERVER_PORT, 0, self.index).into()
    }

    /// From the address that is good on the link, once the kernel has one.
    fn socket(&self) -> std::io::Result<UdpSocket> {
        let all = fs::read_to_string("/proc/net/if_inet6")?;
        let own = link_local(&all, &self.interface)
            .ok_or_else(|| std::io::Error::other("no link-local address yet"))?;
        UdpSocket::bind(SocketAddrV6::new(own, CLIENT_PORT, 0, self.index))
    }

    /// Asks again and again, ever more slowly, until there is an answer or the time is over.
    fn ask(&self, asked: u8, about: Option<&Lease>, until: Option<Instant>) -> Option<Lease> {
        let socket = self.socket().ok()?;
        let transaction = transaction();
        let bytes = question(asked, &self.duid, transaction, about);
        let mut pause = FIRST;
        let mut buffer = [0; 2048];
        loop {
            if until.is_some_and(|until| Instant::now() >= until) {
                return None;
            }
            socket.send_to(&bytes, self.servers()).ok()?;
            let next = Instant::now() + pause;
            while let Some(left) = next.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) {
                socket.set_read_timeout(Some(left)).ok()?;
                let Ok((length, _)) = socket.recv_from(&mut buffer) else { continue };
                let answer = buffer.get(..length).unwrap_or_default();
                if let Some(lease) = read(answer, &self.duid, transaction, Instant::now()) {
                    return Some(lease);
                }
            }
            pause = (pause * 2).min(LONGEST);
        }
    }
}

/// The first address of an interface that is good on its link and in use: not one that is still looked for.
fn link_local(all: &str, interface: &str) -> Option<Ipv6Addr> {
    super::kernel::addresses(all, interface)
        .find(|(address, flags)| address.is_unicast_link_local() && flags & super::kernel::TENTATIVE == 0)
        .map(|(address, _)| address)
}

fn transaction() -> [u8; 3] {
    let [a, b, c, ..] = Uuid::new_v4().into_bytes();
    [a, b, c]
}

/// A message about one association.
fn question(asked: u8, duid: &[u8], transaction: [u8; 3], about: Option<&Lease>) -> Vec<u8> {
    let mut options = Options::default();
    options.add(code::CLIENT_ID, duid);
    if let Some(lease) = about.filter(|_| asked != kind::REBIND) {
        options.add(code::SERVER_ID, lease.server.as_slice());
    }
    let mut association = [&ASSOCIATION.to_be_bytes()[..], &[0; 8]].concat();
    if let Some(lease) = about {
        let mut inner = Options::default();
        inner.add(code::IA_ADDRESS, [&lease.address.octets()[..], &[0; 8]].concat());
        association.extend(inner.encode());
    }
    options.add(code::IA_NA, association);
    options.add(code::OPTION_REQUEST, code::DNS_SERVERS.to_be_bytes());
    if asked == kind::SOLICIT {
        options.add(code::RAPID_COMMIT, []);
    }
    Message { kind: asked, transaction, options }.encode()
}

/// What an answer gives; nothing when it is not ours, or gives nothing.
fn read(bytes: &[u8], duid: &[u8], transaction: [u8; 3], now: Instant) -> Option<Lease> {
    let Message { kind: said, transaction: answered, options } =
        rackwright_dhcp6::Packet::decode(bytes).filter(|p| p.relays.is_empty())?.message;
    let ours = answered == transaction && options.get(code::CLIENT_ID) == Some(duid);
    if !ours || !matches!(said, kind::ADVERTISE | kind::REPLY) {
        return None;
    }
    let server = options.get(code::SERVER_ID)?.to_vec();
    let number = |bytes: &[u8], at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let association = options.all(code::IA_NA).find(|v| number(v, 0) == Some(ASSOCIATION))?;
    let inner = Options::decode(association.get(12..)?);
    let usable = |value: &[u8]| {
        let address = Ipv6Addr::from(<[u8; 16]>::try_from(value.get(..16)?).ok()?);
        let (preferred, valid) = (number(value, 16)?, number(value, 20)?);
        (valid > 0).then_some((address, preferred.min(valid), valid))
    };
    let (address, preferred, valid) = inner.all(code::IA_ADDRESS).find_map(usable)?;
    // Zero leaves it to us (RFC 8415 §21.4).
    let or = |told: u32, own: u32| if told == 0 || told > valid { own } else { told };
    let renew = or(number(association, 4)?, preferred / 2);
    let rebind = or(number(association, 8)?, preferred / 5 * 4).max(renew);
    let servers = options.get(code::DNS_SERVERS).unwrap_or_default().chunks_exact(16);
    let name_servers = servers.filter_map(|a| <[u8; 16]>::try_from(a).ok()).map(Ipv6Addr::from).collect();
    let given = said == kind::REPLY;
    Some(Lease { given, address, name_servers, server, since: now, times: [renew, rebind, valid] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackwright_dhcp6::{Arrival, Config, Declined, Link, Subnet};
    use std::collections::HashMap;

    const DUID: [u8; 10] = [0, 3, 0, 1, 0x52, 0x54, 0, 0, 0, 7];
    const ONCE: [u8; 3] = [1, 2, 3];

    fn server() -> Config {
        let subnet = Subnet {
            network: "fd00:77::/64".parse().unwrap(),
            ranges: vec![("fd00:77::1:0:0:0".parse().unwrap(), "fd00:77::1:ffff:ffff:ffff".parse().unwrap())],
            fixed: HashMap::new(),
            dns_servers: vec!["fd00:77::1".parse().unwrap()],
            ntp_servers: vec![],
            domain: None,
            valid: 600,
            boot_archs: None,
            ipxe_archs: None,
        };
        Config { links: vec![Link { id: 3, subnets: vec![subnet], own: None }], ..Config::default() }
    }

    fn answer(asked: &[u8], declined: &mut Declined) -> Vec<u8> {
        let arrival = Arrival { link: Some(3), from: "fe80::1".parse().unwrap(), multicast: true };
        server().respond(asked, arrival, declined).unwrap().bytes
    }

    #[test]
    fn an_address_is_given_extended_by_any_server_and_another_after_a_decline() {
        let (now, mut declined) = (Instant::now(), Declined::default());
        let ask = |asked, about: Option<&Lease>, declined: &mut Declined| {
            read(&answer(&question(asked, &DUID, ONCE, about), declined), &DUID, ONCE, now)
        };
        let lease = ask(kind::SOLICIT, None, &mut declined).expect("a server that gives at once");
        assert!(lease.given);
        assert_eq!(lease.name_servers, ["fd00:77::1".parse::<Ipv6Addr>().unwrap()]);
        assert_eq!(lease.times, [225, 360, 600]);
        for kind in [kind::REQUEST, kind::RENEW, kind::REBIND] {
            assert_eq!(ask(kind, Some(&lease), &mut declined).as_ref(), Some(&lease), "{kind}");
        }
        assert_eq!(ask(kind::DECLINE, Some(&lease), &mut declined), None, "an answer without an address");
        assert_ne!(ask(kind::SOLICIT, None, &mut declined).unwrap().address, lease.address);
    }

    #[test]
    fn answers_to_others_and_cut_ones_are_none() {
        let bytes = answer(&question(kind::SOLICIT, &DUID, ONCE, None), &mut Declined::default());
        let now = Instant::now();
        assert!(read(&bytes, &DUID, ONCE, now).is_some());
        assert_eq!(read(&bytes, &DUID, [3, 2, 1], now), None);
        assert_eq!(read(&bytes, &DUID[1..], ONCE, now), None);
        for length in 0..bytes.len() {
            drop(read(&bytes[..length], &DUID, ONCE, now));
        }
    }

    #[test]
    fn an_address_that_the_kernel_still_looks_for_is_not_used() {
        let line = |flags: &str| format!("fe80000000000000505400fffe000007 02 40 20 {flags}     eth0\n");
        assert_eq!(link_local(&line("c0"), "eth0"), None);
        assert_eq!(link_local(&line("80"), "eth1"), None);
        assert_eq!(link_local(&line("80"), "eth0"), Some("fe80::5054:ff:fe00:7".parse().unwrap()));
    }
}
