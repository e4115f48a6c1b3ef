//! Tells those that get copies that a zone has changed (RFC 1996); they fetch it when they find that true.

use super::server::{Copy, unix_time};
use rackwright_dns::Name;
use rackwright_dns::tsig::{Signer, notify};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// How often one is told that says nothing.
const TRIES: u32 = 4;
/// How long an answer is waited for, at first; then twice as long each time.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells one about one zone. Whoever does not hear it asks by itself sooner or later.
pub(super) async fn tell(copy: Copy, zone: Name) {
    for number in 0..TRIES {
        match ask(&copy, &zone, PATIENCE * 2_u32.pow(number)).await {
            Ok(()) => return,
            Err(error) => {
                tracing::debug!(to = %copy.address, %zone, %error, "nobody heard that the zone has changed")
            }
        }
    }
    tracing::warn!(to = %copy.address, %zone, "a secondary does not answer; it will notice the change by itself");
}

async fn ask(copy: &Copy, zone: &Name, patience: Duration) -> std::io::Result<()> {
    let any: IpAddr =
        if copy.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(copy.address).await?;
    let id = rand::random();
    let message = notify(id, zone, &mut Signer::of_request(copy.key.clone()), unix_time());
    socket.send(&message).await?;
    let heard = async {
        let mut buffer = [0; 512];
        loop {
            let length = socket.recv(&mut buffer).await?;
            if length > 2 && buffer[..2] == u16::to_be_bytes(id) {
                return Ok::<_, std::io::Error>(());
            }
        }
    };
    let result = tokio::time::timeout(patience, heard).await;
    // Refused is at once: wait as long as for silence.
    if let Ok(Err(_)) = &result {
        tokio::time::sleep(patience).await;
    }
    result?
}
