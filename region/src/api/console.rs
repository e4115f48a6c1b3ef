//! `/machines/{id}/console`: its end, and the same as server-sent events.

use super::actor::unchanged;
use super::extract::{ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::{App, Error, console};
use crate::auth::Actor;
use crate::model::console::{ConsoleAfter, ConsolePiece, ConsoleQuery, ConsoleTail};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::{Stream, StreamExt};
use rackwright_common::MachineId;
use std::time::Duration;

/// The end of what the machine wrote to its serial console while it was recorded.
#[utoipa::path(get, path = "/machines/{id}/console", tag = "machines", params(("id" = MachineId, Path), ConsoleQuery),
    responses((status = 200, body = ConsoleTail), Refused))]
pub async fn show_console(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    ApiQuery(query): ApiQuery<ConsoleQuery>,
) -> Result<Json<ConsoleTail>, Error> {
    console::tail(&app, &actor, &id, query.bytes).await.map(Json)
}

/// The console as it is written, as server-sent events; goes on after `Last-Event-ID` or `after`. Ends when what the caller may
/// changes.
#[utoipa::path(get, path = "/machines/{id}/console/stream", tag = "machines",
    params(("id" = MachineId, Path), ConsoleAfter,
        ("Last-Event-ID" = Option<i64>, Header, description = "The last position that was read")),
    responses((status = 200, body = ConsolePiece, content_type = "text/event-stream"), Refused))]
pub async fn stream_console(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<ConsoleAfter>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, axum::Error>>>, Error> {
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let pieces = console::follow(&app, &actor, &id, last.or(query.after)).await?;
    let pieces = pieces.take_until(Box::pin(unchanged(app, actor, headers)));
    let stream = pieces.map(|piece| sse::Event::default().id(piece.position.to_string()).json_data(piece));
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))))
}
