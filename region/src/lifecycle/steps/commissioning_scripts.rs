//! The agent runs the commissioning scripts that users have stored. They come after the hardware is read, which says
//! which disks and NICs they are about, and before the tests, which are to find the machine as they leave it.

use super::scripts::{self, Phase};
use super::{Look, StepName};
use crate::db::DbError;
use crate::lifecycle::decision::{Decision, Effect};
use rackwright_common::Status;
use rackwright_common::lifecycle::Event;
use sqlx::PgConnection;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    if let Some(decision) = scripts::run(conn, look, Phase::Commissioning).await? {
        return Ok(decision);
    }
    if let Some(failed) = scripts::failed(conn, look, Phase::Commissioning).await? {
        return Ok(Decision::fail(format!(
            "failed commissioning scripts: {failed}; look at their output and commission again, or without them"
        )));
    }
    let onward = look.onward(StepName::CommissioningScripts);
    // A machine that vanished under its tests comes by here a second time.
    Ok(if look.machine.status == Status::Commissioning {
        onward.with_all([Effect::Commissioned, Effect::Status(Event::StartTest)])
    } else {
        onward
    })
}
