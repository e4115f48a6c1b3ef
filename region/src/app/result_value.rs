//! What scripts measured on a machine, beside the other machines of its model.

use super::{App, Describe, Result, access};
use crate::auth::Actor;
use crate::db;
use crate::model::result_value::Comparison;
use rackwright_common::MachineId;

/// The machine's values and those of the others, as numbers.
pub async fn compare(app: &App, actor: &Actor, id: &MachineId) -> Result<Comparison> {
    let mut conn = app.read().await?;
    access::see(&mut conn, actor, id).await?;
    db::machine::get(&mut conn, id).await.or_not_found("machine", id)?;
    Ok(db::result_value::compare(&mut conn, id).await?)
}
