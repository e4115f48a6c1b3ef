//! The audit. What the visitor may, `app` says.

use super::{Params, Shown, now};
use crate::view::audit::AuditPage;
use crate::visitor::Visitor;
use axum::extract::State;
use rackwright_region::app::{App, audit_log};
use rackwright_region::model::audit::AuditQuery;

/// The list, newest first.
pub async fn list(State(app): State<App>, visitor: Visitor, params: Params) -> Shown<AuditPage> {
    let actor = params.get("actor").map(|name| name.trim().to_owned());
    let query =
        AuditQuery { actor, before: params.parsed("before"), limit: Some(100), ..AuditQuery::default() };
    let page = audit_log::list(&app, &visitor.actor, &query).await?;
    Ok(AuditPage::new(visitor.layout("Audit"), &page, &query, now()))
}
