//! The agent writes the operating system; then the machine boots its disk.

use super::{Look, StepName, items};
use crate::db::{DbError, machine, world};
use crate::lifecycle::decision::{Decision, Effect, Next};
use serde_json::json;
use sqlx::PgConnection;

const INSTALL: i32 = 10;
pub(super) const REBOOT: i32 = 20;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    if let Some(mut decision) = items::one(conn, look, INSTALL, "install", json!({})).await? {
        if let Next::Fail(reason) = &mut decision.next
            && let Some((image, _)) = machine::deployment(conn, &look.op.machine).await?
        {
            let image = world::get_image(conn, image).await?;
            *reason = format!("{}@{} could not be installed: {reason}", image.name, image.version);
        }
        return Ok(decision);
    }
    // From here on the disk is complete: whenever the machine restarts, it starts what was installed.
    Ok(look
        .onward(StepName::Install)
        .with(Effect::BootLocal)
        .with(Effect::Item { ordinal: REBOOT, kind: "reboot", payload: json!({}) })
        .remembering(json!({ "installed_at": look.op.now.unix_timestamp() })))
}
