//! The page of one machine, and its parts when they have changed.

use super::{Shown, machine_id, now, number};
use crate::error::PageError;
use crate::view::action::{Refusal, Typed};
use crate::view::activity::Activity;
use crate::view::comparison::Compared;
use crate::view::discovery::Wiring;
use crate::view::event::Recent;
use crate::view::hardware::Hardware;
use crate::view::hardware_change::Changes;
use crate::view::machine::{Head, MachinePage, Sources};
use crate::view::script_run::{Results, RunPage};
use crate::visitor::Visitor;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rackwright_common::{MachineId, OperationId};
use rackwright_region::app::{self, App, Error};
use rackwright_region::auth::Actor;
use rackwright_region::model::event::{Event, EventQuery};
use rackwright_region::model::hardware_change::{HardwareChange, HardwareChangeQuery};
use rackwright_region::model::machine::Machine;
use rackwright_region::model::operation::{LogChunk, OperationDetail, OperationQuery};
use rackwright_region::model::script::ScriptRunQuery;

/// Events shown on the page.
const EVENTS: i64 = 25;
/// Bytes of the end of an operation's log on the page; what comes later is added to it.
const LOG: i64 = 32 * 1024;

/// The page.
pub async fn show(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<MachinePage> {
    let machine = app::machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    page(&app, visitor, &machine, None).await
}

/// The page, with what was refused.
pub async fn page(
    app: &App,
    visitor: Visitor,
    machine: &Machine,
    refused: Option<(Refusal, Typed)>,
) -> Shown<MachinePage> {
    let (actor, id) = (&visitor.actor, &machine.summary.id);
    let latest = latest(app, actor, id).await?;
    let runs = app::machine::script_runs(app, actor, id, &ScriptRunQuery::default()).await?;
    let comparison = app::result_value::compare(app, actor, id).await?;
    let events = recent(app, actor, id).await?;
    let images = app::image::list(app, actor).await?;
    let scripts = app::script::list(app, actor).await?;
    let settings = app::setting::get(app, actor).await?;
    let faults = app::discovery::wiring_faults(app, actor, Some(id)).await?;
    let changes = changed(app, actor, id).await?;
    let console = super::console::panel(app, actor, machine).await?;
    let sources = Sources {
        machine,
        latest: latest.as_ref().map(|(detail, events, log)| (detail, events.as_slice(), log.as_slice())),
        runs: &runs.items,
        comparison: &comparison,
        events: &events,
        images: &images.items,
        scripts: &scripts.items,
        default_tests: &settings.default_tests,
        console,
        wiring: Wiring::new(&faults.items, now()),
        changes: &changes,
    };
    Ok(MachinePage::new(visitor.layout("Machines"), actor, &sources, refused, now()))
}

/// An operation with its events, oldest first, and the beginning of its log.
pub type InFull = (OperationDetail, Vec<Event>, Vec<LogChunk>);

async fn latest(app: &App, actor: &Actor, id: &MachineId) -> Result<Option<InFull>, Error> {
    let query = OperationQuery { machine: Some(id.clone()), limit: Some(1), ..OperationQuery::default() };
    let page = app::operation::list(app, actor, &query).await?;
    match page.items.first() {
        Some(operation) => Ok(Some(in_full(app, actor, operation.id).await?)),
        None => Ok(None),
    }
}

/// Everything about an operation, with the end of its log.
pub async fn in_full(app: &App, actor: &Actor, id: OperationId) -> Result<InFull, Error> {
    let detail = app::operation::get(app, actor, id).await?;
    let query =
        EventQuery { operation: Some(id.0), after: Some(0), limit: Some(1000), ..EventQuery::default() };
    let events = app::event::list(app, actor, &query).await?;
    let log = app::operation::log_end(app, actor, id, LOG).await?;
    Ok((detail, events.items, log))
}

async fn recent(app: &App, actor: &Actor, id: &MachineId) -> Result<Vec<Event>, Error> {
    let query = EventQuery { machine: Some(id.clone()), limit: Some(EVENTS), ..EventQuery::default() };
    Ok(app::event::list(app, actor, &query).await?.items)
}

/// The events again.
pub async fn events(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<Recent> {
    let id = machine_id(&id)?;
    Ok(Recent::new(id.as_str(), &recent(&app, &visitor.actor, &id).await?, now()))
}

async fn changed(app: &App, actor: &Actor, id: &MachineId) -> Result<Vec<HardwareChange>, Error> {
    let query = HardwareChangeQuery { machine: Some(id.clone()), missing: false };
    Ok(app::hardware_change::list(app, actor, &query).await?.items)
}

/// What has changed in it again.
pub async fn changes(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<Changes> {
    let machine = app::machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    let found = changed(&app, &visitor.actor, &machine.summary.id).await?;
    Ok(Changes::new(&machine.summary, &found, &visitor.actor, &visitor.csrf, now()))
}

/// Name, status and buttons again.
pub async fn head(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<Head> {
    let machine = app::machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    Ok(Head::new(&machine, &visitor.actor, &visitor.csrf, now()))
}

/// The datasheet again.
pub async fn hardware(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<Hardware> {
    let machine = app::machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    Ok(Hardware::new(&machine))
}

/// The results again.
pub async fn tests(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<Results> {
    let machine = app::machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    let id = &machine.summary.id;
    let runs = app::machine::script_runs(&app, &visitor.actor, id, &ScriptRunQuery::default()).await?;
    Ok(Results::new(id.as_str(), &runs.items, &machine.failed_tests, now()))
}

/// The charts again.
pub async fn comparison(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<Compared> {
    let machine = app::machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    let found = app::result_value::compare(&app, &visitor.actor, &machine.summary.id).await?;
    Ok(Compared::new(&machine, &found))
}

/// The latest operation again.
pub async fn activity(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<Response> {
    let latest = latest(&app, &visitor.actor, &machine_id(&id)?).await?;
    Ok(match latest {
        Some((detail, events, log)) => {
            Activity::new(&detail, &events, &log, now()).of_machine().into_response()
        }
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// One test run with its output.
pub async fn run(
    State(app): State<App>,
    visitor: Visitor,
    Path((id, run)): Path<(String, String)>,
) -> Result<RunPage, PageError> {
    let machine = app::machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    let run = number("script run", &run)?;
    let run = app::machine::script_run(&app, &visitor.actor, &machine.summary.id, run).await?;
    Ok(RunPage::new(visitor.layout("Machines"), machine.summary.hostname.as_str(), &run, now()))
}
