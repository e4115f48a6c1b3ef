//! Asking a BMC for something, patiently: shared by the steps that switch machines.

use super::{Look, retry};
use crate::db::DbError;
use crate::db::rack_task::{self, TaskState};
use crate::lifecycle::decision::{Decision, Effect, task_key};
use rackwright_common::bmc::{BmcAction, BmcError, BmcOutcome, PowerState};
use sqlx::PgConnection;

/// How a command stands.
pub(super) enum Answer {
    /// It was carried out.
    Yes(BmcOutcome),
    /// Only a person can; the text says what to do.
    Person(String),
    /// Not yet: do this.
    Wait(Decision),
    /// The BMC understood and will not, or cannot.
    No(BmcError),
}

/// Gives a command once per attempt of the step, and says how it stands. A BMC that does not answer is asked
/// again until patience ends; a wrong password or a refusal is final.
pub(super) async fn ask(
    conn: &mut PgConnection,
    look: &Look<'_>,
    name: &str,
    action: BmcAction,
) -> Result<Answer, DbError> {
    let key = key(look, look.op.attempt, name);
    Ok(match rack_task::state(conn, &look.op.machine, &task_key(look.op.id, &key)).await? {
        TaskState::Absent => {
            Answer::Wait(Decision::stay(waiting(conn, look, name).await?).with(Effect::Task { key, action }))
        }
        TaskState::Open => Answer::Wait(Decision::stay(waiting(conn, look, name).await?)),
        TaskState::Done(Ok(outcome)) => Answer::Yes(outcome),
        TaskState::Done(Err(BmcError::NeedsHuman(instruction))) => Answer::Person(instruction),
        TaskState::Done(Err(error @ (BmcError::Unreachable(_) | BmcError::Protocol(_)))) => {
            patience(look, error)
        }
        TaskState::Done(Err(
            error @ (BmcError::Login(_)
            | BmcError::Refused(_)
            | BmcError::StaleEpoch
            | BmcError::Unsupported(_)),
        )) => Answer::No(error),
    })
}

/// A command is given once under one key. An operation that begins its boot anew, because the machine vanished, gives
/// its commands anew.
fn key(look: &Look<'_>, attempt: i32, name: &str) -> String {
    let first = format!("{}:{attempt}:{name}", look.op.step);
    match look.remembered("vanished") {
        Some(times) => format!("{first}:{times}"),
        None => first,
    }
}

/// What is waited for, and why the try before failed.
async fn waiting(conn: &mut PgConnection, look: &Look<'_>, name: &str) -> Result<String, DbError> {
    let before = key(look, look.op.attempt - 1, name);
    Ok(match rack_task::state(conn, &look.op.machine, &task_key(look.op.id, &before)).await? {
        TaskState::Done(Err(error)) => {
            format!("waiting for the BMC ({name}), try {}; before, {error}", look.op.attempt + 1)
        }
        TaskState::Absent | TaskState::Open | TaskState::Done(Ok(_)) => {
            format!("waiting for the BMC ({name})")
        }
    })
}

/// How often a BMC may say that "off" is done while the machine is on.
const LIES: i32 = 5;

/// Asks for "off", and does not take the BMC's word for it.
pub(super) async fn switch_off(conn: &mut PgConnection, look: &Look<'_>) -> Result<Answer, DbError> {
    Ok(match ask(conn, look, "off", BmcAction::Off).await? {
        Answer::Yes(BmcOutcome::Power { state: PowerState::On }) if look.op.attempt < LIES => {
            Answer::Wait(retry("the BMC took the command but says the machine is still on", 2))
        }
        Answer::Yes(BmcOutcome::Power { state: PowerState::On }) => Answer::Wait(Decision::fail(
            "the BMC takes the command to switch off, but the machine stays on; look at the machine",
        )),
        other => other,
    })
}

fn patience(look: &Look<'_>, error: BmcError) -> Answer {
    let waited: u64 = (0..look.op.attempt).map(backoff).sum();
    if waited >= look.timing.bmc_patience_seconds {
        Answer::No(error)
    } else {
        Answer::Wait(retry(error.to_string(), backoff(look.op.attempt)))
    }
}

/// Seconds before the attempt after `attempt`: 1, 2, 4, 8, 16, 30, 30, …
fn backoff(attempt: i32) -> u64 {
    1_u64.checked_shl(attempt.unsigned_abs()).unwrap_or(30).min(30)
}

#[cfg(test)]
mod tests {
    use super::backoff;

    #[test]
    fn backoff_grows_to_half_a_minute() {
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 99].map(backoff), [1, 2, 4, 8, 16, 30, 30, 30]);
    }
}
