//! After a restoration: the database is older than the world. What ran when the backup was taken has ended since, nobody
//! knows how, so it is not gone on with: that could switch off or overwrite what is in use. Its machines say so and wait for
//! a person. Racks, agents and BMC queues, which have seen later numbers, take what comes from now on, because every counter
//! goes ahead; who has which dynamic address is found out anew ([`crate::racks::restored`]); racks' generations follow what
//! each rack says it runs ([`crate::racks::snapshot`]).
//!
//! Left out: what was done after the backup. Machines that were deployed since are shown as they were then.

use super::decision::failure_event;
use super::request::record;
use crate::db::event::{self, NewEvent};
use crate::db::lease_state::{self, Changes};
use crate::db::{DbError, machine, operation, restored, script_run};
use crate::racks::restored as leases_restored;
use rackwright_common::lifecycle;
use rackwright_dhcp::racks::Terms;
use serde_json::json;
use sqlx::PgPool;

/// Puts a restored database right; host names of the machines that a person has to look at. `taken` says for people when
/// the backup was taken.
pub async fn reconcile(pool: &PgPool, taken: &str) -> Result<Vec<String>, DbError> {
    let mut tx = pool.begin().await?;
    restored::forget(&mut tx).await?;
    restored::go_ahead(&mut tx).await?;
    let mut changes = Changes::lock(&mut tx).await?;
    let now = lease_state::now(&mut tx).await?;
    leases_restored::begin(&mut tx, &mut changes, &Terms::default(), now, 0).await?;
    let mut machines = Vec::new();
    for (id, kind, on) in restored::running(&mut tx).await? {
        let found = machine::get(&mut tx, &on).await?;
        let reason = format!(
            "the site was restored from a backup of {taken}, when `{kind}` ran on this machine; what became of it is not known: \
             look at the machine, then begin anew"
        );
        if let Some(next) = failure_event(found.status).and_then(|e| lifecycle::next(found.status, e).ok()) {
            machine::set_status(&mut tx, &on, next, &reason).await?;
            machine::set_boot(&mut tx, &on, "local", None).await?;
        }
        script_run::abort_open(&mut tx, id).await?;
        operation::finish(&mut tx, id, "failed", Some(&reason)).await?;
        record(&mut tx, &on, Some(id), "operation.failed", "error", &reason, "rackwright").await?;
        machines.push(found.hostname);
    }
    let event = NewEvent {
        kind: "site.restored",
        level: "warning",
        machine: None,
        operation: None,
        actor: "rackwright",
        message: &format!("The site was restored from a backup of {taken}"),
        data: json!({ "machines": machines }),
    };
    event::append(&mut tx, &event).await?;
    restored::end(&mut tx).await?;
    tx.commit().await?;
    Ok(machines)
}
