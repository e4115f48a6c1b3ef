//! Requests that are carried out once, however often they come.
//!
//! What holds: every transaction that a use case opens while [`carry_out`] runs says in the same commit that the
//! request is carried out, or fails because a repetition has taken its place. So a repetition, which may come to
//! another region, finds either that nothing has happened and nothing will, or that it has. A use case of several
//! transactions counts as carried out with the first. What only asks (a BMC's readings) opens none and may be repeated.

use super::{Error, Result};
use crate::db::idempotency::{self, Claim};
use sqlx::PgConnection;
use std::future::Future;

tokio::task_local! {
    /// The claim under which the present request is carried out.
    static CLAIM: Claim;
}

/// What a request is told whose place a repetition has taken.
const REPLACED: &str = "a repetition of this request has taken its place";

/// Does `work` under a claim.
pub async fn carry_out<F: Future>(claim: Claim, work: F) -> F::Output {
    CLAIM.scope(claim, work).await
}

/// At the beginning of each transaction.
pub(super) async fn begun(conn: &mut PgConnection) -> Result<()> {
    let Ok(claim) = CLAIM.try_with(Claim::clone) else { return Ok(()) };
    if idempotency::carry_out(conn, &claim).await? { Ok(()) } else { Err(Error::Busy(REPLACED.into())) }
}

/// Whether this is why a request was refused: the repetition says how it ended.
pub(super) fn is_replaced(why: &str) -> bool {
    why == REPLACED
}
