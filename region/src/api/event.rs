//! `/events`, and the same as server-sent events.

use super::actor::unchanged;
use super::extract::ApiQuery;
use super::problem::Refused;
use crate::app::{App, Error, event};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::event::{Event, EventQuery};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::{Stream, StreamExt};
use std::time::Duration;

/// Events: with `after` oldest first, otherwise newest first.
#[utoipa::path(get, path = "/events", tag = "events", params(EventQuery),
    responses((status = 200, body = Page<Event>), Refused))]
pub async fn list_events(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<EventQuery>,
) -> Result<Json<Page<Event>>, Error> {
    event::list(&app, &actor, &query).await.map(Json)
}

/// Events as they happen, as server-sent events; goes on after `Last-Event-ID` or `after`. Ends when what the caller may changes.
#[utoipa::path(get, path = "/events/stream", tag = "events",
    params(EventQuery, ("Last-Event-ID" = Option<i64>, Header, description = "The last event that was read")),
    responses((status = 200, body = Event, content_type = "text/event-stream"), Refused))]
pub async fn stream_events(
    State(app): State<App>,
    actor: Actor,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<EventQuery>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, axum::Error>>>, Error> {
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let query = EventQuery { after: last.or(query.after), ..query };
    let events =
        event::follow(&app, &actor, query).await?.take_until(Box::pin(unchanged(app, actor, headers)));
    let stream = events.map(|event| sse::Event::default().id(event.id.to_string()).json_data(event));
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))))
}
