//! Work for agents: giving it, hearing of it, taking its results.

use super::{Answer, InBand, Refusal, json, parse, report, restarts, work};
use crate::db::wakeups;
use crate::db::work_item::Item;
use crate::db::{DbError, agent_boot, machine, operation, script_run, work_item};
use crate::secrets::AgentToken;
use rackwright_common::agent::{ItemResult, Next, NextReply, Progress, Work, WorkItem};
use rackwright_common::link::Relay;
use rackwright_common::{MachineId, OperationId, Status};
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::time::Instant;

/// The longest that a request for work waits.
const LONGEST_WAIT: u32 = 10;
/// The most items that one boot has under way.
const MOST_AT_ONCE: u32 = 32;
/// Script text in one answer, unless the first is larger; racks relay 8 MiB.
const MOST_BYTES: usize = 1 << 20;

impl InBand {
    /// Who presents this request's token.
    pub(super) fn bearer(&self, relay: &Relay) -> Result<AgentToken, Refusal> {
        let token = relay.authorization.as_deref().and_then(|a| a.strip_prefix("Bearer "));
        token.and_then(|t| self.keys.check_agent_token(t.trim())).ok_or(Refusal::Unauthorized)
    }

    /// The machine for which a token is still good: its operation runs and has not booted the machine anew, or
    /// the machine is in rescue mode because of it.
    pub(super) async fn check(
        &self,
        conn: &mut PgConnection,
        claim: AgentToken,
    ) -> Result<MachineId, Refusal> {
        let AgentToken::Operation { operation: id, epoch } = claim else { return Err(Refusal::Unauthorized) };
        let gone = |why: &str| Refusal::Gone(format!("operation {id} {why}"));
        let boot = operation::boot_of(conn, id).await?.ok_or_else(|| gone("is not known"))?;
        let found = machine::get(conn, &boot.machine).await?;
        let rescue = matches!(found.status, Status::RescueMode)
            && found.boot_operation == Some(id)
            && found.boot_epoch == Some(epoch);
        if rescue || (boot.running && boot.epoch == Some(epoch)) {
            Ok(found.id)
        } else if boot.running {
            Err(gone("has booted this machine anew since"))
        } else {
            Err(gone("has ended"))
        }
    }

    pub(super) async fn next(&self, relay: &Relay) -> Answer {
        let asked: Next = parse(relay)?;
        let claim = self.bearer(relay)?;
        let AgentToken::Operation { operation: id, .. } = claim else { return Err(Refusal::Unauthorized) };
        let deadline = Instant::now() + Duration::from_secs(asked.wait_seconds.min(LONGEST_WAIT).into());
        let mut items = self.wakeups.items();
        loop {
            items.mark_unchanged();
            let mut conn = self.pool.acquire().await?;
            self.check(&mut conn, claim).await?;
            agent_boot::seen(&mut conn, asked.boot_id).await?;
            let mut given = self.give(&mut conn, relay, id, &asked).await?.into_iter();
            if let Some(item) = given.next() {
                return json(&NextReply { item: Some(item), beside: given.collect() });
            }
            drop(conn);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return json(&NextReply { item: None, beside: Vec::new() });
            }
            wakeups::wait(&mut items, left.min(Duration::from_secs(2))).await;
        }
    }

    /// Marks items as given to this boot, after a look at what a restart has interrupted.
    async fn give(
        &self,
        conn: &mut PgConnection,
        relay: &Relay,
        operation: OperationId,
        asked: &Next,
    ) -> Result<Vec<WorkItem>, Refusal> {
        let mut tx = conn.begin().await?;
        restarts::judge(&mut tx, operation, asked.boot_id).await?;
        let at_once = asked.at_once.clamp(1, MOST_AT_ONCE);
        let mut items = Vec::new();
        let mut bytes = 0;
        for id in work_item::give(&mut tx, operation, asked.boot_id, at_once).await? {
            let item = work_item::get(&mut tx, id).await?;
            let work = work::of(&mut tx, &self.keys, relay, &item).await?;
            if let Work::Script(script) = &work.work {
                bytes += script.body.len();
                // What does not fit into one answer is given when there is a place for it.
                if bytes > MOST_BYTES && !items.is_empty() {
                    break;
                }
                script_run::started(&mut tx, id).await?;
            }
            items.push(work);
        }
        tx.commit().await?;
        Ok(items)
    }

    /// The item a request is about, if it belongs to the token's operation.
    async fn own_item(&self, conn: &mut PgConnection, relay: &Relay, id: i64) -> Result<Item, Refusal> {
        let claim = self.bearer(relay)?;
        let item = match work_item::get(conn, id).await {
            Err(DbError::NotFound) => return Err(Refusal::Gone("the item is not known".into())),
            other => other?,
        };
        match claim {
            AgentToken::Operation { operation, .. } if operation == item.operation => Ok(item),
            AgentToken::Operation { .. } | AgentToken::Enlist => Err(Refusal::Unauthorized),
        }
    }

    pub(super) async fn progress(&self, relay: &Relay, id: i64) -> Answer {
        let said: Progress = parse(relay)?;
        let mut conn = self.pool.acquire().await?;
        let item = self.own_item(&mut conn, relay, id).await?;
        self.check(&mut conn, self.bearer(relay)?).await?;
        let mut tx = conn.begin().await?;
        agent_boot::seen(&mut tx, said.boot_id).await?;
        let seq = i64::try_from(said.seq).unwrap_or(i64::MAX);
        let new =
            work_item::progress(&mut tx, item.id, said.boot_id, seq, said.percent, said.message.as_deref())
                .await?;
        if new && !said.log.is_empty() {
            work_item::append_log(&mut tx, item.id, said.boot_id, seq, &said.log).await?;
        }
        tx.commit().await?;
        Ok(None)
    }

    pub(super) async fn result(&self, relay: &Relay, id: i64) -> Answer {
        let said: ItemResult = parse(relay)?;
        let mut conn = self.pool.acquire().await?;
        let item = self.own_item(&mut conn, relay, id).await?;
        if item.status == "given" && item.boot_id != Some(said.boot_id) {
            return Err(Refusal::Gone("the item was given to a later boot".into()));
        }
        let mut tx = conn.begin().await?;
        agent_boot::seen(&mut tx, said.boot_id).await?;
        let duration = i64::try_from(said.duration_ms).unwrap_or(i64::MAX);
        if work_item::finish(&mut tx, item.id, said.ok, &said.error, duration).await? {
            report::store(&mut tx, &self.keys, relay, &item, &said).await?;
            operation::poke(&mut tx, item.operation).await?;
        }
        tx.commit().await?;
        Ok(None)
    }
}
