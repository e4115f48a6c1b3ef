//! The agent reads the hardware, and gives Rackwright its own user on the BMC.

use super::{Look, StepName, items};
use crate::db::DbError;
use crate::lifecycle::decision::Decision;
use serde_json::json;
use sqlx::PgConnection;

const INVENTORY: i32 = 10;
const BMC: i32 = 20;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    if let Some(decision) = items::one(conn, look, INVENTORY, "inventory", json!({})).await? {
        return Ok(decision);
    }
    // Settings that a person typed in are not overruled.
    let ours_to_set = look.machine.bmc_driver.is_none() || look.op.state.get("bmc_item").is_some();
    if ours_to_set && let Some(decision) = items::one(conn, look, BMC, "setup-bmc", json!({})).await? {
        return Ok(decision.remembering(json!({ "bmc_item": true })));
    }
    Ok(look.onward(StepName::Inventory))
}
