//! The box's own addresses on the interfaces that machines are on, and what is served on each of them.

use ipnet::{Ipv4Net, Ipv6Net};
use nix::ifaddrs::getifaddrs;
use rackwright_common::link::RackAddress;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often the addresses are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// The IPv4 addresses of the named interfaces, in the order of the names.
pub fn read(interfaces: &[String], http_port: u16) -> io::Result<Vec<RackAddress>> {
    let entries: Vec<_> = getifaddrs().map_err(io::Error::from)?.collect();
    let mut addresses = Vec::new();
    for name in interfaces {
        for entry in entries.iter().filter(|e| e.interface_name == *name) {
            let Some(ip) = entry.address.as_ref().and_then(|a| a.as_sockaddr_in()).map(|a| a.ip()) else {
                continue;
            };
            let mask = entry.netmask.as_ref().and_then(|m| m.as_sockaddr_in()).map(|m| m.ip());
            let network =
                mask.and_then(|m| Ipv4Net::with_netmask(ip, m).ok()).unwrap_or_else(|| Ipv4Net::from(ip));
            addresses.push(RackAddress { interface: name.clone(), network, http_port, dns: false });
        }
    }
    Ok(addresses)
}

/// The IPv6 addresses of the named interfaces that others can use: not those that are good on one link only.
pub fn read6(interfaces: &[String]) -> io::Result<Vec<(String, Ipv6Net)>> {
    let mut found = Vec::new();
    for entry in getifaddrs().map_err(io::Error::from)?.filter(|e| interfaces.contains(&e.interface_name)) {
        let Some(ip) = entry.address.as_ref().and_then(|a| a.as_sockaddr_in6()).map(|a| a.ip()) else {
            continue;
        };
        if ip.is_unicast_link_local() || ip.is_loopback() {
            continue;
        }
        let mask = entry.netmask.as_ref().and_then(|m| m.as_sockaddr_in6()).map(|m| m.ip());
        let bits = mask.map_or(128, |m: Ipv6Addr| u128::from(m).leading_ones());
        let network = u8::try_from(bits).ok().and_then(|bits| Ipv6Net::new(ip, bits).ok());
        found.extend(network.map(|network| (entry.interface_name.clone(), network)));
    }
    Ok(found)
}

/// The addresses of the named interfaces that machines can reach, of both families.
fn read_all(interfaces: &[String]) -> io::Result<Vec<IpAddr>> {
    let v4 = read(interfaces, 0)?.into_iter().map(|a| IpAddr::V4(a.network.addr()));
    let v6 = read6(interfaces)?.into_iter().map(|(_, net)| IpAddr::V6(net.addr()));
    Ok(v4.chain(v6).collect())
}

/// Runs `serve` on each address of the interfaces, from when the address comes until it goes. Ends when cancelled,
/// or with the first error: of an address that was there at the start at once, later ones are tried again.
pub async fn serve_each<F, Fut, E>(
    interfaces: &[String],
    cancel: CancellationToken,
    serve: F,
) -> Result<(), E>
where
    F: Fn(IpAddr, CancellationToken) -> Fut,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: std::fmt::Display + Send + 'static,
{
    let mut running: HashMap<IpAddr, CancellationToken> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut first = true;
    loop {
        let now = read_all(interfaces).unwrap_or_else(|_| running.keys().copied().collect());
        if first && !now.iter().any(IpAddr::is_ipv4) {
            tracing::warn!(
                ?interfaces,
                "these interfaces have no IPv4 address yet: nothing is served to machines until one has"
            );
        }
        running.retain(|address, stop| {
            let stays = now.contains(address);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for address in now {
            running.entry(address).or_insert_with(|| {
                let stop = cancel.child_token();
                let served = serve(address, stop.clone());
                tasks.spawn(async move { (address, served.await) });
                stop
            });
        }
        let pause = tokio::time::sleep(EVERY);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = cancel.cancelled() => {
                    while tasks.join_next().await.is_some() {}
                    return Ok(());
                }
                () = &mut pause => break,
                Some(Ok((address, ended))) = tasks.join_next() => {
                    running.remove(&address);
                    match ended {
                        // An IPv6 address cannot be used before the kernel has looked whether it is anybody's.
                        Err(error) if first && address.is_ipv4() => return Err(error),
                        Err(error) => tracing::warn!(%address, %error, "not served, for now"),
                        Ok(()) => {}
                    }
                }
            }
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_its_address() {
        let addresses = read(&["lo".to_owned(), "no-such-one".to_owned()], 5248).unwrap();
        let network = "127.0.0.1/8".parse().unwrap();
        assert!(addresses.contains(&RackAddress {
            interface: "lo".to_owned(),
            network,
            http_port: 5248,
            dns: false
        }));
    }
}
