//! The DHCPv6 client of the ephemeral environment (RFC 8415 §18.2): one address on the interface that booted over IPv6, kept
//! until the machine restarts. `/init` runs it as `rackwright-agent dhcp6 INTERFACE`; busybox has no such client.
//!
//! What holds: it never gives up. An address that nobody extends is taken away when its time is over, one that somebody else
//! has is declined, and a new one is asked for. The network's prefix and routes are the kernel's, by router advertisements.
//! Left out: several addresses, prefixes, temporary addresses, reconfiguration, and the release at the end: the next boot
//! asks for the same address.

mod kernel;
mod talk;

use crate::Result;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};
use talk::{Lease, Talk};

/// Between attempts that found nothing to talk to, or an address of somebody else.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one server is asked for what it has offered (RFC 8415 §7.6, REQ_MAX_RC of REQ_TIMEOUT).
const REQUESTING: Duration = Duration::from_secs(10);

/// Looks after one interface, for ever, or until another one is the machine's.
pub fn run(interface: &str) -> Result<()> {
    let talk = Talk::new(interface)?;
    loop {
        match hold(&talk, interface) {
            Ok(Held::Nothing) => std::thread::sleep(PAUSE),
            Ok(Held::ToTheEnd(address)) => {
                eprintln!("rackwright-agent: the time of {address} on {interface} is over");
            }
            Ok(Held::AnotherInterface) => return Ok(()),
            Err(error) => {
                eprintln!("rackwright-agent: DHCPv6 on {interface}: {}", error.sentence());
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// What came of an attempt.
enum Held {
    Nothing,
    ToTheEnd(Ipv6Addr),
    AnotherInterface,
}

/// Gets an address and keeps it as long as servers extend it.
fn hold(talk: &Talk, interface: &str) -> Result<Held> {
    let Some(mut lease) = obtain(talk) else { return Ok(Held::Nothing) };
    if !kernel::is_ours(interface) {
        return Ok(Held::AnotherInterface);
    }
    let address = lease.address;
    kernel::add(interface, address)?;
    if kernel::is_somebody_elses(interface, address) {
        eprintln!("rackwright-agent: {address} is somebody else's");
        talk.decline(&lease);
        kernel::remove(interface, address)?;
        return Ok(Held::Nothing);
    }
    kernel::tell(interface, &lease)?;
    while let Some(next) = extend(talk, &lease).filter(|next| next.address == address) {
        lease = next;
    }
    kernel::remove(interface, address)?;
    Ok(Held::ToTheEnd(address))
}

/// An address from whoever gives one.
fn obtain(talk: &Talk) -> Option<Lease> {
    let offer = talk.solicit()?;
    if offer.given {
        return Some(offer);
    }
    talk.request(&offer, Instant::now() + REQUESTING)
}

/// Waits until half of the time is over, and asks for more: the server that gave it, later any (RFC 8415 §14.2).
fn extend(talk: &Talk, lease: &Lease) -> Option<Lease> {
    let wait = lease.renew_at().saturating_duration_since(Instant::now());
    std::thread::sleep(wait);
    talk.renew(lease, lease.rebind_at()).or_else(|| talk.rebind(lease, lease.ends_at()))
}

/// How addresses are written for `ip`.
fn host(address: Ipv6Addr) -> String {
    format!("{address}/128")
}
