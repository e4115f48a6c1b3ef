//! Waiting for the agent's work, and for an agent that may have gone.

use super::{Look, StepName};
use crate::db::work_item::Item;
use crate::db::{DbError, agent_boot, work_item};
use crate::lifecycle::decision::{Decision, Effect, Next};
use serde_json::json;
use sqlx::PgConnection;

/// How often a machine may restart, or vanish, in the middle of one operation.
const RESTARTS: i32 = 3;

/// How often a script that may restart the machine may do so.
pub const REBOOTS: i32 = 5;

/// How the work of a step stands.
pub(super) enum Work {
    /// Not written yet.
    Absent,
    /// Under way: do this.
    Wait(Decision),
    /// Every item has ended; these.
    Ended(Vec<Item>),
}

/// Looks at the items of `ordinals`.
pub(super) async fn look_at(
    conn: &mut PgConnection,
    look: &Look<'_>,
    ordinals: std::ops::Range<i32>,
    items: &[(i32, Item)],
) -> Result<Work, DbError> {
    let ours: Vec<&Item> = items.iter().filter(|(o, _)| ordinals.contains(o)).map(|(_, i)| i).collect();
    if ours.is_empty() {
        return Ok(Work::Absent);
    }
    if ours.iter().all(|i| matches!(i.status.as_str(), "done" | "failed")) {
        return Ok(Work::Ended(ours.into_iter().cloned().collect()));
    }
    // What restarts mean for scripts is judged when the next boot asks for work.
    if let Some(item) = ours.iter().find(|i| i.attempt > RESTARTS && i.kind != "script") {
        return Ok(Work::Wait(Decision::fail(format!(
            "the machine restarted {} times during \"{}\"",
            item.attempt - 1,
            item.kind
        ))));
    }
    let silent = agent_boot::latest(conn, look.op.id).await?.map_or(f64::INFINITY, |b| b.silent_seconds);
    let patience = patience(look, &ours);
    if silent > patience && look.seconds_in_step() > patience {
        return Ok(Work::Wait(vanished(look)));
    }
    Ok(Work::Wait(Decision::stay(under_way(&ours))))
}

/// What the agent has in hand, else what it is to be given.
fn under_way(items: &[&Item]) -> String {
    let name = |item: &&&Item| item.payload["name"].as_str().unwrap_or(&item.kind).to_owned();
    let of = |status: &str| items.iter().filter(|i| i.status == status).map(|i| name(&i)).collect::<Vec<_>>();
    let (mut given, pending) = (of("given"), of("pending"));
    given.dedup();
    match (given.is_empty(), pending.first()) {
        (false, _) => format!("the agent works on {}", given.join(", ")),
        (true, Some(next)) => format!("the agent is to begin {next}"),
        (true, None) => String::new(),
    }
}

/// Seconds of silence after which an agent counts as gone. A machine that a script may restart gets the time of a boot.
fn patience(look: &Look<'_>, items: &[&Item]) -> f64 {
    let reboots = items.iter().any(|i| i.status == "given" && i.payload["may_reboot"] == true);
    let seconds = look.timing.agent_silence_seconds;
    (if reboots { seconds.max(look.timing.boot_seconds) } else { seconds }) as f64
}

/// The agent has not been heard of for a while: the machine is booted again, a few times.
fn vanished(look: &Look<'_>) -> Decision {
    let times = look.remembered("vanished").unwrap_or(0.0) as i32 + 1;
    if times > RESTARTS {
        return Decision::fail("the machine stopped reporting again and again; look at its console");
    }
    let message = format!("the machine stopped reporting; booting it again ({times} of {RESTARTS})");
    Decision::from(Next::Go(StepName::PowerOff))
        .with(Effect::Tell { level: "warning", message })
        .remembering(json!({ "vanished": times, "boot_attempt": null }))
}

/// The operation's items with their places.
pub(super) async fn all(conn: &mut PgConnection, look: &Look<'_>) -> Result<Vec<(i32, Item)>, DbError> {
    work_item::list_with_ordinals(conn, look.op.id).await
}

/// One item that must succeed: writes it, waits, fails with its error. `Ok(None)` means: it is done.
pub(super) async fn one(
    conn: &mut PgConnection,
    look: &Look<'_>,
    ordinal: i32,
    kind: &'static str,
    payload: serde_json::Value,
) -> Result<Option<Decision>, DbError> {
    let items = all(conn, look).await?;
    Ok(match look_at(conn, look, ordinal..ordinal + 1, &items).await? {
        Work::Absent => Some(Decision::stay(format!("{kind} is handed to the agent")).with(Effect::Item {
            ordinal,
            kind,
            payload,
        })),
        Work::Wait(decision) => Some(decision),
        Work::Ended(items) => {
            items.into_iter().find(|i| i.status == "failed").map(|i| Decision::fail(i.error))
        }
    })
}
