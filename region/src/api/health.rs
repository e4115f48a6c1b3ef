//! `/healthz` (the process lives), `/readyz` (it can work), `/metrics` (Prometheus text format, no label per machine).

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

/// Machines by status, operations under way, requests answered.
pub async fn metrics(State(app): State<App>, counters: Counters) -> Response {
    let mut text = counters.render();
    match controller::counts(&app).await {
        Ok((machines, operations)) => {
            text.push_str(
                "# HELP rackwright_machines Machines by status.\n# TYPE rackwright_machines gauge\n",
            );
            for (status, count) in machines {
                text.push_str(&format!("rackwright_machines{{status=\"{status}\"}} {count}\n"));
            }
            text.push_str(&format!(
                "# HELP rackwright_operations_running Operations under way.\n\
                 # TYPE rackwright_operations_running gauge\nrackwright_operations_running {operations}\n\
                 rackwright_database_up 1\n"
            ));
        }
        Err(_) => text.push_str("rackwright_database_up 0\n"),
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
