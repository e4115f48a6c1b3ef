//! A person's power command: given once, its answer kept in the operation.

use super::Look;
use super::power::{Answer, ask};
use crate::db::DbError;
use crate::lifecycle::decision::{Decision, Next};
use crate::lifecycle::request::OperationRequest;
use rackwright_common::bmc::BmcAction;
use serde_json::json;
use sqlx::PgConnection;

/// A person waits: a BMC that does not answer is reported after a few tries.
const TRIES: i32 = 2;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    let action = match look.request {
        OperationRequest::Power { action } => *action,
        OperationRequest::Commission { .. }
        | OperationRequest::Test { .. }
        | OperationRequest::Deploy { .. }
        | OperationRequest::Release { .. }
        | OperationRequest::EnterRescue { .. }
        | OperationRequest::ExitRescue => BmcAction::Query,
    };
    Ok(match ask(conn, look, "command", action).await? {
        Answer::Yes(outcome) => Decision::from(Next::Done).remembering(json!({ "result": outcome })),
        Answer::Person(instruction) => Decision::fail(instruction),
        Answer::Wait(Decision { next: Next::Retry { reason, .. }, .. }) if look.op.attempt >= TRIES => {
            Decision::fail(reason)
        }
        Answer::Wait(decision) => decision,
        Answer::No(error) => Decision::fail(error.to_string()),
    })
}
