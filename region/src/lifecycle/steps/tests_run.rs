//! The agent runs the tests. Whether they passed is judged at the end of the operation (`restore`), when the machine
//! has been left as it was found.

use super::scripts::{self, Phase};
use super::{Look, StepName};
use crate::db::DbError;
use crate::lifecycle::decision::Decision;
use sqlx::PgConnection;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    Ok(match scripts::run(conn, look, Phase::Tests).await? {
        Some(decision) => decision,
        None => look.onward(StepName::Tests),
    })
}
