//! `/healthz` (the process lives), `/readyz` (it can work), `/metrics` (Prometheus text format, no label per machine).

use super::metrics;
use super::request_log::Counters;
use crate::app::controller::Unready;
use crate::app::{App, controller};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::future::ready;
use std::time::Duration;

/// A database that takes longer to answer is one that cannot be worked with; whoever asks wants to know soon.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// The process lives.
pub async fn healthz() -> &'static str {
    ready("ok\n").await
}

/// What `/readyz` is asked about.
#[derive(Debug, Deserialize)]
pub struct ReadyQuery {
    /// `reads`: a database that can only be read will do. For whoever shares out requests, once no region is ready.
    r#for: Option<String>,
}

/// The database answers and takes writes, and nobody drains this region; with `?for=reads`, reading will do.
pub async fn readyz(State(app): State<App>, Query(query): Query<ReadyQuery>) -> Response {
    let reads = query.r#for.as_deref() == Some("reads");
    // A cluster's servers are asked all the time: whoever shares out requests does not wait behind those of others.
    if reads && app.database().answers() == Some(true) && !app.standing().is_draining() {
        return "ready for reads\n".into_response();
    }
    let because = match tokio::time::timeout(READY_WITHIN, controller::unready(&app)).await {
        Ok(Ok(None)) => return "ready\n".into_response(),
        Ok(Ok(Some(Unready::ReadOnly))) if reads => return "ready for reads\n".into_response(),
        Ok(Ok(Some(Unready::ReadOnly))) => "the database is read-only".to_owned(),
        Ok(Ok(Some(Unready::Draining))) => "draining".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the database does not answer in time".to_owned(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("{because}\n")).into_response()
}

/// How the site does, and requests answered.
pub async fn metrics(State(app): State<App>, counters: Counters) -> Response {
    let mut text = counters.render();
    match controller::overview(&app).await {
        Ok(status) => text.push_str(&metrics::render(&status)),
        Err(_) => text.push_str(metrics::without_database()),
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
