//! Router advertisements of a rack that is no router (RFC 4861 section 4.2): lifetime 0.
//!
//! Where DHCPv6 is served they say so (flags M and O), and which prefix is on the link: without that hosts do not ask, and
//! do not reach each other. They make no addresses by themselves (no flag A). Elsewhere they say nothing, for one purpose:
//! boot loaders in the field wait for a router's answer before they use the IPv4 address they have; where no IPv6 router is,
//! that costs them 13 seconds. This answer says that there is nothing to wait for, and moves no host's traffic.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dhcp6;
use crate::state::World;
use rackwright_common::snapshot::Snapshot;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const SOLICITATION: u8 = 133;
const SOLICITATION_MIN: usize = 8;
/// Type 134, code 0; the kernel fills in the checksum; hop limit unspecified, no flags, all times 0. Flags are at 5.
const ADVERTISEMENT: [u8; 16] = [134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const EVERY: Duration = Duration::from_secs(60);
/// How long a prefix counts as on the link after the last advertisement: a day.
const PREFIX_SECONDS: u32 = 86_400;
/// An interface that cannot be served is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);
/// A new interface has no usable link-local address for a second or two: so many failures are not worth a word.
const PATIENCE: u32 = 6;
const SOON: Duration = Duration::from_secs(1);
/// Answers go to all hosts, so not more often than this.
const GAP: Duration = Duration::from_millis(50);

/// Flags M and O (RFC 4861 §4.2): addresses and the rest come by DHCPv6.
const MANAGED: u8 = 0xc0;

/// What is advertised on an interface now, if anything.
fn advertisement(interface: &str, snapshot: &Snapshot) -> Option<Vec<u8>> {
    let subnets = dhcp6::subnets_at(interface, snapshot);
    if subnets.is_empty() {
        return snapshot.router_advertisements.then(|| ADVERTISEMENT.to_vec());
    }
    let mut bytes = ADVERTISEMENT.to_vec();
    bytes[5] = MANAGED;
    for subnet in subnets {
        // Prefix information: on the link, and not for making addresses (RFC 4861 §4.6.2).
        bytes.extend([3, 4, subnet.cidr.prefix_len(), 0x80]);
        bytes.extend(PREFIX_SECONDS.to_be_bytes());
        bytes.extend(PREFIX_SECONDS.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(subnet.cidr.network().octets());
    }
    Some(bytes)
}

/// Answers on the named interfaces while the snapshot says so, until cancelled.
pub async fn run(interfaces: Vec<String>, world: Arc<World>, cancel: CancellationToken) {
    let mut tasks = JoinSet::new();
    for interface in interfaces {
        tasks.spawn(keep(interface, world.clone(), cancel.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

async fn keep(interface: String, world: Arc<World>, cancel: CancellationToken) {
    let mut failures = 0;
    let mut changes = world.subscribe();
    loop {
        let pause = if advertisement(&interface, &world.snapshot()).is_some() {
            let served = tokio::select! {
                () = cancel.cancelled() => return,
                served = advertise(&interface, &world) => served,
            };
            failures += 1;
            if let Err(error) = served
                && failures == PATIENCE
            {
                tracing::warn!(interface, %error, "router solicitations are not answered: this needs CAP_NET_RAW and IPv6 on the interface");
            }
            if failures < PATIENCE { SOON } else { AGAIN }
        } else {
            EVERY
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = changes.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Serves one interface until something fails or the snapshot no longer says so.
async fn advertise(interface: &str, world: &World) -> io::Result<()> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    // Receiving and sending work on a raw socket as on a UDP socket.
    let socket = UdpSocket::from_std(open(interface, index)?.into())?;
    let to_all = SocketAddrV6::new(ALL_NODES, 0, 0, index);
    let mut timer = tokio::time::interval(EVERY);
    let mut buffer = [0; 256];
    while let Some(bytes) = advertisement(interface, &world.snapshot()) {
        tokio::select! {
            _ = timer.tick() => {}
            received = socket.recv_from(&mut buffer) => {
                let (length, _) = received?;
                if length < SOLICITATION_MIN || buffer[0] != SOLICITATION {
                    continue;
                }
            }
        }
        socket.send_to(&bytes, SocketAddr::from(to_all)).await?;
        tokio::time::sleep(GAP).await;
    }
    Ok(())
}

fn open(interface: &str, index: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_multicast_if_v6(index)?;
    // A receiver ignores anything that has passed a router.
    socket.set_multicast_hops_v6(255)?;
    socket.set_unicast_hops_v6(255)?;
    socket.set_multicast_loop_v6(false)?;
    socket.join_multicast_v6(&ALL_ROUTERS, index)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
