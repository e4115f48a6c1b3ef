//! Before a deployment goes on: nobody on the wire has the addresses that were chosen for it.
//!
//! A rack of their network asks. One for which somebody answers is left alone for a week, and another is chosen, three
//! times at most. Where no rack is in the network, nobody can ask; that is told and does not hold the deployment up.

use super::Look;
use crate::db::{DbError, address_probe};
use crate::lifecycle::decision::{Decision, Effect};
use crate::network::plan::Stored;
use rackwright_common::Mac;
use sqlx::PgConnection;
use std::net::Ipv4Addr;

/// Seconds for a rack to answer.
const PATIENCE: f64 = 15.0;
/// Addresses for which somebody answered, in one deployment.
const AT_MOST: usize = 3;

/// What to do first, while the addresses are not settled.
pub(super) async fn settle(conn: &mut PgConnection, look: &Look<'_>) -> Result<Option<Decision>, DbError> {
    let probes = address_probe::list(conn, look.op.id).await?;
    if probes.is_empty() {
        return Ok(None);
    }
    let stored = Stored::load(conn, &look.op.machine).await?;
    let own = |mac: Mac| stored.physical.iter().any(|i| i.mac == mac);
    let has = |address: Ipv4Addr| {
        stored.physical.iter().any(|i| i.address == Some(address))
            || stored.addresses.iter().any(|a| a.view.address == Some(address.into()))
    };
    let in_use = probes.iter().find(|p| p.answered_by.is_some_and(|mac| !own(mac)) && has(p.address));
    let replaced = look.remembered("addresses_replaced").unwrap_or(0.0) as usize;
    if let Some(found) = in_use {
        let mac = found.answered_by.map(|m| m.to_string()).unwrap_or_default();
        let message = format!("{} is in use by {mac}, which Rackwright does not know of", found.address);
        if replaced >= AT_MOST {
            return Ok(Some(Decision::fail(format!(
                "{message}; so were others before: enter what is there as devices or reserved ranges"
            ))));
        }
        let decision = Decision::stay("choosing another address")
            .with(Effect::ChooseOther { address: found.address })
            .with(Effect::Tell { level: "warning", message: format!("{message}; another one is chosen") })
            .remembering(serde_json::json!({ "addresses_replaced": replaced + 1 }));
        return Ok(Some(decision));
    }
    let open: Vec<_> = probes.iter().filter(|p| !p.done).collect();
    if open.iter().any(|p| p.age < PATIENCE) {
        return Ok(Some(Decision::stay("asking on the wire whether its addresses are free")));
    }
    if !open.is_empty() && look.remembered("addresses_unasked").is_none() {
        let shown: Vec<String> = open.iter().map(|p| p.address.to_string()).collect();
        let message = format!(
            "no rack could ask on the wire whether {} is free; it is used all the same",
            shown.join(", ")
        );
        let decision = Decision::stay("going on")
            .with(Effect::Tell { level: "warning", message })
            .remembering(serde_json::json!({ "addresses_unasked": 1 }));
        return Ok(Some(decision));
    }
    Ok(None)
}
