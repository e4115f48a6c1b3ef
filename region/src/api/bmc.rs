//! `/machines/{id}/bmc/{reading}`: what the BMC knows.

use super::extract::ApiPath;
use super::problem::Refused;
use crate::app::{App, Error, bmc};
use crate::auth::Actor;
use crate::model::bmc::Reading;
use axum::Json;
use axum::extract::State;
use rackwright_common::MachineId;
use rackwright_common::bmc::BmcOutcome;

/// Asks the machine's BMC now, through a rack, and waits for its answer: 90 s at most.
#[utoipa::path(get, path = "/machines/{id}/bmc/{reading}", tag = "machines",
    params(("id" = MachineId, Path), ("reading" = Reading, Path)), responses((status = 200, body = BmcOutcome), Refused))]
pub async fn read_bmc(
    State(app): State<App>,
    actor: Actor,
    ApiPath((id, reading)): ApiPath<(MachineId, Reading)>,
) -> Result<Json<BmcOutcome>, Error> {
    bmc::read(&app, &actor, &id, reading).await.map(Json)
}
