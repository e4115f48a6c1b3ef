//! `POST /machines/{id}/{action}`. Long actions answer 202 with the operation; the rest answers 200 with the machine.

use super::extract::{ApiJson, ApiPath, OptionalJson};
use super::problem::Refused;
use crate::app::{App, Error, machine_action};
use crate::auth::Actor;
use crate::model::action::{
    CommissionRequest, DeployRequest, PowerRequest, ReasonRequest, ReleaseRequest, RescueRequest, TestRequest,
};
use crate::model::machine::Machine;
use crate::model::operation::Operation;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use rackwright_common::MachineId;

type Accepted = (StatusCode, [(HeaderName, String); 1], Json<Operation>);

/// 202 with the operation, and where to follow it.
fn accepted(operation: Operation) -> Accepted {
    let location = format!("{}/operations/{}", super::PREFIX, operation.id);
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(operation))
}

/// Reads the hardware, sets up the BMC, runs commissioning scripts and tests.
#[utoipa::path(post, path = "/machines/{id}/commission", tag = "machine actions", request_body = Option<CommissionRequest>,
    params(("id" = MachineId, Path)), responses((status = 202, body = Operation), Refused))]
pub async fn commission_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    OptionalJson(body): OptionalJson<CommissionRequest>,
) -> Result<Accepted, Error> {
    machine_action::commission(&app, &actor, &id, body).await.map(accepted)
}

/// Runs test scripts.
#[utoipa::path(post, path = "/machines/{id}/test", tag = "machine actions", request_body = Option<TestRequest>,
    params(("id" = MachineId, Path)), responses((status = 202, body = Operation), Refused))]
pub async fn test_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    OptionalJson(body): OptionalJson<TestRequest>,
) -> Result<Accepted, Error> {
    machine_action::test(&app, &actor, &id, body).await.map(accepted)
}

/// Installs an operating system. A machine without owner becomes the caller's.
#[utoipa::path(post, path = "/machines/{id}/deploy", tag = "machine actions", request_body = Option<DeployRequest>,
    params(("id" = MachineId, Path)), responses((status = 202, body = Operation), Refused))]
pub async fn deploy_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    OptionalJson(body): OptionalJson<DeployRequest>,
) -> Result<Accepted, Error> {
    machine_action::deploy(&app, &actor, &id, body).await.map(accepted)
}

/// Gives the machine back.
#[utoipa::path(post, path = "/machines/{id}/release", tag = "machine actions", request_body = Option<ReleaseRequest>,
    params(("id" = MachineId, Path)), responses((status = 202, body = Operation), Refused))]
pub async fn release_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    OptionalJson(body): OptionalJson<ReleaseRequest>,
) -> Result<Accepted, Error> {
    machine_action::release(&app, &actor, &id, body).await.map(accepted)
}

/// Boots the ephemeral system with SSH.
#[utoipa::path(post, path = "/machines/{id}/enter-rescue", tag = "machine actions", request_body = Option<RescueRequest>,
    params(("id" = MachineId, Path)), responses((status = 202, body = Operation), Refused))]
pub async fn enter_rescue(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    OptionalJson(body): OptionalJson<RescueRequest>,
) -> Result<Accepted, Error> {
    machine_action::enter_rescue(&app, &actor, &id, body).await.map(accepted)
}

/// Back from rescue mode to where it was.
#[utoipa::path(post, path = "/machines/{id}/exit-rescue", tag = "machine actions",
    params(("id" = MachineId, Path)), responses((status = 202, body = Operation), Refused))]
pub async fn exit_rescue(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
) -> Result<Accepted, Error> {
    machine_action::exit_rescue(&app, &actor, &id).await.map(accepted)
}

/// A power command; each names a state to reach.
#[utoipa::path(post, path = "/machines/{id}/power", tag = "machine actions", request_body = PowerRequest,
    params(("id" = MachineId, Path)), responses((status = 202, body = Operation), Refused))]
pub async fn power_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    ApiJson(body): ApiJson<PowerRequest>,
) -> Result<Accepted, Error> {
    machine_action::power(&app, &actor, &id, body).await.map(accepted)
}

/// Ends what is under way.
#[utoipa::path(post, path = "/machines/{id}/abort", tag = "machine actions",
    params(("id" = MachineId, Path)), responses((status = 202, body = Operation), Refused))]
pub async fn abort_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
) -> Result<Accepted, Error> {
    machine_action::abort(&app, &actor, &id).await.map(accepted)
}

/// Takes a Ready machine for oneself.
#[utoipa::path(post, path = "/machines/{id}/allocate", tag = "machine actions",
    params(("id" = MachineId, Path)), responses((status = 200, body = Machine), Refused))]
pub async fn allocate_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
) -> Result<Json<Machine>, Error> {
    machine_action::allocate(&app, &actor, &id).await.map(Json)
}

/// Says that the machine must not be used.
#[utoipa::path(post, path = "/machines/{id}/mark-broken", tag = "machine actions", request_body = Option<ReasonRequest>,
    params(("id" = MachineId, Path)), responses((status = 200, body = Machine), Refused))]
pub async fn mark_machine_broken(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    OptionalJson(body): OptionalJson<ReasonRequest>,
) -> Result<Json<Machine>, Error> {
    machine_action::mark_broken(&app, &actor, &id, body).await.map(Json)
}

/// Says that the machine is mended.
#[utoipa::path(post, path = "/machines/{id}/mark-fixed", tag = "machine actions", request_body = Option<ReasonRequest>,
    params(("id" = MachineId, Path)), responses((status = 200, body = Machine), Refused))]
pub async fn mark_machine_fixed(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    OptionalJson(body): OptionalJson<ReasonRequest>,
) -> Result<Json<Machine>, Error> {
    machine_action::mark_fixed(&app, &actor, &id, body).await.map(Json)
}

/// Takes the machine in spite of its failed tests.
#[utoipa::path(post, path = "/machines/{id}/override-failed-tests", tag = "machine actions", request_body = Option<ReasonRequest>,
    params(("id" = MachineId, Path)), responses((status = 200, body = Machine), Refused))]
pub async fn override_failed_tests(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    OptionalJson(body): OptionalJson<ReasonRequest>,
) -> Result<Json<Machine>, Error> {
    machine_action::override_failed_tests(&app, &actor, &id, body).await.map(Json)
}

/// Protects the machine against everything that changes it.
#[utoipa::path(post, path = "/machines/{id}/lock", tag = "machine actions",
    params(("id" = MachineId, Path)), responses((status = 200, body = Machine), Refused))]
pub async fn lock_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
) -> Result<Json<Machine>, Error> {
    machine_action::set_locked(&app, &actor, &id, true).await.map(Json)
}

/// Ends the protection.
#[utoipa::path(post, path = "/machines/{id}/unlock", tag = "machine actions",
    params(("id" = MachineId, Path)), responses((status = 200, body = Machine), Refused))]
pub async fn unlock_machine(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
) -> Result<Json<Machine>, Error> {
    machine_action::set_locked(&app, &actor, &id, false).await.map(Json)
}
