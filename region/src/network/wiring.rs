//! Compares where interfaces are, by what the other end of their cable says, with where the model has them. A difference is
//! an alarm: an event when it begins and when it ends, and a fault on the pages as long as it lasts.
//!
//! One pass takes no input, may be repeated at any time, and writes only what has changed; every region makes one every
//! few seconds, and of two at a time one does nothing. An interface whose VLAN has no number in the model (0, untagged)
//! is not compared: what number a switch has for it says nothing.

use crate::db::event::{self, NewEvent};
use crate::db::{DbError, discovery, wiring};
use crate::model::discovery::WiringFault;
use rackwright_common::MachineId;
use rackwright_common::inventory::LldpNeighbour;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(5);

/// An interface whose other end is known, and the VLAN of its subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Of this machine.
    pub machine: Option<MachineId>,
    /// Of this rack.
    pub rack: Option<i64>,
    /// The name of the machine or the rack.
    pub name: String,
    /// Interface.
    pub interface: String,
    /// What the other end says.
    pub lldp: LldpNeighbour,
    /// The VLAN of its subnet; 0 for the untagged one.
    pub model_vid: i32,
}

/// What is wrong with a place, if anything.
pub fn compare(place: &Place) -> Option<WiringFault> {
    let seen_vid = i32::from(place.lldp.vlan?);
    if place.model_vid == 0 || seen_vid == place.model_vid {
        return None;
    }
    let switch = place.lldp.system.clone().unwrap_or_else(|| place.lldp.chassis.clone());
    let message = format!(
        "{} of {} is on {switch} port {}, VLAN {seen_vid} untagged; the model says VLAN {}",
        place.interface, place.name, place.lldp.port, place.model_vid
    );
    Some(WiringFault {
        machine: place.machine.clone(),
        rack: place.rack.map(|_| place.name.clone()),
        name: place.name.clone(),
        interface: place.interface.clone(),
        switch,
        port: place.lldp.port.clone(),
        seen_vid,
        model_vid: place.model_vid,
        message,
        since: time::OffsetDateTime::UNIX_EPOCH.into(),
    })
}

/// Compares until cancelled.
pub async fn run(pool: PgPool, cancel: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = once(&pool).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "wiring is not compared now");
        }
    }
}

/// One pass.
pub async fn once(pool: &PgPool) -> Result<(), DbError> {
    let mut tx = pool.begin().await?;
    if !wiring::lock(&mut tx).await? {
        return Ok(());
    }
    let before = wiring::faults(&mut tx, None, None).await?;
    let found: Vec<_> =
        wiring::places(&mut tx).await?.into_iter().filter_map(|p| Some((compare(&p)?, p))).collect();
    for (fault, place) in &found {
        if wiring::put(&mut tx, place, fault).await? {
            tell(&mut tx, fault, "network.wiring", "warning", &fault.message).await?;
        }
    }
    let lasts = |f: &WiringFault| {
        found.iter().any(|(n, _)| (&n.machine, &n.rack, &n.interface) == (&f.machine, &f.rack, &f.interface))
    };
    for ended in before.iter().filter(|f| !lasts(f)) {
        wiring::remove(&mut tx, ended).await?;
        let message = format!("{} of {} is where the model says, or nowhere", ended.interface, ended.name);
        tell(&mut tx, ended, "network.wiring-ended", "info", &message).await?;
    }
    discovery::forget(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

async fn tell(
    conn: &mut PgConnection,
    fault: &WiringFault,
    kind: &str,
    level: &str,
    message: &str,
) -> Result<(), DbError> {
    let data = json!({
        "rack": fault.rack, "interface": fault.interface, "switch": fault.switch, "port": fault.port,
        "seen_vid": fault.seen_vid, "model_vid": fault.model_vid,
    });
    let event = NewEvent {
        kind,
        level,
        machine: fault.machine.as_ref(),
        operation: None,
        actor: "rackwright",
        message,
        data,
    };
    event::append(conn, &event).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(seen: Option<u16>, model_vid: i32) -> Place {
        let lldp = LldpNeighbour {
            chassis: "02:00:00:00:00:01".into(),
            port: "14".into(),
            system: Some("switch-3".into()),
            description: None,
            vlan: seen,
        };
        let (name, interface) = ("node-7".into(), "eth1".into());
        Place { machine: "k3x9ab".parse().ok(), rack: None, name, interface, lldp, model_vid }
    }

    #[test]
    fn a_difference_is_said_in_a_sentence() {
        let fault = compare(&place(Some(20), 10)).unwrap();
        assert_eq!(
            fault.message,
            "eth1 of node-7 is on switch-3 port 14, VLAN 20 untagged; the model says VLAN 10"
        );
        assert_eq!(compare(&place(Some(10), 10)), None);
        assert_eq!(compare(&place(None, 10)), None, "the switch says no VLAN");
        assert_eq!(compare(&place(Some(1), 0)), None, "the model has no number for it");
    }
}
