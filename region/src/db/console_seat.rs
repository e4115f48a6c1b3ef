//! Consoles at which people look, whose turn it is to type, and what was typed and no rack has taken yet.

use super::DbError;
use rackwright_common::MachineId;
use sqlx::PgConnection;
use uuid::Uuid;

/// Somebody types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Drawn anew with each taking over.
    pub seat: Uuid,
    /// Who.
    pub name: String,
}

/// An input on its way to the racks.
#[derive(Debug, Clone)]
pub struct Input {
    /// Counts up.
    pub id: i64,
    /// Into whose console.
    pub machine: String,
    /// Sealed with the master key.
    pub sealed: Vec<u8>,
}

/// Keeps a console open for those who look at it, for 30 seconds.
pub async fn want(conn: &mut PgConnection, machine: &MachineId) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO console_seat (machine_id, wanted_until) VALUES ($1, now() + interval '30 seconds')
         ON CONFLICT (machine_id) DO UPDATE SET wanted_until = EXCLUDED.wanted_until",
        machine.as_str()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Who types now.
pub async fn find(conn: &mut PgConnection, machine: &MachineId) -> Result<Option<Seat>, DbError> {
    Ok(sqlx::query_as!(
        Seat,
        r#"SELECT seat AS "seat!", name FROM console_seat WHERE machine_id = $1 AND seat IS NOT NULL AND held_until > now()"#,
        machine.as_str()
    )
    .fetch_optional(conn)
    .await?)
}

/// It is somebody's turn from now on, for 15 seconds; whoever had it before has it no more. Wakes those who look.
pub async fn take(
    conn: &mut PgConnection,
    machine: &MachineId,
    user: i64,
    name: &str,
) -> Result<Uuid, DbError> {
    let seat = sqlx::query_scalar!(
        r#"UPDATE console_seat SET seat = gen_random_uuid(), user_id = $2, name = $3, held_until = now() + interval '15 seconds'
           WHERE machine_id = $1 RETURNING seat AS "seat!""#,
        machine.as_str(),
        user,
        name
    )
    .fetch_one(&mut *conn)
    .await?;
    wake(conn).await?;
    Ok(seat)
}

/// Lengthens a turn; false when it is over.
pub async fn hold(conn: &mut PgConnection, machine: &MachineId, seat: Uuid) -> Result<bool, DbError> {
    let held = sqlx::query!(
        "UPDATE console_seat SET held_until = now() + interval '15 seconds' WHERE machine_id = $1 AND seat = $2",
        machine.as_str(),
        seat
    )
    .execute(conn)
    .await?;
    Ok(held.rows_affected() == 1)
}

/// Ends a turn.
pub async fn leave(conn: &mut PgConnection, machine: &MachineId, seat: Uuid) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE console_seat SET seat = NULL, user_id = NULL, name = '' WHERE machine_id = $1 AND seat = $2",
        machine.as_str(),
        seat
    )
    .execute(&mut *conn)
    .await?;
    wake(conn).await
}

/// Stores what was typed, unless the turn is over; racks are told by whichever region they are connected to.
pub async fn put(
    conn: &mut PgConnection,
    machine: &MachineId,
    seat: Uuid,
    sealed: &[u8],
) -> Result<bool, DbError> {
    let put = sqlx::query!(
        "INSERT INTO console_input (machine_id, sealed)
         SELECT machine_id, $3 FROM console_seat WHERE machine_id = $1 AND seat = $2 AND held_until > now()",
        machine.as_str(),
        seat,
        sealed
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("SELECT pg_notify('rackwright_input', '')").execute(conn).await?;
    Ok(put.rows_affected() == 1)
}

/// Inputs that no rack has taken yet.
pub async fn waiting(conn: &mut PgConnection, machine: &MachineId) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM console_input WHERE machine_id = $1"#,
        machine.as_str()
    )
    .fetch_one(conn)
    .await?)
}

/// Forgets what no rack has taken in time: how much. It would come as a surprise later.
pub async fn forget(conn: &mut PgConnection, machine: &MachineId) -> Result<u64, DbError> {
    let gone = sqlx::query!(
        "DELETE FROM console_input WHERE machine_id = $1 AND at < now() - interval '5 seconds'",
        machine.as_str()
    )
    .execute(conn)
    .await?;
    Ok(gone.rows_affected())
}

/// Removes what was typed half a minute ago and is in nobody's hands any more: they have been told, or have left.
pub async fn sweep(conn: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM console_input WHERE at < now() - interval '30 seconds'").execute(conn).await?;
    Ok(())
}

/// What is still worth typing, in order.
pub async fn fresh(conn: &mut PgConnection) -> Result<Vec<Input>, DbError> {
    Ok(sqlx::query_as!(
        Input,
        "SELECT id, machine_id AS machine, sealed FROM console_input WHERE at > now() - interval '5 seconds' ORDER BY id"
    )
    .fetch_all(conn)
    .await?)
}

/// A rack has typed everything up to `id`.
pub async fn typed(conn: &mut PgConnection, machine: &MachineId, id: i64) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM console_input WHERE machine_id = $1 AND id <= $2", machine.as_str(), id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Wakes those who look at a console, if anybody does: it has written something.
pub async fn has_written(conn: &mut PgConnection, machine: &MachineId) -> Result<(), DbError> {
    sqlx::query!(
        "SELECT pg_notify('rackwright_console', '') FROM console_seat WHERE machine_id = $1 AND wanted_until > now()",
        machine.as_str()
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn wake(conn: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!("SELECT pg_notify('rackwright_console', '')").execute(conn).await?;
    Ok(())
}
