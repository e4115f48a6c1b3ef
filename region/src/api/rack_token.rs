//! `/racks/tokens` and `/racks/enroll`: how a new box becomes a rack.

use super::actor::peer;
use super::extract::ApiJson;
use super::problem::Refused;
use crate::app::controller_token::ReachedAt;
use crate::app::{App, Error, rack_token};
use crate::auth::Actor;
use crate::door::Encrypted;
use crate::model::rack_token::{NewRackToken, RackCertificate, RackEnrolment, RackToken};
use axum::Json;
use axum::extract::State;
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderMap, StatusCode, header};

/// Makes a token with which a new box becomes a rack. It is shown this once, and names the address under which this
/// request reached the API.
#[utoipa::path(post, path = "/racks/tokens", tag = "controllers", request_body = NewRackToken,
    responses((status = 201, body = RackToken), Refused))]
pub async fn create_rack_token(
    State(app): State<App>,
    actor: Actor,
    extensions: Extensions,
    headers: HeaderMap,
    ApiJson(body): ApiJson<NewRackToken>,
) -> Result<(StatusCode, Json<RackToken>), Error> {
    let host = host(&headers);
    let reached = ReachedAt { host: host.as_deref(), tls: extensions.get::<Encrypted>().is_some() };
    let made = rack_token::create(&app, &actor, &body, reached).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Gives a new rack its certificate, once per token. Needs no credentials but a proof to hold the token's secret, which
/// itself does not travel.
///
/// Plain HTTP does not protect the answer: it is to be believed only if the authority's certificate has the fingerprint
/// in the token.
#[utoipa::path(post, path = "/racks/enroll", tag = "controllers", request_body = RackEnrolment, security(()),
    responses((status = 200, body = RackCertificate), Refused))]
pub async fn enroll_rack(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    ApiJson(body): ApiJson<RackEnrolment>,
) -> Result<Json<RackCertificate>, Error> {
    rack_token::enroll(&app, &body, host(&headers).as_deref(), peer(&extensions)).await.map(Json)
}

/// Under which `host[:port]` the caller reached us (RFC 9110 section 7.2).
pub(super) fn host(headers: &HeaderMap) -> Option<String> {
    let authority: Authority = headers.get(header::HOST)?.to_str().ok()?.parse().ok()?;
    // No user name before the host.
    let plain = !authority.host().is_empty() && !authority.as_str().contains('@');
    plain.then(|| authority.to_string())
}
