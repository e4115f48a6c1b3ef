//! Versions of scripts and their runs over all machines. What is read is bounded: the end of the table of runs.

use super::DbError;
use super::operation_query::readable;
use crate::model::script::ScriptRun;
use crate::model::script_history::{ScriptResults, ScriptVersion, SiteRun};
use rackwright_common::OperationId;
use sqlx::PgConnection;

/// Versions of a script, newest first.
pub async fn versions(conn: &mut PgConnection, name: &str) -> Result<Vec<ScriptVersion>, DbError> {
    let rows =
        sqlx::query!("SELECT version, created_at FROM script WHERE name = $1 ORDER BY version DESC", name)
            .fetch_all(conn)
            .await?;
    Ok(rows
        .into_iter()
        .map(|r| ScriptVersion { version: r.version, created_at: r.created_at.into() })
        .collect())
}

/// The last runs of a script on all machines, or on those in `pools`, newest first, without output.
pub async fn runs(
    conn: &mut PgConnection,
    name: &str,
    pools: Option<&[String]>,
    limit: i64,
) -> Result<Vec<SiteRun>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT r.id, r.machine_id, m.hostname, r.operation_id, r.name, r.script_type, r.hardware_type, r.target, r.status,
                  r.exit_code, r.results, r.suppressed, coalesce(w.payload -> 'parameters', '{}') AS "parameters!",
                  w.attempt AS boots, w.error, r.started_at, r.ended_at, s.version
           FROM script_run r JOIN machine m ON m.id = r.machine_id JOIN script s ON s.id = r.script_id
                JOIN work_item w ON w.id = r.work_item_id
           WHERE r.name = $1 AND ($3::text[] IS NULL OR m.pool = ANY($3)) ORDER BY r.id DESC LIMIT $2"#,
        name,
        limit,
        pools
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let run = ScriptRun {
                id: r.id,
                machine: r.machine_id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?,
                operation: OperationId(r.operation_id),
                name: r.name,
                script_type: r.script_type,
                hardware_type: r.hardware_type,
                target: r.target,
                status: r.status,
                exit_code: r.exit_code,
                results: r.results,
                suppressed: r.suppressed,
                parameters: readable(r.parameters),
                boots: r.boots,
                error: r.error,
                started_at: r.started_at.map(Into::into),
                ended_at: r.ended_at.map(Into::into),
                stdout: None,
                stderr: None,
            };
            Ok(SiteRun { run, hostname: r.hostname, version: r.version })
        })
        .collect()
}

/// How the scripts did among the last `limit` runs of the site, or of the machines in `pools`, by name.
pub async fn results(
    conn: &mut PgConnection,
    pools: Option<&[String]>,
    limit: i64,
) -> Result<Vec<ScriptResults>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT name, count(*) FILTER (WHERE status = 'passed') AS "passed!",
                  count(*) FILTER (WHERE status IN ('failed', 'timed-out')) AS "failed!",
                  count(*) FILTER (WHERE status IN ('degraded', 'skipped', 'aborted')) AS "other!", max(ended_at) AS last_at
           FROM (SELECT r.name, r.status, r.ended_at FROM script_run r JOIN machine m ON m.id = r.machine_id
                 WHERE $2::text[] IS NULL OR m.pool = ANY($2) ORDER BY r.id DESC LIMIT $1) latest GROUP BY name ORDER BY name"#,
        limit,
        pools
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| ScriptResults {
            name: r.name,
            passed: r.passed,
            failed: r.failed,
            other: r.other,
            last_at: r.last_at.map(Into::into),
        })
        .collect())
}
