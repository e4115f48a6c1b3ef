//! What a machine's BMC knows, asked for now.
//!
//! A question only reads. So it needs no claim on the machine, is answered also while an operation is under way (which
//! is when people want the event log), and leaves no event. Commands are operations: [`super::machine_action::power`].

use super::{App, Describe, Error, Result};
use crate::auth::Actor;
use crate::db;
use crate::db::rack_task::{self, TaskState};
use crate::model::Role;
use crate::model::bmc::Reading;
use rackwright_common::MachineId;
use rackwright_common::bmc::{BmcError, BmcOutcome};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A rack takes the question within this, or none will.
const TAKEN_WITHIN: f64 = 15.0;
/// Longest time that the caller is held; a slow BMC with hundreds of sensors needs most of it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(90);
/// Between two looks whether the answer is there.
const LOOK: Duration = Duration::from_millis(100);

/// Asks a machine's BMC and waits for its answer.
pub async fn read(app: &App, actor: &Actor, id: &MachineId, reading: Reading) -> Result<BmcOutcome> {
    actor.require_somewhere(Role::User)?;
    let key = format!("question:{}", Uuid::new_v4());
    {
        let mut conn = app.read().await?;
        let machine = db::machine::get(&mut conn, id).await.or_not_found("machine", id)?;
        let pool = db::machine_query::pool(&mut conn, id).await.or_not_found("machine", id)?;
        actor.require_sight(id, &pool)?;
        actor.require_in(Role::User, &pool)?;
        if machine.bmc_driver.is_none() {
            return Err(Error::conflict(format!(
                "machine {id} has no BMC; set one with `rackwright machine bmc`"
            )));
        }
        rack_task::question(&mut conn, id, &key, reading.action(), TAKEN_WITHIN).await?;
    }
    let until = Instant::now() + ANSWERED_WITHIN;
    loop {
        match rack_task::state(&mut *app.read().await?, id, &key).await? {
            TaskState::Done(answer) => return Ok(answer?),
            TaskState::Absent => return Err(Error::not_found("machine", id)),
            TaskState::Open if Instant::now() >= until => {
                let seconds = ANSWERED_WITHIN.as_secs();
                return Err(BmcError::Unreachable(format!("nothing within {seconds} s")).into());
            }
            TaskState::Open => tokio::time::sleep(LOOK).await,
        }
    }
}
