//! What regions and operators hear: leases, steps of a boot, and trouble. Repeats are held back, as firmware asks the
//! same thing many times and a flood must not fill the journal.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::Ipv4Addr;

use rackwright_common::Mac;
use rackwright_common::link::{BootStage, Fact};
use rackwright_dhcp::{Action, BootKind, Client, Lease, LeaseState, Outcome, Packet, Reason, code};
use time::OffsetDateTime;
use uuid::Uuid;

/// The same step of the same machine is told again after this many seconds,
const STEP_AGAIN: i64 = 3;
/// the same lease after a tenth of what it lasts, within these bounds: firmware, loader and kernel ask one after the other,
/// and that a lease ends a little later is no news,
const LEASE_AGAIN: std::ops::RangeInclusive<i64> = 10..=60;
/// the same trouble after these.
const TROUBLE_AGAIN: i64 = 60;
/// Two UUIDs behind one MAC within this time are two machines, not a board that was replaced.
const SAME_MAC: i64 = 900;
/// A rack that has just started has not heard a region yet, which is no trouble.
const STARTING: i64 = 60;
/// Refusals told in one second at most: strangers are without number, and their refusals without limit.
const REFUSALS: u32 = 20;
/// Different things remembered; more, and all are forgotten.
const REMEMBERED: usize = 8192;
/// The same of leases, of which a large site has more.
const LEASES: usize = 65_536;

#[derive(Debug, PartialEq, Eq, Hash)]
enum Told {
    Step(Option<Mac>, &'static str, BootKind),
    Trouble(&'static str, Option<Ipv4Addr>),
    Twins(Mac),
}

/// Turns outcomes into facts.
#[derive(Debug)]
pub(super) struct Reporter {
    started: OffsetDateTime,
    told: HashMap<Told, OffsetDateTime>,
    /// The last lease told of each address.
    leases: HashMap<Ipv4Addr, (Mac, Option<String>, OffsetDateTime)>,
    machines: HashMap<Mac, (Uuid, OffsetDateTime)>,
    /// The second, and the refusals told in it.
    refusals: (i64, u32),
}

impl Reporter {
    /// Begins at the start of the server.
    pub(super) fn new(started: OffsetDateTime) -> Self {
        Self {
            started,
            told: HashMap::new(),
            leases: HashMap::new(),
            machines: HashMap::new(),
            refusals: (0, 0),
        }
    }

    /// Reports one message's outcome.
    pub(super) fn report(
        &mut self,
        packet: &Packet,
        outcome: &Outcome,
        interface: &str,
        at: OffsetDateTime,
        mut record: impl FnMut(Fact),
    ) {
        log(packet, outcome, interface);
        for lease in &outcome.changes {
            let Some(mac) = lease.client.mac().map(|mac| Mac(mac.0)) else { continue };
            if self.is_news_of_lease(mac, lease, outcome.client.hostname.as_ref(), at) {
                record(lease_fact(mac, lease, outcome.client.hostname.clone()));
            }
        }
        if let Some((stage, detail)) = step(outcome) {
            let mac = outcome.client.mac.map(|m| Mac(m.0));
            let told = Told::Step(mac, stage.as_str(), outcome.client.boot);
            if self.is_news(told, STEP_AGAIN, at)
                && (stage != BootStage::Refused || self.may_tell_refusal(at))
            {
                record(Fact::Boot { mac, uuid: outcome.client.uuid.map(Uuid::from_bytes), stage, detail });
            }
        }
        if let Some(message) = self.find_twin(&outcome.client, interface, at) {
            let mac = outcome.client.mac.map(|m| Mac(m.0));
            record(Fact::Warning { code: "dhcp.duplicate-mac".into(), message, mac });
        }
        let starting = (at - self.started).whole_seconds().abs() < STARTING;
        if let Some((code, message)) = trouble(outcome, packet, interface)
            && !(starting && outcome.action == Action::Silent(Reason::Unheard))
        {
            let place = Some(packet.giaddr).filter(|a| !a.is_unspecified());
            if self.is_news(Told::Trouble(code, place), TROUBLE_AGAIN, at) {
                let mac = outcome.client.mac.map(|m| Mac(m.0));
                record(Fact::Warning { code: code.into(), message, mac });
            }
        }
    }

    /// Reports that leases cannot be kept.
    pub(super) fn lease_file_failed(
        &mut self,
        at: OffsetDateTime,
        error: &dyn std::error::Error,
        mut record: impl FnMut(Fact),
    ) {
        if self.is_news(Told::Trouble("dhcp.lease-file", None), TROUBLE_AGAIN, at) {
            let cause = error.source().map(|s| format!(": {s}")).unwrap_or_default();
            let message = format!(
                "leases cannot be written to {error}{cause}; only machines with a fixed address are served: free space on the rack's disk"
            );
            record(Fact::Warning { code: "dhcp.lease-file".into(), message, mac: None });
        }
    }

    fn may_tell_refusal(&mut self, at: OffsetDateTime) -> bool {
        let second = at.unix_timestamp();
        if self.refusals.0 != second {
            self.refusals = (second, 0);
        }
        self.refusals.1 += 1;
        self.refusals.1 <= REFUSALS
    }

    /// Says when two machines, by their UUIDs, use one MAC.
    fn find_twin(&mut self, client: &Client, interface: &str, at: OffsetDateTime) -> Option<String> {
        let (mac, uuid) = (Mac(client.mac?.0), Uuid::from_bytes(client.uuid?));
        if self.machines.len() >= REMEMBERED {
            self.machines.clear();
        }
        let (other, seen) = self.machines.insert(mac, (uuid, at)).filter(|(other, _)| *other != uuid)?;
        if (at - seen).whole_seconds().abs() > SAME_MAC || !self.is_news(Told::Twins(mac), TROUBLE_AGAIN, at)
        {
            return None;
        }
        Some(format!(
            "machines {other} and {uuid} on {interface} both use MAC {mac} and get the same address: change one of them"
        ))
    }

    fn is_news_of_lease(
        &mut self,
        mac: Mac,
        lease: &Lease,
        hostname: Option<&String>,
        at: OffsetDateTime,
    ) -> bool {
        if self.leases.len() >= LEASES {
            self.leases.clear();
        }
        if !matches!(lease.state, LeaseState::Bound | LeaseState::Offered) {
            self.leases.remove(&lease.address);
            return true;
        }
        let lasts =
            i64::try_from(lease.expires).map_or(i64::MAX, |end| end.saturating_sub(at.unix_timestamp()));
        let again = (lasts / 10).clamp(*LEASE_AGAIN.start(), *LEASE_AGAIN.end());
        let told = self.leases.get(&lease.address).is_some_and(|(to, name, told)| {
            *to == mac && name.as_ref() == hostname && (at - *told).whole_seconds().abs() < again
        });
        if !told {
            self.leases.insert(lease.address, (mac, hostname.cloned(), at));
        }
        !told
    }

    fn is_news(&mut self, what: Told, again_after: i64, at: OffsetDateTime) -> bool {
        if self.told.len() >= REMEMBERED {
            self.told.clear();
        }
        let news = self.told.get(&what).is_none_or(|last| (at - *last).whole_seconds().abs() >= again_after);
        if news {
            self.told.insert(what, at);
        }
        news
    }
}

fn lease_fact(mac: Mac, lease: &Lease, hostname: Option<String>) -> Fact {
    match lease.state {
        LeaseState::Bound | LeaseState::Offered => {
            let seconds = i64::try_from(lease.expires).unwrap_or(i64::MAX);
            let expires = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
            Fact::Lease { mac, address: lease.address, expires, hostname }
        }
        LeaseState::Released => Fact::LeaseEnded { mac, address: lease.address, declined: false },
        LeaseState::Declined => Fact::LeaseEnded { mac, address: lease.address, declined: true },
    }
}

/// The step of a boot that this message is, told in one line; only of clients that boot.
fn step(outcome: &Outcome) -> Option<(BootStage, String)> {
    let client = &outcome.client;
    if client.boot == BootKind::None {
        return None;
    }
    let mut line = describe(client);
    let (stage, reply) = match &outcome.action {
        Action::Offer(_) if outcome.boot_denied => {
            return Some((BootStage::Refused, format!("{line}: not a known machine, and enlisting is off")));
        }
        Action::Offer(reply) => (BootStage::Discover, reply),
        Action::Ack(reply) => (BootStage::Ack, reply),
        Action::Nak(_, reason) => {
            return Some((BootStage::Refused, format!("{line}: address refused ({reason:?})")));
        }
        Action::Silent(Reason::PoolEmpty) => {
            return Some((BootStage::Refused, format!("{line}: no free address")));
        }
        Action::Silent(_) => return None,
    };
    write!(line, ", {}", reply.packet.yiaddr).expect("text takes text");
    if let Some(file) = reply.packet.options.text(code::BOOT_FILE) {
        write!(line, ", {file}").expect("text takes text");
    }
    Some((stage, line))
}

/// How it boots and on what, as people say it.
fn describe(client: &Client) -> String {
    let kind = match client.boot {
        BootKind::None => "no boot",
        BootKind::Pxe => "PXE",
        BootKind::Http => "UEFI HTTP boot",
        BootKind::Ipxe => "iPXE",
    };
    let arch = match client.archs.first() {
        None => return kind.to_owned(),
        Some(0) => "BIOS".to_owned(),
        Some(6) => "UEFI x86".to_owned(),
        Some(7 | 9 | 16) => "UEFI x86-64".to_owned(),
        Some(11 | 19) => "UEFI arm64".to_owned(),
        Some(other) => format!("architecture {other}"),
    };
    format!("{kind}, {arch}")
}

fn trouble(outcome: &Outcome, packet: &Packet, interface: &str) -> Option<(&'static str, String)> {
    if !matches!(outcome.action, Action::Silent(_)) {
        return None;
    }
    let place = if packet.giaddr.is_unspecified() {
        interface.to_owned()
    } else {
        format!("relay {}", packet.giaddr)
    };
    match &outcome.action {
        Action::Silent(Reason::PoolEmpty) => Some((
            "dhcp.pool-empty",
            format!(
                "no free address for clients on {place}: enlarge the subnet's dynamic range or shorten its leases"
            ),
        )),
        Action::Silent(Reason::Unheard) => Some((
            "dhcp.unheard",
            format!(
                "clients on {place} that have no fixed address got none: no region had heard this rack for a day, or since its box was started"
            ),
        )),
        Action::Silent(Reason::RateLimited) => Some((
            "dhcp.flood",
            format!("too many new clients on {place}: most are not answered; look for a loop or an attack"),
        )),
        Action::Silent(Reason::NoSubnet) if !packet.giaddr.is_unspecified() => Some((
            "dhcp.unknown-relay",
            format!(
                "a relay at {} passes requests on from a network that is not modelled, or whose DHCP is off: enter its subnet, \
                 and name this VLAN as its VLAN's relay",
                packet.giaddr
            ),
        )),
        Action::Silent(Reason::TooOften) => Some((
            "dhcp.client-too-often",
            format!(
                "{} on {place} asks without end or declines every address, and is not answered for a while",
                outcome.client.mac.map_or_else(|| "a client".to_owned(), |mac| mac.to_string())
            ),
        )),
        Action::Silent(Reason::Declined) => Some((
            "dhcp.address-in-use",
            format!(
                "a client on {place} found its address in use by something else: look for a host with a static address inside the dynamic range"
            ),
        )),
        _ => None,
    }
}

fn log(packet: &Packet, outcome: &Outcome, interface: &str) {
    if !tracing::enabled!(tracing::Level::INFO) {
        return;
    }
    let (answer, address) = match &outcome.action {
        Action::Offer(reply) => ("offer".to_owned(), reply.packet.yiaddr),
        Action::Ack(reply) => ("ack".to_owned(), reply.packet.yiaddr),
        Action::Nak(_, reason) => (format!("nak: {reason:?}"), packet.ciaddr),
        Action::Silent(reason) => (format!("none: {reason:?}"), packet.ciaddr),
    };
    let request = packet.options.message_type();
    let mac = outcome.client.mac.map(|mac| mac.to_string());
    if matches!(outcome.action, Action::Silent(_)) {
        tracing::debug!(interface, mac, ?request, answer, %address, "DHCP");
    } else {
        tracing::info!(interface, mac, ?request, answer, %address, "DHCP");
    }
}

#[cfg(test)]
mod tests;
