//! Operations as lists and pages show them, and the results of scripts.

use super::DbError;
use crate::model::operation::{LogChunk, Operation, WorkItem};
use crate::model::script::{ScriptRun, ScriptRunQuery};
use rackwright_common::bmc::BmcOutcome;
use rackwright_common::{MachineId, OperationId};
use sqlx::PgConnection;
use time::OffsetDateTime;

/// Which operations; `None` lets all through.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    /// On this machine.
    pub machine: Option<&'a MachineId>,
    /// With this status.
    pub status: Option<&'a str>,
    /// Of this kind.
    pub kind: Option<&'a str>,
    /// On machines in any of these pools.
    pub pools: Option<Vec<String>>,
}

struct Row {
    id: i64,
    kind: String,
    machine_id: String,
    hostname: String,
    status: String,
    step: String,
    message: String,
    error: Option<String>,
    attempt: i32,
    owner: Option<String>,
    epoch: i64,
    percent: Option<f32>,
    deadline: OffsetDateTime,
    requested_by: String,
    created_at: OffsetDateTime,
    step_since: OffsetDateTime,
    finished_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for Operation {
    type Error = DbError;

    fn try_from(r: Row) -> Result<Self, DbError> {
        Ok(Self {
            id: OperationId(r.id),
            kind: r.kind,
            machine: r.machine_id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?,
            hostname: r.hostname,
            status: r.status,
            step: r.step,
            message: r.message,
            error: r.error,
            attempt: r.attempt,
            owner: r.owner,
            epoch: r.epoch,
            percent: r.percent,
            deadline: r.deadline.into(),
            requested_by: r.requested_by,
            created_at: r.created_at.into(),
            step_since: r.step_since.into(),
            finished_at: r.finished_at.map(Into::into),
        })
    }
}

/// Rows of operations. The columns are said once; `$tail` says which. The percentage counts finished items whole and the
/// present one by what the agent says of it.
macro_rules! operations {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT o.id, o.kind, o.machine_id, m.hostname, o.status, o.step, o.message, o.error, o.attempt, o.owner, o.epoch,
                      CASE WHEN o.status = 'done' THEN 100::real ELSE (
                        SELECT (sum(CASE w.status WHEN 'done' THEN 100 WHEN 'given' THEN coalesce(w.percent, 0) ELSE 0 END)
                                / nullif(count(*), 0))::real FROM work_item w WHERE w.operation_id = o.id) END AS percent,
                      o.deadline, o.requested_by, o.created_at, o.step_since, o.finished_at
               FROM operation o JOIN machine m ON m.id = o.machine_id "# + $tail,
            $($argument),*
        )
    };
}

/// A page of operations, newest first, older than `before`. Found by number, so its cost does not grow with the number
/// of operations.
pub async fn list(
    conn: &mut PgConnection,
    f: &Filter<'_>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Operation>, DbError> {
    let rows = operations!(
        "WHERE o.id < coalesce($4, 9223372036854775807) AND ($1::text IS NULL OR o.machine_id = $1)
           AND ($2::text IS NULL OR o.status = $2) AND ($3::text IS NULL OR o.kind = $3)
           AND ($6::text[] IS NULL OR m.pool = ANY($6)) ORDER BY o.id DESC LIMIT $5",
        f.machine.map(MachineId::as_str),
        f.status,
        f.kind,
        before,
        limit,
        f.pools.as_deref()
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Operation::try_from).collect()
}

/// How many operations the filter lets through.
pub async fn count(conn: &mut PgConnection, f: &Filter<'_>) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM operation o WHERE ($1::text IS NULL OR o.machine_id = $1)
           AND ($2::text IS NULL OR o.status = $2) AND ($3::text IS NULL OR o.kind = $3)
           AND ($4::text[] IS NULL OR EXISTS (SELECT 1 FROM machine m WHERE m.id = o.machine_id AND m.pool = ANY($4)))"#,
        f.machine.map(MachineId::as_str),
        f.status,
        f.kind,
        f.pools.as_deref()
    )
    .fetch_one(conn)
    .await?)
}

/// Operations under way, by the region of the worker that looked at them last; those that none has seen yet are left out.
pub async fn count_by_region(conn: &mut PgConnection) -> Result<Vec<(String, i64)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT split_part(owner, '/', 1) AS "region!", count(*) AS "n!" FROM operation
           WHERE status = 'running' AND owner IS NOT NULL GROUP BY 1 ORDER BY 1"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.region, r.n)).collect())
}

/// One operation.
pub async fn get(conn: &mut PgConnection, id: OperationId) -> Result<Operation, DbError> {
    operations!("WHERE o.id = $1", id.0).fetch_one(conn).await?.try_into()
}

/// The last lines of the machine's console before the operation failed.
pub async fn console_tail(conn: &mut PgConnection, id: OperationId) -> Result<Vec<String>, DbError> {
    let tail = sqlx::query_scalar!("SELECT console_tail FROM operation WHERE id = $1", id.0)
        .fetch_one(conn)
        .await?
        .unwrap_or_default();
    Ok(tail.lines().map(str::to_owned).collect())
}

/// The work items of an operation, in the order in which they came to be.
pub async fn items(conn: &mut PgConnection, id: OperationId) -> Result<Vec<WorkItem>, DbError> {
    let rows = sqlx::query!(
        "SELECT w.id, w.kind, coalesce(r.name || CASE WHEN r.target = '' THEN '' ELSE ' (' || r.target || ')' END,
                                       w.payload ->> 'name') AS subject,
                w.status, w.percent, w.message, w.error, w.given_at, w.finished_at, w.duration_ms
         FROM work_item w LEFT JOIN script_run r ON r.work_item_id = w.id WHERE w.operation_id = $1 ORDER BY w.id",
        id.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| WorkItem {
            id: r.id,
            kind: r.kind,
            subject: r.subject,
            status: r.status,
            percent: r.percent,
            message: r.message,
            error: r.error,
            given_at: r.given_at.map(Into::into),
            finished_at: r.finished_at.map(Into::into),
            duration_ms: r.duration_ms,
        })
        .collect())
}

/// What the BMC answered to a power command, once it has.
pub async fn result(conn: &mut PgConnection, id: OperationId) -> Result<Option<BmcOutcome>, DbError> {
    let stored = sqlx::query_scalar!("SELECT state -> 'result' FROM operation WHERE id = $1", id.0)
        .fetch_optional(conn)
        .await?
        .flatten();
    // What a newer version has written and this one does not know is left out.
    Ok(stored.and_then(|value| serde_json::from_value(value).ok()))
}

/// Log of an operation's work after a position, in the order in which it arrived. The position counts microseconds
/// of arrival, so a reader may go on from the last one it has seen.
pub async fn log(
    conn: &mut PgConnection,
    id: OperationId,
    after: i64,
    limit: i64,
) -> Result<Vec<LogChunk>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT (extract(epoch FROM l.at) * 1000000)::bigint AS "position!", l.work_item_id, l.at, l.text
           FROM work_log l JOIN work_item w ON w.id = l.work_item_id
           WHERE w.operation_id = $1 AND (extract(epoch FROM l.at) * 1000000)::bigint > $2
           ORDER BY l.at, w.ordinal, l.seq LIMIT $3"#,
        id.0,
        after,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| LogChunk { position: r.position, item: r.work_item_id, at: r.at.into(), text: r.text })
        .collect())
}

/// The end of the log, oldest first: the newest chunks that are `bytes` together at most, and one at least.
pub async fn log_end(conn: &mut PgConnection, id: OperationId, bytes: i64) -> Result<Vec<LogChunk>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT (extract(epoch FROM at) * 1000000)::bigint AS "position!", work_item_id, at, text
           FROM (SELECT l.work_item_id, l.at, l.seq, l.text, w.ordinal,
                     sum(length(l.text)) OVER newest AS size, row_number() OVER newest AS nth
                 FROM work_log l JOIN work_item w ON w.id = l.work_item_id WHERE w.operation_id = $1
                 WINDOW newest AS (ORDER BY l.at DESC, w.ordinal DESC, l.seq DESC)) AS log
           WHERE size <= $2 OR nth = 1 ORDER BY at, ordinal, seq"#,
        id.0,
        bytes
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| LogChunk { position: r.position, item: r.work_item_id, at: r.at.into(), text: r.text })
        .collect())
}

/// Operations under way.
pub async fn count_running(conn: &mut PgConnection) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM operation WHERE status = 'running'"#)
        .fetch_one(conn)
        .await?)
}

struct RunRow {
    id: i64,
    operation_id: i64,
    name: String,
    script_type: String,
    hardware_type: String,
    target: String,
    status: String,
    exit_code: Option<i32>,
    results: serde_json::Value,
    suppressed: bool,
    parameters: serde_json::Value,
    boots: i32,
    error: String,
    started_at: Option<OffsetDateTime>,
    ended_at: Option<OffsetDateTime>,
    stdout: Option<String>,
    stderr: Option<String>,
}

impl RunRow {
    fn of(self, machine: &MachineId) -> ScriptRun {
        ScriptRun {
            id: self.id,
            machine: machine.clone(),
            operation: OperationId(self.operation_id),
            name: self.name,
            script_type: self.script_type,
            hardware_type: self.hardware_type,
            target: self.target,
            status: self.status,
            exit_code: self.exit_code,
            results: self.results,
            suppressed: self.suppressed,
            parameters: readable(self.parameters),
            boots: self.boots,
            error: self.error,
            started_at: self.started_at.map(Into::into),
            ended_at: self.ended_at.map(Into::into),
            stdout: self.stdout,
            stderr: self.stderr,
        }
    }
}

/// Parameters as people may see them: what is sealed stays so.
pub(super) fn readable(mut parameters: serde_json::Value) -> serde_json::Value {
    for value in parameters.as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
        if value.is_object() {
            *value = "(secret)".into();
        }
    }
    parameters
}

/// Script runs of a machine, newest first, without output; the last thousand.
pub async fn runs(
    conn: &mut PgConnection,
    machine: &MachineId,
    query: &ScriptRunQuery,
) -> Result<Vec<ScriptRun>, DbError> {
    let rows = sqlx::query_as!(
        RunRow,
        r#"SELECT r.id, r.operation_id, r.name, r.script_type, r.hardware_type, r.target, r.status, r.exit_code, r.results,
                  r.suppressed, coalesce(w.payload -> 'parameters', '{}') AS "parameters!", w.attempt AS boots, w.error,
                  r.started_at, r.ended_at, NULL::text AS stdout, NULL::text AS stderr
           FROM script_run r JOIN work_item w ON w.id = r.work_item_id
           WHERE r.machine_id = $1 AND ($2::text IS NULL OR r.name = $2)
             AND ($3::bigint IS NULL OR r.operation_id = $3)
             AND (NOT $4 OR NOT EXISTS (SELECT 1 FROM script_run n WHERE n.machine_id = $1 AND n.name = r.name
                                          AND n.target = r.target AND n.id > r.id))
           ORDER BY r.id DESC LIMIT 1000"#,
        machine.as_str(),
        query.name,
        query.operation,
        query.latest
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| r.of(machine)).collect())
}

/// One run with its output.
pub async fn run(conn: &mut PgConnection, machine: &MachineId, id: i64) -> Result<ScriptRun, DbError> {
    let row = sqlx::query_as!(
        RunRow,
        r#"SELECT r.id, r.operation_id, r.name, r.script_type, r.hardware_type, r.target, r.status, r.exit_code, r.results,
                  r.suppressed, coalesce(w.payload -> 'parameters', '{}') AS "parameters!", w.attempt AS boots, w.error,
                  r.started_at, r.ended_at, r.stdout AS "stdout?", r.stderr AS "stderr?"
           FROM script_run r JOIN work_item w ON w.id = r.work_item_id WHERE r.machine_id = $1 AND r.id = $2"#,
        machine.as_str(),
        id
    )
    .fetch_one(conn)
    .await?;
    Ok(row.of(machine))
}
