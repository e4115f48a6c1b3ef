//! Operations.

use super::machine::in_full;
use super::{Params, Shown, now, number};
use crate::view::activity::{Activity, plain};
use crate::view::operation::{OperationPage, OperationsPage};
use crate::visitor::Visitor;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use rackwright_common::OperationId;
use rackwright_region::app::{self, App};
use rackwright_region::model::operation::OperationQuery;

/// The list.
pub async fn list(State(app): State<App>, visitor: Visitor, params: Params) -> Shown<OperationsPage> {
    let query = OperationQuery {
        status: params.get("status"),
        cursor: params.get("cursor"),
        limit: Some(50),
        ..OperationQuery::default()
    };
    let page = app::operation::list(&app, &visitor.actor, &query).await?;
    Ok(OperationsPage::new(visitor.layout("Operations"), &page, &query, now()))
}

/// One operation.
pub async fn show(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<OperationPage> {
    let id = OperationId(number("operation", &id)?);
    let (detail, events, log) = in_full(&app, &visitor.actor, id).await?;
    let machine = (detail.operation.machine.to_string(), detail.operation.hostname.clone());
    let activity = Activity::new(&detail, &events, &log, now());
    Ok(OperationPage { layout: visitor.layout("Operations"), machine, activity })
}

/// One operation again, without the page around it.
pub async fn part(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<Activity> {
    let id = OperationId(number("operation", &id)?);
    let (detail, events, log) = in_full(&app, &visitor.actor, id).await?;
    Ok(Activity::new(&detail, &events, &log, now()))
}

/// What was added to the log after a position. The header says where to go on.
pub async fn log(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    params: Params,
) -> Shown<impl IntoResponse> {
    let id = OperationId(number("operation", &id)?);
    let after = params.parsed("after").unwrap_or(0);
    let chunks = app::operation::log(&app, &visitor.actor, id, after).await?.items;
    let position = chunks.last().map_or(after, |c| c.position);
    let text: String = chunks.iter().map(|c| c.text.as_str()).collect();
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::HeaderName::from_static("x-position"), position.to_string()),
    ];
    Ok((headers, plain(&text)))
}
