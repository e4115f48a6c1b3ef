//! At which addresses a region answers names: as set, or at all of its box that no rack answers at.

use super::server::NameServer;
use crate::db::{DbError, name_source, region};
use nix::ifaddrs::getifaddrs;
use rackwright_services::dns::serve;
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PORT: u16 = 53;
/// How often the box's addresses are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Where each address stands: served, or why not.
type States = Arc<Mutex<BTreeMap<SocketAddr, Result<(), String>>>>;

/// Answers until cancelled, and writes down for all where.
pub(super) async fn run(
    pool: PgPool,
    name: String,
    fixed: Vec<SocketAddr>,
    server: Arc<NameServer>,
    cancel: CancellationToken,
) {
    let states = States::default();
    let mut running: BTreeMap<SocketAddr, CancellationToken> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut told = None;
    loop {
        // Without the database nothing is given up.
        if let Ok(wanted) = wanted(&pool, &fixed).await {
            running.retain(|address, stop| {
                let stays = wanted.contains(address);
                if !stays {
                    stop.cancel();
                    states.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
                }
                stays
            });
            for address in wanted {
                running.entry(address).or_insert_with(|| {
                    let stop = cancel.child_token();
                    let (states, server, end) = (states.clone(), server.clone(), stop.clone());
                    tasks.spawn(async move {
                        let told = |now: Result<(), &std::io::Error>| {
                            let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
                            states.insert(address, now.map_err(ToString::to_string));
                        };
                        serve(address, server, told, end).await;
                    });
                    stop
                });
            }
        }
        tell(&pool, &name, &states, &mut told).await;
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(if told.is_some() { EVERY } else { EVERY / 10 }) => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// What is served and what is not, as the others are told.
type Told = (Vec<IpAddr>, Option<String>);

async fn tell(pool: &PgPool, name: &str, states: &States, told: &mut Option<Told>) {
    let now: Told = {
        let states = states.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = states.iter().filter(|(_, state)| state.is_ok()).map(|(a, _)| a.ip()).collect();
        let error = states.iter().find_map(|(a, state)| Some(format!("{a}: {}", state.as_ref().err()?)));
        (addresses, error)
    };
    if told.as_ref() == Some(&now) || (told.is_none() && now.0.is_empty() && now.1.is_none()) {
        return;
    }
    let written = async {
        let mut conn = pool.acquire().await?;
        region::set_names(&mut conn, name, &now.0, now.1.as_deref()).await
    };
    match written.await {
        Ok(()) => *told = Some(now),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(error, "the others are not told yet where this region answers names");
        }
    }
}

async fn wanted(pool: &PgPool, fixed: &[SocketAddr]) -> Result<BTreeSet<SocketAddr>, DbError> {
    if !fixed.is_empty() {
        return Ok(fixed.iter().copied().collect());
    }
    let mut conn = pool.acquire().await?;
    let racks: BTreeSet<IpAddr> =
        name_source::racks(&mut conn).await?.into_iter().flat_map(|rack| rack.addresses).collect();
    let own = own_addresses().into_iter().filter(|address| !racks.contains(address));
    Ok(own.map(|address| SocketAddr::from((address, PORT))).collect())
}

/// Addresses of this box by which others reach it.
fn own_addresses() -> Vec<IpAddr> {
    let Ok(entries) = getifaddrs() else { return Vec::new() };
    let address = |entry: nix::ifaddrs::InterfaceAddress| {
        let address = entry.address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::from(a.ip())))
    };
    let reached = |address: &IpAddr| match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    };
    entries.filter_map(address).filter(reached).collect()
}
