//! `/regions/tokens` and `/regions/join`: how a blank box becomes one more region.

use super::actor::peer;
use super::extract::ApiJson;
use super::problem::Refused;
use super::rack_token::host;
use crate::app::controller_token::ReachedAt;
use crate::app::{App, Error, region_token};
use crate::auth::Actor;
use crate::door::Encrypted;
use crate::model::region_token::{NewRegionToken, RegionRequest, RegionToken, RegionWelcome};
use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode};

/// Makes a token with which a blank box becomes a region. It is shown this once, and names the address under which
/// this request reached the API.
#[utoipa::path(post, path = "/regions/tokens", tag = "controllers", request_body = NewRegionToken,
    responses((status = 201, body = RegionToken), Refused))]
pub async fn create_region_token(
    State(app): State<App>,
    actor: Actor,
    extensions: Extensions,
    headers: HeaderMap,
    ApiJson(body): ApiJson<NewRegionToken>,
) -> Result<(StatusCode, Json<RegionToken>), Error> {
    let host = host(&headers);
    let reached = ReachedAt { host: host.as_deref(), tls: extensions.get::<Encrypted>().is_some() };
    let made = region_token::create(&app, &actor, &body, reached).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Gives a blank box what makes it a region, once per token, readable for that box only. Needs no credentials but a proof
/// to hold the token's secret, which itself does not travel.
#[utoipa::path(post, path = "/regions/join", tag = "controllers", request_body = RegionRequest, security(()),
    responses((status = 200, body = RegionWelcome), Refused))]
pub async fn join_region(
    State(app): State<App>,
    extensions: Extensions,
    ApiJson(body): ApiJson<RegionRequest>,
) -> Result<Json<RegionWelcome>, Error> {
    region_token::join(&app, &body, peer(&extensions)).await.map(Json)
}
