//! The agent opens SSH for the user's keys. The environment goes on running after the operation has ended.

use super::{Look, StepName, items};
use crate::db::DbError;
use crate::lifecycle::decision::Decision;
use crate::lifecycle::request::OperationRequest;
use serde_json::json;
use sqlx::PgConnection;

const RESCUE: i32 = 10;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    let asked: &[String] = match look.request {
        OperationRequest::EnterRescue { ssh_keys } => ssh_keys,
        OperationRequest::Commission { .. }
        | OperationRequest::Test { .. }
        | OperationRequest::Deploy { .. }
        | OperationRequest::Release { .. }
        | OperationRequest::ExitRescue
        | OperationRequest::Power { .. } => &[],
    };
    let keys = if asked.is_empty() { &look.machine.ssh_keys } else { asked };
    if keys.is_empty() {
        return Ok(Decision::fail("there is no SSH key to let in; add one with `rackwright ssh-key add`"));
    }
    let decision = items::one(conn, look, RESCUE, "rescue", json!({ "authorized_keys": keys })).await?;
    Ok(decision.unwrap_or_else(|| look.onward(StepName::Rescue)))
}
