//! The agent writes the operating system; then the machine boots its disk.

use super::{Look, StepName, items};
use crate::db::DbError;
use crate::lifecycle::decision::{Decision, Effect};
use serde_json::json;
use sqlx::PgConnection;

const INSTALL: i32 = 10;
pub(super) const REBOOT: i32 = 20;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    if let Some(decision) = items::one(conn, look, INSTALL, "install", json!({})).await? {
        return Ok(decision);
    }
    // From here on the disk is complete: whenever the machine restarts, it starts what was installed.
    Ok(look
        .onward(StepName::Install)
        .with(Effect::BootLocal)
        .with(Effect::Item { ordinal: REBOOT, kind: "reboot", payload: json!({}) })
        .remembering(json!({ "installed_at": look.op.now.unix_timestamp() })))
}
