//! `/domains`, `/dns-records`, `/dns-zones`, `/names` and `/secondaries`.

use super::extract::{ApiJson, ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::{App, Error, domain, secondary};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::domain::{
    DnsRecord, Domain, DomainQuery, NameQuery, NewDnsRecord, NewDomain, NewSecondary, PublishedName,
    Secondary, SecondaryKey, Zone,
};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// All domains.
#[utoipa::path(get, path = "/domains", tag = "names",
    responses((status = 200, body = Page<Domain>), Refused))]
pub async fn list_domains(State(app): State<App>, actor: Actor) -> Result<Json<Page<Domain>>, Error> {
    domain::list(&app, &actor).await.map(Json)
}

/// Makes a domain.
#[utoipa::path(post, path = "/domains", tag = "names", request_body = NewDomain,
    responses((status = 201, body = Domain), Refused))]
pub async fn create_domain(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewDomain>,
) -> Result<(StatusCode, Json<Domain>), Error> {
    Ok((StatusCode::CREATED, Json(domain::create(&app, &actor, &body).await?)))
}

/// One domain.
#[utoipa::path(get, path = "/domains/{id}", tag = "names", params(("id" = i64, Path)),
    responses((status = 200, body = Domain), Refused))]
pub async fn show_domain(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<Json<Domain>, Error> {
    domain::get(&app, &actor, id).await.map(Json)
}

/// Changes a domain. One with records keeps its name.
#[utoipa::path(put, path = "/domains/{id}", tag = "names", request_body = NewDomain, params(("id" = i64, Path)),
    responses((status = 200, body = Domain), Refused))]
pub async fn update_domain(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiJson(body): ApiJson<NewDomain>,
) -> Result<Json<Domain>, Error> {
    domain::update(&app, &actor, id, &body).await.map(Json)
}

/// Removes a domain with its records.
#[utoipa::path(delete, path = "/domains/{id}", tag = "names", params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn delete_domain(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<StatusCode, Error> {
    domain::delete(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Records that people entered.
#[utoipa::path(get, path = "/dns-records", tag = "names", params(DomainQuery),
    responses((status = 200, body = Page<DnsRecord>), Refused))]
pub async fn list_dns_records(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<DomainQuery>,
) -> Result<Json<Page<DnsRecord>>, Error> {
    domain::records(&app, &actor, query.domain.as_deref()).await.map(Json)
}

/// Enters a record.
#[utoipa::path(post, path = "/dns-records", tag = "names", request_body = NewDnsRecord,
    responses((status = 201, body = DnsRecord), Refused))]
pub async fn create_dns_record(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewDnsRecord>,
) -> Result<(StatusCode, Json<DnsRecord>), Error> {
    Ok((StatusCode::CREATED, Json(domain::create_record(&app, &actor, &body).await?)))
}

/// Changes a record.
#[utoipa::path(put, path = "/dns-records/{id}", tag = "names", request_body = NewDnsRecord, params(("id" = i64, Path)),
    responses((status = 200, body = DnsRecord), Refused))]
pub async fn update_dns_record(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiJson(body): ApiJson<NewDnsRecord>,
) -> Result<Json<DnsRecord>, Error> {
    domain::update_record(&app, &actor, id, &body).await.map(Json)
}

/// Removes a record.
#[utoipa::path(delete, path = "/dns-records/{id}", tag = "names", params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn delete_dns_record(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<StatusCode, Error> {
    domain::delete_record(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Zones as they are published: domains, and the reverse names of networks.
#[utoipa::path(get, path = "/dns-zones", tag = "names",
    responses((status = 200, body = Page<Zone>), Refused))]
pub async fn list_dns_zones(State(app): State<App>, actor: Actor) -> Result<Json<Page<Zone>>, Error> {
    domain::zones(&app, &actor).await.map(Json)
}

/// Names as they are published, those of machines and controllers too; the first 500.
#[utoipa::path(get, path = "/names", tag = "names", params(NameQuery),
    responses((status = 200, body = Page<PublishedName>), Refused))]
pub async fn list_names(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<NameQuery>,
) -> Result<Json<Page<PublishedName>>, Error> {
    domain::names(&app, &actor, &query).await.map(Json)
}

/// Name servers that get copies of all zones.
#[utoipa::path(get, path = "/secondaries", tag = "names",
    responses((status = 200, body = Page<Secondary>), Refused))]
pub async fn list_secondaries(State(app): State<App>, actor: Actor) -> Result<Json<Page<Secondary>>, Error> {
    secondary::list(&app, &actor).await.map(Json)
}

/// Enters a secondary; its key is in the answer.
#[utoipa::path(post, path = "/secondaries", tag = "names", request_body = NewSecondary,
    responses((status = 201, body = SecondaryKey), Refused))]
pub async fn create_secondary(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewSecondary>,
) -> Result<(StatusCode, Json<SecondaryKey>), Error> {
    Ok((StatusCode::CREATED, Json(secondary::create(&app, &actor, &body).await?)))
}

/// Removes a secondary; its key opens nothing any more.
#[utoipa::path(delete, path = "/secondaries/{name}", tag = "names", params(("name" = String, Path)),
    responses((status = 204), Refused))]
pub async fn delete_secondary(
    State(app): State<App>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> Result<StatusCode, Error> {
    secondary::delete(&app, &actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
