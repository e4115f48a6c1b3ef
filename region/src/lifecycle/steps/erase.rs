//! The agent erases the disks.

use super::{Look, StepName, items};
use crate::db::DbError;
use crate::lifecycle::decision::{Decision, Effect};
use crate::lifecycle::request::OperationRequest;
use rackwright_common::lifecycle::Event;
use rackwright_common::storage::EraseMode;
use serde_json::json;
use sqlx::PgConnection;

const ERASE: i32 = 10;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    let mode = match look.request {
        OperationRequest::Release { erase } => *erase,
        OperationRequest::Commission { .. }
        | OperationRequest::Test { .. }
        | OperationRequest::Deploy { .. }
        | OperationRequest::EnterRescue { .. }
        | OperationRequest::ExitRescue
        | OperationRequest::Power { .. } => EraseMode::Quick,
    };
    if let Some(decision) = items::one(conn, look, ERASE, "erase", json!({ "mode": mode })).await? {
        return Ok(decision);
    }
    Ok(look.onward(StepName::Erase).with(Effect::Status(Event::EraseDone)))
}
