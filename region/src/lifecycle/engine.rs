//! The workers: claim an operation that is due, decide, write, give it back.
//!
//! Any number of regions run any number of workers. Woken by the database's notifications, by the next due time,
//! and by a slow poll.

use super::decision::{self, Decision};
use super::steps;
use crate::db::operation::{self, Operation};
use crate::db::wakeups::{self, Wakeups};
use crate::db::{DbError, machine};
use crate::standing::Standing;
use sqlx::{PgConnection, PgPool};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a lost chance to be woken may cost.
const SLOW_POLL: Duration = Duration::from_secs(2);

/// How long things may take before a step gives up on them.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// Power-on to the agent's hello, seconds.
    pub boot_seconds: u64,
    /// Silence after which an agent counts as gone, seconds.
    pub agent_silence_seconds: u64,
    /// Reboot of the installed system to cloud-init's report, seconds.
    pub system_seconds: u64,
    /// How long a BMC that does not answer is asked again, seconds.
    pub bmc_patience_seconds: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { boot_seconds: 600, agent_silence_seconds: 90, system_seconds: 1800, bmc_patience_seconds: 300 }
    }
}

/// Runs one worker until cancelled. It claims while the region may act, and lets go of what it does, which is then
/// rolled back, when the database has not heard the region for too long.
pub async fn run(
    pool: PgPool,
    wakeups: Wakeups,
    timing: Timing,
    (owner, standing): (String, Standing),
    cancel: CancellationToken,
) {
    let mut due = wakeups.operations();
    while !cancel.is_cancelled() {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = standing.acting() => {}
        }
        due.mark_unchanged();
        let worked = tokio::select! {
            worked = work_once(&pool, &timing, &owner) => worked,
            () = standing.unheard() => continue,
        };
        let idle = match worked {
            Ok(Some(())) => continue,
            Ok(None) => until_due(&pool).await,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the database does not let operations go on; trying again"
                );
                SLOW_POLL
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = wakeups::wait(&mut due, idle) => {}
        }
    }
}

async fn until_due(pool: &PgPool) -> Duration {
    let seconds = async { operation::seconds_until_due(&mut *pool.acquire().await?).await }.await;
    match seconds {
        Ok(Some(seconds)) => Duration::from_secs_f64(seconds.clamp(0.02, SLOW_POLL.as_secs_f64())),
        Ok(None) | Err(_) => SLOW_POLL,
    }
}

/// Claims and advances one operation; `None` when none is due.
pub async fn work_once(pool: &PgPool, timing: &Timing, owner: &str) -> Result<Option<()>, DbError> {
    let mut conn = pool.acquire().await?;
    let Some(op) = operation::claim_due(&mut conn, owner).await? else { return Ok(None) };
    match advance(&mut conn, timing, &op).await {
        Ok(()) => Ok(Some(())),
        Err(DbError::Stale) => {
            tracing::info!(
                operation.id = op.id.0,
                operation.epoch = op.epoch,
                "another owner has taken over; nothing was written"
            );
            Ok(Some(()))
        }
        Err(error) => {
            // The claim expires by itself; meanwhile nobody spins on a row that cannot be worked on.
            tracing::error!(
                operation.id = op.id.0,
                error = &error as &dyn std::error::Error,
                "a step failed"
            );
            Err(error)
        }
    }
}

async fn advance(conn: &mut PgConnection, timing: &Timing, op: &Operation) -> Result<(), DbError> {
    let found = machine::get(conn, &op.machine).await?;
    if let Some(by) = &op.abort_requested_by {
        return decision::abort(conn, op, &found, by).await;
    }
    let decided = if op.now >= op.deadline {
        Decision::fail(format!(
            "it took longer than allowed; the last step was \"{}\"",
            steps::label_of(&op.step)
        ))
    } else {
        steps::decide(conn, timing, op, &found).await?
    };
    tracing::debug!(operation.id = op.id.0, operation.step = op.step, machine.id = %op.machine, next = ?decided.next, "step");
    decision::commit(conn, op, &found, &decided).await
}
