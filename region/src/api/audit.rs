//! `/audit`.

use super::extract::ApiQuery;
use super::problem::Refused;
use crate::app::{App, Error, audit_log};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::audit::{AuditEntry, AuditQuery};
use axum::Json;
use axum::extract::State;

/// What people did, each entry hashed together with the one before: with `after` oldest first, otherwise newest first.
#[utoipa::path(get, path = "/audit", tag = "users", params(AuditQuery),
    responses((status = 200, body = Page<AuditEntry>), Refused))]
pub async fn list_audit(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> Result<Json<Page<AuditEntry>>, Error> {
    audit_log::list(&app, &actor, &query).await.map(Json)
}
