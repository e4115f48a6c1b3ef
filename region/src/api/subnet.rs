//! `/subnets`, `/ip-ranges` and `/reservations`.

use super::extract::{ApiJson, ApiPath, ApiQuery};
use super::machine::Force;
use super::problem::Refused;
use crate::app::{App, Error, subnet};
use crate::auth::Actor;
use crate::model::Page;
use crate::model::network::{
    IpRange, NewIpRange, NewReservation, NewSubnet, Reservation, Subnet, SubnetQuery, Utilisation,
};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// All subnets.
#[utoipa::path(get, path = "/subnets", tag = "network",
    responses((status = 200, body = Page<Subnet>), Refused))]
pub async fn list_subnets(State(app): State<App>, actor: Actor) -> Result<Json<Page<Subnet>>, Error> {
    subnet::list(&app, &actor).await.map(Json)
}

/// Makes a subnet.
#[utoipa::path(post, path = "/subnets", tag = "network", request_body = NewSubnet,
    responses((status = 201, body = Subnet), Refused))]
pub async fn create_subnet(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewSubnet>,
) -> Result<(StatusCode, Json<Subnet>), Error> {
    Ok((StatusCode::CREATED, Json(subnet::create(&app, &actor, &body).await?)))
}

/// One subnet.
#[utoipa::path(get, path = "/subnets/{id}", tag = "network", params(("id" = i64, Path)),
    responses((status = 200, body = Subnet), Refused))]
pub async fn show_subnet(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<Json<Subnet>, Error> {
    subnet::get(&app, &actor, id).await.map(Json)
}

/// Changes a subnet. What is in it must still fit.
#[utoipa::path(put, path = "/subnets/{id}", tag = "network", request_body = NewSubnet, params(("id" = i64, Path)),
    responses((status = 200, body = Subnet), Refused))]
pub async fn update_subnet(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiJson(body): ApiJson<NewSubnet>,
) -> Result<Json<Subnet>, Error> {
    subnet::update(&app, &actor, id, &body).await.map(Json)
}

/// Removes a subnet with its ranges and reservations; `force` lets go of leases and devices in it.
#[utoipa::path(delete, path = "/subnets/{id}", tag = "network", params(("id" = i64, Path), Force),
    responses((status = 204), Refused))]
pub async fn delete_subnet(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiQuery(query): ApiQuery<Force>,
) -> Result<StatusCode, Error> {
    subnet::delete(&app, &actor, id, query.force).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How the addresses of a subnet are used.
#[utoipa::path(get, path = "/subnets/{id}/utilisation", tag = "network", params(("id" = i64, Path)),
    responses((status = 200, body = Utilisation), Refused))]
pub async fn show_utilisation(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<Json<Utilisation>, Error> {
    subnet::utilisation(&app, &actor, id).await.map(Json)
}

/// Dynamic and reserved ranges.
#[utoipa::path(get, path = "/ip-ranges", tag = "network", params(SubnetQuery),
    responses((status = 200, body = Page<IpRange>), Refused))]
pub async fn list_ip_ranges(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<SubnetQuery>,
) -> Result<Json<Page<IpRange>>, Error> {
    subnet::ip_ranges(&app, &actor, query.subnet).await.map(Json)
}

/// Makes a range inside its subnet.
#[utoipa::path(post, path = "/ip-ranges", tag = "network", request_body = NewIpRange,
    responses((status = 201, body = IpRange), Refused))]
pub async fn create_ip_range(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewIpRange>,
) -> Result<(StatusCode, Json<IpRange>), Error> {
    Ok((StatusCode::CREATED, Json(subnet::create_ip_range(&app, &actor, &body).await?)))
}

/// Removes a range.
#[utoipa::path(delete, path = "/ip-ranges/{id}", tag = "network", params(("id" = i64, Path), Force),
    responses((status = 204), Refused))]
pub async fn delete_ip_range(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
    ApiQuery(query): ApiQuery<Force>,
) -> Result<StatusCode, Error> {
    subnet::delete_ip_range(&app, &actor, id, query.force).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Fixed addresses of things that are not machines.
#[utoipa::path(get, path = "/reservations", tag = "network", params(SubnetQuery),
    responses((status = 200, body = Page<Reservation>), Refused))]
pub async fn list_reservations(
    State(app): State<App>,
    actor: Actor,
    ApiQuery(query): ApiQuery<SubnetQuery>,
) -> Result<Json<Page<Reservation>>, Error> {
    subnet::reservations(&app, &actor, query.subnet).await.map(Json)
}

/// Reserves an address for a MAC.
#[utoipa::path(post, path = "/reservations", tag = "network", request_body = NewReservation,
    responses((status = 201, body = Reservation), Refused))]
pub async fn create_reservation(
    State(app): State<App>,
    actor: Actor,
    ApiJson(body): ApiJson<NewReservation>,
) -> Result<(StatusCode, Json<Reservation>), Error> {
    Ok((StatusCode::CREATED, Json(subnet::create_reservation(&app, &actor, &body).await?)))
}

/// Removes a reservation.
#[utoipa::path(delete, path = "/reservations/{id}", tag = "network", params(("id" = i64, Path)),
    responses((status = 204), Refused))]
pub async fn delete_reservation(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<i64>,
) -> Result<StatusCode, Error> {
    subnet::delete_reservation(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
