//! `/dns-keys`.

use super::extract::{ApiJson, ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::{App, Error, dns_key};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::dns_key::{DnsKey, KeyRemoval, NewDnsKey};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// Keys that zones are signed with (DNSSEC).
#[utoipa::path(get, path = "/dns-keys", tag = "names",
    responses((status = 200, body = Page<DnsKey>), Refused))]
pub async fn list_dns_keys(State(app): State<App>, actor: Actor) -> Result<Json<Page<DnsKey>>, Error> {
    dns_key::list(&app, &actor).await.map(Json)
}

/// Makes a key for a zone: the first one begins to sign it, a second one is for changing keys.
#[utoipa::path(post, path = "/dns-keys", tag = "names", request_body = NewDnsKey,
    responses((status = 201, body = DnsKey), Refused))]
pub async fn create_dns_key(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewDnsKey>,
) -> Result<(StatusCode, Json<DnsKey>), Error> {
    Ok((StatusCode::CREATED, Json(dns_key::create(&app, &actor, &body).await?)))
}

/// Removes a key; the last one of a zone ends its signing.
#[utoipa::path(delete, path = "/dns-keys/{id}", tag = "names", params(("id" = i64, Path), KeyRemoval),
    responses((status = 204), Refused))]
pub async fn delete_dns_key(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiQuery(removal): ApiQuery<KeyRemoval>,
) -> Result<StatusCode, Error> {
    dns_key::delete(&app, &actor, id, removal.unsign).await?;
    Ok(StatusCode::NO_CONTENT)
}
