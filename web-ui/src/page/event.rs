//! Events.

use super::{Params, Shown, machine_id, now};
use crate::view::event::EventsPage;
use crate::visitor::Visitor;
use axum::extract::State;
use rackwright_region::app::{self, App};
use rackwright_region::model::event::{EventQuery, Level};

/// The list, newest first.
pub async fn list(State(app): State<App>, visitor: Visitor, params: Params) -> Shown<EventsPage> {
    let machine = params.get("machine").map(|id| machine_id(id.trim())).transpose()?;
    let query = EventQuery {
        machine,
        actor: params.get("actor").map(|name| name.trim().to_owned()),
        level: Some(params.get("level").map_or(Level::Info, |level| Level::parse(&level))),
        before: params.parsed("before"),
        limit: Some(100),
        ..EventQuery::default()
    };
    let events = app::event::list(&app, &visitor.actor, &query).await?;
    Ok(EventsPage::new(visitor.layout("Events"), &events.items, &query, now()))
}
