//! Differences between readings of a machine's hardware.

use super::DbError;
use crate::model::hardware_change::{ChangeKind, Difference, HardwareChange};
use rackwright_common::{MachineId, OperationId};
use sqlx::PgConnection;

/// Changes that are told at once.
const LIMIT: i64 = 200;

/// Adds what a reading found. A part that is there again settles that it was gone.
pub async fn insert(
    conn: &mut PgConnection,
    machine: &MachineId,
    operation: OperationId,
    found: &[Difference],
) -> Result<(), DbError> {
    for difference in found {
        if difference.kind == ChangeKind::New {
            sqlx::query!(
                "UPDATE hardware_change SET accepted_at = now(), accepted_by = 'rackwright'
                 WHERE machine_id = $1 AND part = $2 AND kind = 'gone' AND accepted_at IS NULL",
                machine.as_str(),
                difference.part
            )
            .execute(&mut *conn)
            .await?;
        }
        sqlx::query!(
            "INSERT INTO hardware_change (machine_id, operation_id, kind, part, before, after) VALUES ($1, $2, $3, $4, $5, $6)",
            machine.as_str(),
            operation.0,
            difference.kind.as_str(),
            difference.part,
            difference.before,
            difference.after
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Changes, newest first: of one machine, or of those in `pools`; with `missing` parts that are gone and not accepted.
pub async fn list(
    conn: &mut PgConnection,
    machine: Option<&MachineId>,
    missing: bool,
    pools: Option<&[String]>,
) -> Result<Vec<HardwareChange>, DbError> {
    let rows = sqlx::query!(
        "SELECT c.id, c.machine_id, m.hostname, c.operation_id, c.at, c.kind, c.part, c.before, c.after, c.accepted_at, c.accepted_by
         FROM hardware_change c JOIN machine m ON m.id = c.machine_id
         WHERE ($1::text IS NULL OR c.machine_id = $1) AND (NOT $2 OR (c.kind = 'gone' AND c.accepted_at IS NULL))
           AND ($3::text[] IS NULL OR m.pool = ANY($3))
         ORDER BY c.id DESC LIMIT $4",
        machine.map(MachineId::as_str),
        missing,
        pools,
        LIMIT
    )
    .fetch_all(conn)
    .await?;
    let corrupt = || DbError::Corrupt { what: "change of hardware" };
    rows.into_iter()
        .map(|r| {
            let kind = ChangeKind::ALL.into_iter().find(|k| k.as_str() == r.kind).ok_or_else(corrupt)?;
            let found = Difference { kind, part: r.part, before: r.before, after: r.after };
            Ok(HardwareChange {
                id: r.id,
                machine: r.machine_id.parse().map_err(|_| corrupt())?,
                hostname: r.hostname,
                operation: r.operation_id.map(OperationId),
                at: r.at.into(),
                kind,
                message: found.message(),
                part: found.part,
                before: found.before,
                after: found.after,
                accepted_at: r.accepted_at.map(Into::into),
                accepted_by: r.accepted_by,
            })
        })
        .collect()
}

/// Settles a machine's changes up to one of them; how many were open.
pub async fn accept(
    conn: &mut PgConnection,
    machine: &MachineId,
    upto: i64,
    by: &str,
) -> Result<u64, DbError> {
    let done = sqlx::query!(
        "UPDATE hardware_change SET accepted_at = now(), accepted_by = $3 WHERE machine_id = $1 AND id <= $2 AND accepted_at IS NULL",
        machine.as_str(),
        upto,
        by
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
