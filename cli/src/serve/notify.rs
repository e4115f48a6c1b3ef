//! Tells systemd when a daemon serves, that it is alive, and that it stops (sd_notify(3)). Run by somebody else, nothing
//! is told.
//!
//! Ready means: a client that connects is served. Alive means: the daemon's own threads take up work.

use nix::ifaddrs::getifaddrs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two looks whether the daemon serves.
const LOOK: Duration = Duration::from_millis(50);

/// Sends one message, such as `READY=1`.
fn say(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(abstract_name) => UnixAddress::from_abstract_name(abstract_name),
        None => UnixAddress::from_pathname(&name),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!(%error, state, "the service manager could not be told");
    }
}

/// Keeps the service manager informed until the daemon is cancelled. `address` yields where it will serve; it is asked
/// again and again, because interfaces get their addresses late.
pub async fn tell(address: impl Fn() -> Vec<SocketAddr> + Send, cancel: CancellationToken) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = async {
            until_served(address).await;
            say("READY=1");
            stay_alive().await;
        } => {}
    }
    say("STOPPING=1");
}

/// Returns when one of the addresses takes connections.
pub async fn until_served(address: impl Fn() -> Vec<SocketAddr> + Send) {
    loop {
        for at in address() {
            if tokio::net::TcpStream::connect(at).await.is_ok() {
                return;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A sign of life in half the time that the service manager allows, without end.
async fn stay_alive() {
    let allowed = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
    let Some(micros) = allowed.filter(|micros| *micros > 0) else { return std::future::pending().await };
    let mut tick = tokio::time::interval(Duration::from_micros(micros) / 2);
    loop {
        tick.tick().await;
        say("WATCHDOG=1");
    }
}

/// Where a service that listens at `listen` is reached from this box.
pub fn local(listen: SocketAddr) -> SocketAddr {
    let ip = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    SocketAddr::new(ip, listen.port())
}

/// The IPv4 addresses of these interfaces, with a port.
pub fn on_interfaces(interfaces: &[String], port: u16) -> Vec<SocketAddr> {
    let Ok(all) = getifaddrs() else { return Vec::new() };
    all.filter(|found| interfaces.contains(&found.interface_name))
        .filter_map(|found| Some(SocketAddr::from((found.address?.as_sockaddr_in()?.ip(), port))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_everybody_is_reached_at_home() {
        assert_eq!(local("0.0.0.0:5240".parse().unwrap()).to_string(), "127.0.0.1:5240");
        assert_eq!(local("10.0.0.1:1".parse().unwrap()).to_string(), "10.0.0.1:1");
    }

    #[test]
    fn the_loopback_has_its_address() {
        assert_eq!(on_interfaces(&["lo".to_owned()], 7), ["127.0.0.1:7".parse().unwrap()]);
        assert_eq!(on_interfaces(&["no-such".to_owned()], 7), []);
    }
}
