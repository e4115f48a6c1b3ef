//! What people change on a machine by hand.

use super::DbError;
use crate::model::machine::MachinePatch;
use rackwright_common::{Mac, MachineId};
use sqlx::PgConnection;

/// What has to be known before a person changes a machine. The row stays locked until the transaction ends.
#[derive(Debug, Clone)]
pub struct Locked {
    /// Raised by each change.
    pub version: i64,
    /// Whose it is.
    pub owner_id: Option<i64>,
    /// Protected.
    pub locked: bool,
    /// As stored.
    pub status: String,
    /// Has been commissioned.
    pub commissioned: bool,
    /// Runs an installed system.
    pub deployed: bool,
    /// Name.
    pub hostname: String,
    /// Its pool.
    pub pool: String,
}

/// Reads and locks a machine.
pub async fn lock(conn: &mut PgConnection, id: &MachineId) -> Result<Locked, DbError> {
    Ok(sqlx::query_as!(
        Locked,
        r#"SELECT version, owner_id, locked, status, commissioned_at IS NOT NULL AS "commissioned!",
                  deployed_at IS NOT NULL AS "deployed!", hostname, pool
           FROM machine WHERE id = $1 FOR UPDATE"#,
        id.as_str()
    )
    .fetch_one(conn)
    .await?)
}

/// Applies a person's changes.
pub async fn update(conn: &mut PgConnection, id: &MachineId, patch: &MachinePatch) -> Result<(), DbError> {
    let layout = patch.storage_layout.as_ref().map(serde_json::to_value).transpose();
    let layout = layout.map_err(|_| DbError::Corrupt { what: "storage layout" })?;
    sqlx::query!(
        "UPDATE machine SET hostname = coalesce($2, hostname), description = coalesce($3, description),
                pool = coalesce($4, pool), zone = coalesce($5, zone), tags = coalesce($6, tags),
                storage_layout = coalesce($7, storage_layout), version = version + 1, updated_at = now()
         WHERE id = $1",
        id.as_str(),
        patch.hostname.as_ref().map(|h| h.as_str()),
        patch.description,
        patch.pool,
        patch.zone,
        patch.tags.as_deref(),
        layout
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks or unlocks.
pub async fn set_locked(conn: &mut PgConnection, id: &MachineId, locked: bool) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE machine SET locked = $2, version = version + 1, updated_at = now() WHERE id = $1",
        id.as_str(),
        locked
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives the machine to somebody.
pub async fn set_owner(conn: &mut PgConnection, id: &MachineId, owner: i64) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE machine SET owner_id = $2, version = version + 1, updated_at = now() WHERE id = $1",
        id.as_str(),
        owner
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The machine was changed in another table (BMC, interfaces): raises its version.
pub async fn touch(conn: &mut PgConnection, id: &MachineId) -> Result<(), DbError> {
    sqlx::query!("UPDATE machine SET version = version + 1, updated_at = now() WHERE id = $1", id.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Says of a machine entered by hand that nobody has seen it yet.
pub async fn set_unseen(conn: &mut PgConnection, id: &MachineId) -> Result<(), DbError> {
    sqlx::query!("UPDATE machine SET last_seen_at = NULL WHERE id = $1", id.as_str()).execute(conn).await?;
    Ok(())
}

/// Adds an interface to a machine entered by hand; `interface_mac_unique` is violated when another has it.
pub async fn insert_interface(
    conn: &mut PgConnection,
    id: &MachineId,
    mac: Mac,
    boot: bool,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO interface (machine_id, mac, boot) VALUES ($1, $2, $3)",
        id.as_str(),
        mac.to_string(),
        boot
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What is stored of an interface, as people change it.
#[derive(Debug, Clone)]
pub struct InterfaceRow {
    /// Name in the installed system.
    pub name: String,
    /// `auto`, `dhcp`, `link-up`.
    pub mode: String,
    /// Its subnet.
    pub subnet: Option<i64>,
    /// Its first address.
    pub address: Option<std::net::IpAddr>,
    /// Who chose the address.
    pub source: String,
    /// MTU, bytes, when it is set.
    pub mtu: Option<i32>,
}

/// Changes an interface; false when the machine has no such one.
pub async fn set_interface(
    conn: &mut PgConnection,
    id: &MachineId,
    interface: i64,
    row: &InterfaceRow,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "UPDATE interface SET name = $3, mode = $4, subnet_id = $5, address = $6::text::inet, address_source = $7, mtu = $8
         WHERE machine_id = $1 AND id = $2",
        id.as_str(),
        interface,
        row.name,
        row.mode,
        row.subnet,
        row.address.map(|a| a.to_string()),
        row.source,
        row.mtu
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes an interface away from a machine, also one that a machine claimed wrongly.
pub async fn delete_interface(
    conn: &mut PgConnection,
    id: &MachineId,
    interface: i64,
) -> Result<bool, DbError> {
    let done =
        sqlx::query!("DELETE FROM interface WHERE machine_id = $1 AND id = $2", id.as_str(), interface)
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes a machine with everything that hangs on it; its events stay.
pub async fn delete(conn: &mut PgConnection, id: &MachineId) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM machine WHERE id = $1", id.as_str()).execute(conn).await?;
    Ok(())
}

/// Says of a script run that it does not count, or that it does again.
pub async fn suppress_run(
    conn: &mut PgConnection,
    id: &MachineId,
    run: i64,
    suppressed: bool,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "UPDATE script_run SET suppressed = $3 WHERE machine_id = $1 AND id = $2",
        id.as_str(),
        run,
        suppressed
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
