//! The first page.

use super::{Shown, now};
use crate::view::dashboard::{Dashboard, Sources, failures};
use crate::visitor::Visitor;
use axum::extract::State;
use rackwright_region::app::{self, App};
use rackwright_region::model::event::EventQuery;
use rackwright_region::model::hardware_change::HardwareChangeQuery;
use rackwright_region::model::machine::MachineQuery;
use rackwright_region::model::operation::OperationQuery;

/// The page. What it reads does not grow with the site.
pub async fn show(State(app): State<App>, visitor: Visitor) -> Shown<Dashboard> {
    let actor = &visitor.actor;
    let status = app::controller::status(&app, actor).await?;
    let query = MachineQuery { status: Some(failures()), limit: Some(25), ..MachineQuery::default() };
    let failed = app::machine::list(&app, actor, &query).await?;
    let query =
        OperationQuery { status: Some("running".into()), limit: Some(12), ..OperationQuery::default() };
    let running = app::operation::list(&app, actor, &query).await?;
    let query = EventQuery {
        level: Some(rackwright_region::model::event::Level::Info),
        limit: Some(12),
        ..EventQuery::default()
    };
    let events = app::event::list(&app, actor, &query).await?;
    let faults = app::discovery::wiring_faults(&app, actor, None).await?;
    let query = HardwareChangeQuery { machine: None, missing: true };
    let missing = app::hardware_change::list(&app, actor, &query).await?;
    let sources = Sources {
        status: &status,
        failed: &failed,
        running: &running,
        events: &events.items,
        faults: &faults.items,
        missing: &missing.items,
    };
    Ok(Dashboard::new(visitor.layout("Overview"), actor, &sources, now()))
}
