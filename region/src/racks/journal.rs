//! Takes a rack's journal: each entry once, in order, whichever region gets it.

use crate::db::event::{self, NewEvent};
use crate::db::lease::{self, Lease, Lease6};
use crate::db::{DbError, address_probe, dhcp_seen, discovery, machine, operation, rack};
use crate::inband::InBand;
use crate::network;
use rackwright_common::link::{BootStage, Fact, JournalEntry, RackAddress};
use rackwright_common::{Mac, MachineId};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// How a request is answered while the database is away.
const UNAVAILABLE: u16 = 503;

/// The rack that the entries come from.
#[derive(Debug, Clone)]
pub struct Source {
    /// Row.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Its addresses, for grants.
    pub addresses: Vec<RackAddress>,
}

/// Stores entries that are not stored yet; returns up to which entry everything is.
///
/// Reports come first, outside the transaction: answering one twice is harmless, and acknowledging one that nobody
/// answered would lose the word that a deployment waits for.
pub async fn store(
    conn: &mut PgConnection,
    inband: &InBand,
    source: &Source,
    entries: &[JournalEntry],
) -> Result<u64, DbError> {
    let stored = u64::try_from(rack::lock_journal(conn, source.id).await?).unwrap_or(0);
    for entry in entries.iter().filter(|e| e.seq > stored) {
        if let Fact::Report(relay) = &entry.fact
            && inband.answer(relay.clone()).await.status == UNAVAILABLE
        {
            return Err(DbError::Unavailable(sqlx::Error::PoolTimedOut));
        }
    }
    let mut tx = conn.begin().await?;
    let stored = u64::try_from(rack::lock_journal(&mut tx, source.id).await?).unwrap_or(0);
    let mut last = stored;
    let mut rest = entries;
    while !rest.is_empty() {
        let leases = rest.iter().take_while(|e| matches!(e.fact, Fact::Lease { .. })).count();
        let (now, later) = rest.split_at(leases.max(1));
        rest = later;
        let new: Vec<&JournalEntry> = now.iter().filter(|e| e.seq > stored).collect();
        match new.as_slice() {
            [] => {}
            [entry] if leases == 0 => take(&mut tx, source, entry).await?,
            entries => take_leases(&mut tx, source, entries).await?,
        }
        last = new.iter().map(|e| e.seq).fold(last, u64::max);
    }
    rack::set_journal(&mut tx, source.id, i64::try_from(last).unwrap_or(i64::MAX)).await?;
    tx.commit().await?;
    if entries.iter().any(|e| e.seq > stored && is_pool_empty(&e.fact)) {
        // In a transaction of its own: the lock of blocks comes before a rack's row.
        let mut tx = conn.begin().await?;
        network::grant_more(&mut tx, source.id, &source.addresses).await?;
        tx.commit().await?;
    }
    Ok(last)
}

fn is_pool_empty(fact: &Fact) -> bool {
    matches!(fact, Fact::Warning { code, .. } if code.starts_with("dhcp.pool"))
}

/// Leases that follow each other, in one go: a room of machines that starts tells of thousands.
async fn take_leases(
    conn: &mut PgConnection,
    source: &Source,
    entries: &[&JournalEntry],
) -> Result<(), DbError> {
    let mut leases = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Fact::Lease { mac, address, expires, hostname } = &entry.fact {
            let seq = i64::try_from(entry.seq).unwrap_or(i64::MAX);
            let hostname = hostname.as_deref();
            leases.push(Lease { seq, mac: *mac, address: *address, expires: *expires, hostname });
        }
    }
    lease::put(conn, source.id, &leases).await?;
    let macs: Vec<String> = leases.iter().map(|l| l.mac.to_string()).collect();
    machine::heard(conn, &macs).await
}

async fn take(conn: &mut PgConnection, source: &Source, entry: &JournalEntry) -> Result<(), DbError> {
    match &entry.fact {
        Fact::Lease { .. } => take_leases(conn, source, &[entry]).await,
        Fact::Lease6 { address, duid, mac, expires } => {
            let new = Lease6 { rack: source.id, address: *address, duid, mac: *mac, expires: *expires };
            lease::put6(conn, &new).await?;
            let machine = match mac {
                Some(mac) => machine::find_by_macs(conn, &[*mac]).await?,
                None => None,
            };
            match machine {
                Some(id) => machine::seen_alive(conn, &id).await,
                None => Ok(()),
            }
        }
        Fact::LeaseEnded { mac, address, declined } => {
            lease::end(conn, *mac, *address).await?;
            if *declined {
                let message = format!("{mac} was given {address} and says that somebody else has it");
                warn(conn, source, None, "dhcp.declined", &message).await?;
            }
            Ok(())
        }
        Fact::Boot { mac, uuid, stage, detail } => boot(conn, source, *mac, *uuid, *stage, detail).await,
        Fact::Warning { code, message, mac } => warn(conn, source, *mac, code, message).await,
        Fact::Probed { operation: asked, addresses, answered } => {
            for address in addresses {
                let by = answered.iter().find(|(a, _)| a == address).map(|(_, mac)| *mac);
                address_probe::answered(conn, *asked, *address, by).await?;
            }
            operation::poke(conn, *asked).await
        }
        Fact::DhcpServer { subnet, server } => {
            if dhcp_seen::server(conn, *subnet, *server, &source.name).await? {
                let message = format!(
                    "a DHCP server that is not Rackwright's answers on a network of {}: {server}; switch it off there, or set \
                     the VLAN's DHCP to shadow or proxy",
                    source.name
                );
                warn(conn, source, None, "dhcp.foreign-server", &message).await?;
            }
            Ok(())
        }
        Fact::Shadow(seen) => dhcp_seen::shadow(conn, &source.name, entry.at, seen).await,
        Fact::Sighting(seen) => discovery::put(conn, source.id, seen, entry.at).await,
        Fact::Report(_) | Fact::Unknown => Ok(()),
    }
}

async fn machine_of(conn: &mut PgConnection, mac: Option<Mac>) -> Result<Option<MachineId>, DbError> {
    match mac {
        Some(mac) => machine::find_by_macs(conn, &[mac]).await,
        None => Ok(None),
    }
}

async fn boot(
    conn: &mut PgConnection,
    source: &Source,
    mac: Option<Mac>,
    uuid: Option<Uuid>,
    stage: BootStage,
    detail: &str,
) -> Result<(), DbError> {
    let machine = machine_of(conn, mac).await?;
    if let Some(id) = &machine {
        machine::seen_alive(conn, id).await?;
    }
    let operation = match &machine {
        Some(id) => crate::db::operation::find_running(conn, id).await?.map(|running| running.id),
        None => None,
    };
    let event = NewEvent {
        kind: "machine.boot",
        level: "debug",
        machine: machine.as_ref(),
        operation,
        actor: &format!("rack:{}", source.name),
        message: detail,
        data: json!({ "stage": stage, "mac": mac, "uuid": uuid }),
    };
    event::append(conn, &event).await
}

async fn warn(
    conn: &mut PgConnection,
    source: &Source,
    mac: Option<Mac>,
    code: &str,
    message: &str,
) -> Result<(), DbError> {
    let machine = machine_of(conn, mac).await?;
    let event = NewEvent {
        kind: code,
        level: "warning",
        machine: machine.as_ref(),
        operation: None,
        actor: &format!("rack:{}", source.name),
        message,
        data: json!({ "mac": mac }),
    };
    event::append(conn, &event).await
}
