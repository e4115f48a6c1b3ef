//! What machines wrote to their serial consoles: chunks that are inserted, and removed many at a time.

use super::DbError;
use super::bmc::Bmc;
use rackwright_common::{MachineId, OperationId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Bytes kept of each console; up to [`STEP`] more until the oldest are removed.
pub const KEEP: i64 = 256 * 1024;
/// How much comes in between two removals.
const STEP: i64 = 64 * 1024;

/// How far a console is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The recording that wrote last.
    pub session: Option<Uuid>,
    /// Bytes of it that have come.
    pub session_bytes: i64,
    /// A chunk says that it began.
    pub session_told: bool,
    /// The position after the last chunk.
    pub total: i64,
}

/// A stored chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Bytes stored before it.
    pub position: i64,
    /// When it arrived.
    pub at: OffsetDateTime,
    /// When the recording began, on its first chunk.
    pub began_at: Option<OffsetDateTime>,
    /// Who recorded it.
    pub rack: String,
    /// Bytes that did not arrive, just before it.
    pub lost: i64,
    /// As written.
    pub bytes: Vec<u8>,
}

/// A chunk to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChunk<'a> {
    /// When the recording began, on its first chunk.
    pub began_at: Option<OffsetDateTime>,
    /// Who recorded it.
    pub rack: &'a str,
    /// Bytes that did not arrive, just before it.
    pub lost: i64,
    /// As written.
    pub bytes: &'a [u8],
}

/// How far a machine's console is, locked until the transaction ends; `None` when there is no such machine.
pub async fn lock(conn: &mut PgConnection, machine: &MachineId) -> Result<Option<Head>, DbError> {
    for _ in 0..2 {
        let head = sqlx::query_as!(
            Head,
            "SELECT session, session_bytes, session_told, total FROM console WHERE machine_id = $1 FOR UPDATE",
            machine.as_str()
        )
        .fetch_optional(&mut *conn)
        .await?;
        if head.is_some() {
            return Ok(head);
        }
        sqlx::query!(
            "INSERT INTO console (machine_id) SELECT id FROM machine WHERE id = $1 ON CONFLICT DO NOTHING",
            machine.as_str()
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(None)
}

/// Stores a chunk, if any, at the end, and how far the console is then. Call after [`lock`] in one transaction; `head`
/// is what it gave, with what is known of the recording now.
pub async fn append(
    conn: &mut PgConnection,
    machine: &MachineId,
    head: &Head,
    chunk: Option<&NewChunk<'_>>,
) -> Result<(), DbError> {
    let mut total = head.total;
    if let Some(chunk) = chunk {
        sqlx::query!(
            "INSERT INTO console_chunk (machine_id, position, began_at, rack, lost, bytes) VALUES ($1, $2, $3, $4, $5, $6)",
            machine.as_str(),
            head.total,
            chunk.began_at,
            chunk.rack,
            chunk.lost,
            chunk.bytes,
        )
        .execute(&mut *conn)
        .await?;
        total += i64::try_from(chunk.bytes.len()).unwrap_or(i64::MAX);
    }
    sqlx::query!(
        "UPDATE console SET session = $2, session_bytes = $3, session_told = $4, total = $5 WHERE machine_id = $1",
        machine.as_str(),
        head.session,
        head.session_bytes,
        head.session_told,
        total,
    )
    .execute(&mut *conn)
    .await?;
    if total / STEP != head.total / STEP {
        sqlx::query!(
            "DELETE FROM console_chunk WHERE machine_id = $1 AND position + length(bytes) <= $2",
            machine.as_str(),
            total - KEEP,
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// The position after the last chunk; 0 for a machine whose console was never recorded.
pub async fn position(conn: &mut PgConnection, machine: &MachineId) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        "SELECT coalesce(c.total, 0) AS \"total!\" FROM machine m LEFT JOIN console c ON c.machine_id = m.id WHERE m.id = $1",
        machine.as_str()
    )
    .fetch_one(conn)
    .await?)
}

/// The chunks that hold what was written after `position`, in order, at most `limit` of them. The first may begin
/// before it.
pub async fn after(
    conn: &mut PgConnection,
    machine: &MachineId,
    position: i64,
    limit: i64,
) -> Result<Vec<Chunk>, DbError> {
    Ok(sqlx::query_as!(
        Chunk,
        "SELECT position, at, began_at, rack, lost, bytes FROM console_chunk
         WHERE machine_id = $1 AND position + length(bytes) > $2 ORDER BY console_chunk.position LIMIT $3",
        machine.as_str(),
        position,
        limit,
    )
    .fetch_all(conn)
    .await?)
}

/// Up to `bytes` of what the machine wrote last, as written, in chunks that arrived since the operation began.
pub async fn tail_of(
    conn: &mut PgConnection,
    machine: &MachineId,
    operation: OperationId,
    bytes: i64,
) -> Result<Vec<u8>, DbError> {
    let chunks = sqlx::query_scalar!(
        "SELECT c.bytes FROM console_chunk c JOIN console h ON h.machine_id = c.machine_id
         WHERE c.machine_id = $1 AND c.at >= (SELECT created_at FROM operation WHERE id = $2)
           AND c.position + length(c.bytes) > h.total - $3 ORDER BY c.position",
        machine.as_str(),
        operation.0,
        bytes,
    )
    .fetch_all(conn)
    .await?;
    Ok(chunks.concat())
}

/// A console that racks are to open.
#[derive(Debug, Clone, PartialEq)]
pub struct Wished {
    /// Whose.
    pub machine: MachineId,
    /// Through which BMC.
    pub bmc: Bmc,
    /// Somebody looks at it now.
    pub live: bool,
}

/// The BMCs whose machines' consoles are to be recorded: those on which an operation works, unless the setting
/// `record_consoles` is off, and those at which somebody looks. In order; secrets are sealed.
pub async fn wished(conn: &mut PgConnection) -> Result<Vec<Wished>, DbError> {
    let rows = sqlx::query!(
        "SELECT b.machine_id, b.driver, b.address, b.port, b.username, b.secret, b.settings, b.source,
                EXISTS (SELECT 1 FROM console_seat s WHERE s.machine_id = b.machine_id AND s.wanted_until > now()) AS \"live!\"
         FROM bmc b
         WHERE b.machine_id IN (SELECT machine_id FROM operation WHERE status = 'running' AND kind <> 'power'
                                UNION SELECT machine_id FROM console_seat WHERE wanted_until > now())
           AND b.driver = 'ipmi' AND b.address <> ''
           AND NOT EXISTS (SELECT 1 FROM setting WHERE name = 'record_consoles' AND value = 'false')
         ORDER BY b.machine_id"
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let machine = r.machine_id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?;
            let bmc = Bmc {
                driver: r.driver,
                address: r.address,
                port: r.port.and_then(|p| u16::try_from(p).ok()),
                username: r.username,
                secret: r.secret,
                settings: r.settings,
                source: r.source,
            };
            Ok(Wished { machine, bmc, live: r.live })
        })
        .collect()
}
