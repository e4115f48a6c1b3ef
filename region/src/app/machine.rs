//! Machines: list, show, enter, change, remove.

use super::{App, Change, Describe, Error, Result, access, audit, json};
use crate::auth::Actor;
use crate::db;
use crate::lifecycle::{self, OperationRequest};
use crate::model::machine::{
    BmcView, Machine, MachinePatch, MachineQuery, MachineSummary, NewBmc, NewMachine,
};
use crate::model::machine_sort::{COLUMNS, MachineSort};
use crate::model::page::InvalidCursor;
use crate::model::script::{ScriptRun, ScriptRunQuery};
use crate::model::{Page, Role};
use rackwright_common::bmc::{BmcSettings, DriverKind};
use rackwright_common::{MachineId, Secret, Status};
use sqlx::PgConnection;

/// Machines by name, or in another order.
pub async fn list(app: &App, actor: &Actor, query: &MachineQuery) -> Result<Page<MachineSummary>> {
    actor.require(Role::Viewer)?;
    let words = |text: &Option<String>| {
        text.as_ref().map(|t| t.split(',').map(|w| w.trim().to_owned()).collect::<Vec<_>>())
    };
    let statuses = words(&query.status);
    for status in statuses.iter().flatten() {
        status.parse::<Status>().map_err(|e| Error::invalid("status", e.to_string()))?;
    }
    let page = query.page();
    let filter = db::machine_filter::Filter {
        statuses,
        tags: words(&query.tag),
        zone: query.zone.as_deref(),
        pools: pools(actor, query.pool.as_deref()),
        owner: query.owner.as_deref(),
        text: query.q.as_ref().map(|q| q.trim().to_lowercase()).filter(|q| !q.is_empty()),
    };
    let after = page.after_counted().map_err(|e| Error::invalid("cursor", format!("`cursor` {e}")))?;
    let mut conn = app.read().await?;
    let total = match &after {
        Some((total, _)) => *total,
        None => db::machine_query::count(&mut conn, &filter).await?,
    };
    let sort = query.sort.as_deref().map_or(Some(MachineSort::NAME), MachineSort::parse);
    let sort = sort.ok_or_else(|| {
        Error::invalid(
            "sort",
            format!("machines can be sorted by {}; `-` before it turns the order round", COLUMNS.join(", ")),
        )
    })?;
    let after = after.as_ref().map(|(_, key)| key.as_str());
    if sort != MachineSort::NAME {
        return sorted(&mut conn, &filter, sort, (total, after), page.rows()).await;
    }
    let rows = db::machine_query::list(&mut conn, &filter, after, page.rows() + 1).await?;
    Ok(Page::new(rows, total, page.rows(), |m| format!("{total} {}", m.hostname)))
}

/// The pools that are asked for, as far as somebody sees them; `None` for all.
fn pools(actor: &Actor, asked: Option<&str>) -> Option<Vec<String>> {
    match (actor.sight(), asked) {
        (None, asked) => asked.map(|pool| vec![pool.to_owned()]),
        (Some(seen), None) => Some(seen),
        (Some(seen), Some(pool)) => Some(seen.into_iter().filter(|p| p == pool).collect()),
    }
}

/// A page in another order than by name. Its cursor names the last machine's key and name.
async fn sorted(
    conn: &mut PgConnection,
    filter: &db::machine_filter::Filter<'_>,
    sort: MachineSort,
    (total, after): (i64, Option<&str>),
    rows: i64,
) -> Result<Page<MachineSummary>> {
    let after = after.map(|key| key.rsplit_once(' ').ok_or(InvalidCursor)).transpose();
    let after = after.map_err(|e| Error::invalid("cursor", format!("`cursor` {e}")))?;
    let places = db::machine_sort::list(&mut *conn, filter, sort, after, rows + 1).await?;
    let ids: Vec<String> = places.iter().map(|p| p.id.clone()).collect();
    let mut found = db::machine_query::some(conn, &ids).await?;
    found.sort_by_key(|m| ids.iter().position(|id| id == m.id.as_str()));
    let key = |m: &MachineSummary| places.iter().find(|p| p.id == m.id.as_str()).map_or("", |p| &p.key);
    Ok(Page::new(found, total, rows, |m| format!("{total} {} {}", key(m), m.hostname)))
}

/// One machine in full.
pub async fn get(app: &App, actor: &Actor, id: &MachineId) -> Result<Machine> {
    actor.require(Role::Viewer)?;
    let machine = read(&mut *app.read().await?, id).await?;
    actor.require_sight(id, &machine.summary.pool)?;
    Ok(machine)
}

async fn read(conn: &mut PgConnection, id: &MachineId) -> Result<Machine> {
    db::machine_query::get(conn, id).await.or_not_found("machine", id)
}

/// Enters a machine by hand, before it has ever booted.
pub async fn create(app: &App, actor: &Actor, new: &NewMachine) -> Result<Machine> {
    actor.require_somewhere(Role::Operator)?;
    actor.require_in(Role::Operator, new.pool.as_deref().unwrap_or("default"))?;
    if new.macs.is_empty() {
        return Err(Error::invalid("macs", "a machine is known by its MACs: name one at least"));
    }
    let id = MachineId::random();
    let hostname = new.hostname.as_ref().map_or_else(|| format!("machine-{id}"), ToString::to_string);
    let mut tx = app.begin().await?;
    let row = db::machine::NewMachine {
        id: &id,
        hostname: &hostname,
        uuid: None,
        serial: None,
        efi: false,
        architecture: new.architecture.as_deref().unwrap_or("x86_64"),
    };
    db::machine::create(&mut tx, &row).await?;
    db::machine_edit::set_unseen(&mut tx, &id).await?;
    let patch = MachinePatch {
        description: Some(new.description.clone()),
        pool: new.pool.clone(),
        zone: new.zone.clone(),
        tags: Some(tags(&new.tags)?),
        ..MachinePatch::default()
    };
    db::machine_edit::update(&mut tx, &id, &patch).await?;
    for (i, mac) in new.macs.iter().enumerate() {
        db::machine_edit::insert_interface(&mut tx, &id, *mac, i == 0).await?;
    }
    if let Some(bmc) = &new.bmc {
        put_bmc(app, &mut tx, &id, bmc).await?;
    }
    let change = Change {
        kind: "machine.created",
        message: format!("{hostname} was entered by hand"),
        machine: Some(&id),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    if new.commission {
        let request = OperationRequest::commission();
        lifecycle::request::start(&mut tx, &id, &request, &actor.name).await?;
    }
    let machine = read(&mut tx, &id).await?;
    tx.commit().await?;
    Ok(machine)
}

/// Tags as they are stored: trimmed, once each, in order.
fn tags(given: &[String]) -> Result<Vec<String>> {
    let mut tags: Vec<String> = given.iter().map(|t| t.trim().to_owned()).collect();
    tags.sort_unstable();
    tags.dedup();
    let good = |t: &String| {
        (1..=64).contains(&t.len()) && t.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c))
    };
    match tags.iter().find(|t| !good(t)) {
        Some(tag) => Err(Error::invalid(
            "tags",
            format!("`{tag}` is not a tag: 1 to 64 letters, digits, dots, colons, hyphens or underscores"),
        )),
        None => Ok(tags),
    }
}

/// Changes a machine, if it still has the version that the caller has seen.
pub async fn update(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    version: Option<i64>,
    patch: &MachinePatch,
) -> Result<Machine> {
    update_by(app, actor, id, version, |_| patch.clone()).await
}

/// The same with a change that follows from how the machine is; nobody else changes it in between.
pub(super) async fn update_by(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    version: Option<i64>,
    patch: impl FnOnce(&Machine) -> MachinePatch + Send,
) -> Result<Machine> {
    let (mut tx, found) = access::own(app, actor, id).await?;
    let before = read(&mut tx, id).await?;
    let patch = patch(&before);
    if let Some(pool) = patch.pool.as_ref().filter(|pool| **pool != found.pool) {
        // A pool says who may use a machine: whoever moves one has to have the say in both.
        actor.require_in(Role::Operator, &found.pool)?;
        actor.require_in(Role::Operator, pool)?;
    }
    check_version(version, found.version)?;
    let patch = MachinePatch { tags: patch.tags.as_ref().map(|t| tags(t)).transpose()?, ..patch.clone() };
    if found.status == Status::Deployed.as_str() && patch.hostname.is_some() {
        return Err(Error::Conflict {
            field: Some("hostname"),
            message: "the installed system has this name; release the machine before you rename it".into(),
        });
    }
    db::machine_edit::update(&mut tx, id, &patch).await?;
    let machine = read(&mut tx, id).await?;
    let change = Change {
        kind: "machine.changed",
        message: format!("{} was changed", machine.summary.hostname),
        machine: Some(id),
        before: editable(&before),
        after: editable(&machine),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(machine)
}

/// The fields that [`update`] changes.
fn editable(machine: &Machine) -> serde_json::Value {
    let s = &machine.summary;
    serde_json::json!({
        "hostname": s.hostname, "description": machine.description, "pool": s.pool, "zone": s.zone, "tags": s.tags,
        "storage_layout": machine.storage_layout,
    })
}

fn check_version(wanted: Option<i64>, current: i64) -> Result<()> {
    match wanted {
        Some(version) if version != current => Err(Error::PreconditionFailed { current }),
        Some(_) | None => Ok(()),
    }
}

/// Removes a machine. `force` also removes one that is locked or runs somebody's system; what it runs stays on it.
pub async fn delete(app: &App, actor: &Actor, id: &MachineId, force: bool) -> Result<()> {
    let (mut tx, found) = access::operate(app, actor, id, Role::Operator).await?;
    if let Some(running) = db::operation::find_running(&mut tx, id).await?.filter(|_| !force) {
        return Err(Error::Busy(format!(
            "{} is under way on {} (operation {}); wait for it or abort it, or force its removal",
            running.kind, found.hostname, running.id
        )));
    }
    if found.locked && !force {
        return Err(Error::Conflict {
            field: Some("locked"),
            message: format!("{} is locked; unlock it first, or force its removal", found.hostname),
        });
    }
    if found.deployed && !force {
        return Err(Error::Conflict {
            field: Some("status"),
            message: format!("{} is deployed; release it first, or force its removal", found.hostname),
        });
    }
    db::machine_edit::delete(&mut tx, id).await?;
    let change = Change {
        kind: "machine.deleted",
        message: format!("{} was removed", found.hostname),
        machine: Some(id),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(())
}

/// Sets how a machine's BMC is reached, if the machine still has the version that the caller has seen. An empty
/// password leaves the stored one.
pub async fn set_bmc(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    version: Option<i64>,
    new: &NewBmc,
) -> Result<BmcView> {
    let (mut tx, found) = access::operate(app, actor, id, Role::Operator).await?;
    check_version(version, found.version)?;
    let before = read(&mut tx, id).await?.bmc;
    put_bmc(app, &mut tx, id, new).await?;
    db::machine_edit::touch(&mut tx, id).await?;
    let after = read(&mut tx, id).await?.bmc;
    let change = Change {
        kind: "machine.bmc",
        message: format!("The power settings of {} were changed", found.hostname),
        machine: Some(id),
        before: json(&before),
        after: json(&after),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    after.ok_or_else(|| Error::not_found("BMC", id))
}

async fn put_bmc(app: &App, conn: &mut PgConnection, id: &MachineId, new: &NewBmc) -> Result<()> {
    if new.driver != DriverKind::Manual && new.address.trim().is_empty() {
        return Err(Error::invalid("address", format!("the driver {} needs the BMC's address", new.driver)));
    }
    if let Some(suite) = new.settings.cipher_suite.filter(|s| ![3, 17].contains(s)) {
        return Err(Error::invalid("settings.cipher_suite", format!("{suite} is not supported: 3 or 17")));
    }
    let kg = new.settings.kg.expose();
    if kg.len() > 40 || hex::decode(kg).is_err() {
        return Err(Error::invalid("settings.kg", "K_g is up to 20 bytes in hexadecimal"));
    }
    let stored = db::bmc::find(conn, id).await?;
    let keep = new.password.expose().is_empty() && kg.is_empty();
    let secret = match stored {
        Some(stored) if keep => stored.secret,
        Some(_) | None => {
            let plain = serde_json::json!({ "password": new.password.expose(), "kg": kg }).to_string();
            Some(app.keys().seal(plain.as_bytes()))
        }
    };
    let settings = BmcSettings { kg: Secret::default(), ..new.settings.clone() };
    let row = db::bmc::Bmc {
        driver: new.driver.as_str().to_owned(),
        address: new.address.trim().to_owned(),
        port: new.port,
        username: new.username.clone(),
        secret,
        settings: json(&settings),
        source: "person".into(),
    };
    Ok(db::bmc::put(conn, id, &row).await?)
}

/// Script runs of a machine, newest first.
pub async fn script_runs(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    query: &ScriptRunQuery,
) -> Result<Page<ScriptRun>> {
    let mut conn = app.read().await?;
    access::see(&mut conn, actor, id).await?;
    db::machine::get(&mut conn, id).await.or_not_found("machine", id)?;
    Ok(Page::whole(db::operation_query::runs(&mut conn, id, query).await?))
}

/// One run with its output.
pub async fn script_run(app: &App, actor: &Actor, id: &MachineId, run: i64) -> Result<ScriptRun> {
    let mut conn = app.read().await?;
    access::see(&mut conn, actor, id).await?;
    db::operation_query::run(&mut conn, id, run).await.or_not_found("script run", run)
}

/// Says that a run does not count against the machine, or that it does again.
pub async fn suppress_run(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    run: i64,
    suppressed: bool,
) -> Result<ScriptRun> {
    let (mut tx, _) = access::operate(app, actor, id, Role::Administrator).await?;
    if !db::machine_edit::suppress_run(&mut tx, id, run, suppressed).await? {
        return Err(Error::not_found("script run", run));
    }
    let shown = db::operation_query::run(&mut tx, id, run).await?;
    let verb = if suppressed { "does not count any more" } else { "counts again" };
    let change = Change {
        kind: "script-run.suppressed",
        message: format!("The result {run} of {} {verb}", shown.name),
        machine: Some(id),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(shown)
}

pub(super) fn is_interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}
