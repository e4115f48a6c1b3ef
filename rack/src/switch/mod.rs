//! Switches by SNMP: reading ports, VLANs (Q-BRIDGE-MIB, RFC 4363), neighbours (LLDP-MIB) and the table of MACs, and putting
//! a port into a VLAN with a look at what became of it.
//!
//! Whatever a switch answers costs a bounded time and memory; a decoder that fails on it fails one task. Left out: VLANs
//! that a switch learned by itself (GVRP), vendors' own tables, and making VLANs.

mod access;
mod read;
mod session;

use futures_util::FutureExt;
use rackwright_common::switch::{SwitchAction, SwitchEndpoint, SwitchError, SwitchOrder, SwitchReading};
use session::Session;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Everything about one switch takes no longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does what an order says.
pub async fn carry_out(order: &SwitchOrder) -> Result<SwitchReading, SwitchError> {
    match order.action {
        SwitchAction::Read => read(&order.endpoint).await,
        SwitchAction::SetAccessVlan { port, vid } => set_access_vlan(&order.endpoint, port, vid).await,
    }
}

/// Reads all of a switch.
pub async fn read(endpoint: &SwitchEndpoint) -> Result<SwitchReading, SwitchError> {
    within(endpoint, async |session| read::all(session).await).await
}

/// Makes a port an access port of a VLAN, and returns what the switch says afterwards. Refused where the VLAN is not
/// there, and of a port that carries tagged VLANs: such a port leads to another switch or a server that expects them.
pub async fn set_access_vlan(
    endpoint: &SwitchEndpoint,
    port: u32,
    vid: u16,
) -> Result<SwitchReading, SwitchError> {
    within(endpoint, async |session| {
        access::set(session, port, vid).await?;
        read::all(session).await
    })
    .await
}

async fn within(
    endpoint: &SwitchEndpoint,
    work: impl AsyncFnOnce(&mut Session) -> Result<SwitchReading, SwitchError>,
) -> Result<SwitchReading, SwitchError> {
    let done = tokio::time::timeout(PATIENCE, async {
        let mut session = Session::open(endpoint).await?;
        work(&mut session).await
    });
    let late = || Err(SwitchError::Unreachable(format!("it was not done within {} s", PATIENCE.as_secs())));
    // Bytes of a stranger go through a library's decoder here.
    let fell = || Err(SwitchError::Protocol("its answer could not be decoded".into()));
    AssertUnwindSafe(done)
        .catch_unwind()
        .await
        .map_or_else(|_| fell(), |done| done.unwrap_or_else(|_| late()))
}
