//! Machines as the life cycle needs them. What lists and pages show is in `machine_query`.

use super::DbError;
use rackwright_common::inventory::Inventory;
use rackwright_common::{Mac, MachineId, OperationId, Status};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// A machine as its operations see it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Identifier.
    pub id: MachineId,
    /// Name.
    pub hostname: String,
    /// Where it is.
    pub status: Status,
    /// Where it rested last.
    pub resting_status: Status,
    /// Must not be changed.
    pub locked: bool,
    /// Boots by UEFI.
    pub efi: bool,
    /// Has been commissioned at least once.
    pub commissioned: bool,
    /// The hardware, once read.
    pub inventory: Option<Inventory>,
    /// Driver of its BMC, if it has one.
    pub bmc_driver: Option<String>,
    /// `local`, `ephemeral`, `hold`, `off`.
    pub boot: String,
    /// Operation for which it boots the ephemeral environment.
    pub boot_operation: Option<OperationId>,
    /// Epoch of that boot.
    pub boot_epoch: Option<i64>,
    /// `on`, `off`, `unknown`.
    pub power_state: String,
    /// Deployment whose metadata credentials are valid.
    pub metadata_operation: Option<OperationId>,
    /// cloud-init user data of the deployment.
    pub user_data: Option<String>,
    /// `authorized_keys` lines of the deployment.
    pub ssh_keys: Vec<String>,
}

/// Reads a machine.
pub async fn find(conn: &mut PgConnection, id: &MachineId) -> Result<Option<Machine>, DbError> {
    let row = sqlx::query!(
        "SELECT m.hostname, m.status, m.resting_status, m.locked, m.efi, m.commissioned_at IS NOT NULL AS \"commissioned!\",
                m.inventory, b.driver AS \"driver?\", m.boot, m.boot_operation_id, m.boot_epoch, m.power_state,
                m.metadata_operation_id, m.user_data, m.ssh_keys
         FROM machine m LEFT JOIN bmc b ON b.machine_id = m.id WHERE m.id = $1",
        id.as_str()
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        Ok(Machine {
            id: id.clone(),
            hostname: r.hostname,
            status: r.status.parse().map_err(|_| DbError::Corrupt { what: "status" })?,
            resting_status: r.resting_status.parse().map_err(|_| DbError::Corrupt { what: "status" })?,
            locked: r.locked,
            efi: r.efi,
            commissioned: r.commissioned,
            inventory: r.inventory.and_then(|v| serde_json::from_value(v).ok()),
            bmc_driver: r.driver,
            boot: r.boot,
            boot_operation: r.boot_operation_id.map(OperationId),
            boot_epoch: r.boot_epoch,
            power_state: r.power_state,
            metadata_operation: r.metadata_operation_id.map(OperationId),
            user_data: r.user_data,
            ssh_keys: r.ssh_keys,
        })
    })
    .transpose()
}

/// Reads a machine that must exist.
pub async fn get(conn: &mut PgConnection, id: &MachineId) -> Result<Machine, DbError> {
    find(conn, id).await?.ok_or(DbError::NotFound)
}

/// Locks the machine's row for the rest of the transaction.
pub async fn lock(conn: &mut PgConnection, id: &MachineId) -> Result<(), DbError> {
    sqlx::query_scalar!("SELECT 1 AS \"one!\" FROM machine WHERE id = $1 FOR UPDATE", id.as_str())
        .fetch_one(conn)
        .await?;
    Ok(())
}

/// The machine with one of these interfaces, the booted one first.
pub async fn find_by_macs(conn: &mut PgConnection, macs: &[Mac]) -> Result<Option<MachineId>, DbError> {
    let macs: Vec<String> = macs.iter().map(Mac::to_string).collect();
    let id = sqlx::query_scalar!(
        "SELECT machine_id FROM interface WHERE mac = ANY($1) ORDER BY array_position($1, mac) LIMIT 1",
        &macs
    )
    .fetch_optional(conn)
    .await?;
    id.map(|id| id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })).transpose()
}

/// What is known of a machine at its first boot.
#[derive(Debug)]
pub struct NewMachine<'a> {
    /// Identifier, newly drawn.
    pub id: &'a MachineId,
    /// Name; unique.
    pub hostname: &'a str,
    /// SMBIOS system UUID.
    pub uuid: Option<Uuid>,
    /// Serial number.
    pub serial: Option<&'a str>,
    /// Boots by UEFI.
    pub efi: bool,
    /// `x86_64`, `aarch64`.
    pub architecture: &'a str,
}

/// Writes a new machine.
pub async fn create(conn: &mut PgConnection, new: &NewMachine<'_>) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO machine (id, hostname, system_uuid, system_serial, efi, architecture, last_seen_at)
         VALUES ($1, $2, $3, $4, $5, $6, now())",
        new.id.as_str(),
        new.hostname,
        new.uuid,
        new.serial,
        new.efi,
        new.architecture,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes a status and its reason; remembers the resting status it leaves.
pub async fn set_status(
    conn: &mut PgConnection,
    id: &MachineId,
    status: Status,
    message: &str,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE machine SET status = $2, status_message = $3, status_since = CASE WHEN status = $2 THEN status_since ELSE now() END,
                resting_status = CASE WHEN $4 THEN resting_status ELSE $2 END, version = version + 1, updated_at = now()
         WHERE id = $1",
        id.as_str(),
        status.as_str(),
        message,
        status.is_transient() || status.is_failed() || status == Status::RescueMode,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Decides what it boots next.
pub async fn set_boot(
    conn: &mut PgConnection,
    id: &MachineId,
    boot: &str,
    on_behalf: Option<(OperationId, i64)>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE machine SET boot = $2, boot_operation_id = $3, boot_epoch = $4, version = version + 1, updated_at = now() WHERE id = $1",
        id.as_str(),
        boot,
        on_behalf.map(|(operation, _)| operation.0),
        on_behalf.map(|(_, epoch)| epoch),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What the BMC, or evidence, says of its power.
pub async fn set_power(conn: &mut PgConnection, id: &MachineId, power: &str) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE machine SET power_state = $2, power_seen_at = now(),
                version = version + CASE WHEN power_state = $2 THEN 0 ELSE 1 END WHERE id = $1",
        id.as_str(),
        power
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// It showed a sign of life, and so it is on.
pub async fn seen_alive(conn: &mut PgConnection, id: &MachineId) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE machine SET last_seen_at = now(), power_state = 'on', power_seen_at = now() WHERE id = $1",
        id.as_str()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The machines with these MACs were heard: they are on. Rows are locked in one order, so that two regions that are told of
/// the same machines do not wait for each other.
pub async fn heard(conn: &mut PgConnection, macs: &[String]) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE machine SET last_seen_at = now(), power_state = 'on', power_seen_at = now()
         FROM (SELECT id FROM machine WHERE id IN (SELECT machine_id FROM interface WHERE mac = ANY($1))
               ORDER BY id FOR NO KEY UPDATE) heard
         WHERE machine.id = heard.id",
        macs
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The hardware as it was read last.
pub async fn inventory(conn: &mut PgConnection, id: &MachineId) -> Result<Option<Inventory>, DbError> {
    let stored = sqlx::query_scalar!("SELECT inventory FROM machine WHERE id = $1", id.as_str())
        .fetch_one(conn)
        .await?;
    Ok(stored.and_then(|value| serde_json::from_value(value).ok()))
}

/// Stores the hardware and what lists show of it.
pub async fn set_inventory(
    conn: &mut PgConnection,
    id: &MachineId,
    inventory: &Inventory,
) -> Result<(), DbError> {
    let json = serde_json::to_value(inventory).map_err(|_| DbError::Corrupt { what: "inventory" })?;
    let storage: u64 = inventory.disks.iter().map(|d| d.size_bytes).sum();
    sqlx::query!(
        "UPDATE machine SET inventory = $2, vendor = $3, product = $4, system_serial = coalesce($5, system_serial),
                system_uuid = coalesce($6, system_uuid), cpu_cores = $7, memory_mib = $8, storage_bytes = $9, efi = $10,
                secure_boot = $11, architecture = CASE WHEN $12 = '' THEN architecture ELSE $12 END,
                version = version + 1, updated_at = now() WHERE id = $1",
        id.as_str(),
        json,
        inventory.system.vendor,
        inventory.system.product,
        inventory.system.serial,
        inventory.system.uuid,
        i32::try_from(inventory.cpu.cores).unwrap_or(i32::MAX),
        i64::try_from(inventory.memory_mib).unwrap_or(i64::MAX),
        i64::try_from(storage).unwrap_or(i64::MAX),
        inventory.firmware.efi,
        inventory.firmware.secure_boot,
        inventory.cpu.architecture,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// It has been commissioned.
pub async fn set_commissioned(conn: &mut PgConnection, id: &MachineId) -> Result<(), DbError> {
    sqlx::query!("UPDATE machine SET commissioned_at = now() WHERE id = $1", id.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// What a deployment leaves with its machine.
#[derive(Debug)]
pub struct Deployment<'a> {
    /// Image row.
    pub image: i64,
    /// cloud-init user data.
    pub user_data: Option<&'a str>,
    /// `authorized_keys` lines.
    pub ssh_keys: &'a [String],
    /// Layout as asked.
    pub layout: &'a Value,
    /// The operation whose metadata credentials are valid from now on.
    pub operation: OperationId,
}

/// Stores what the machine is to become.
pub async fn set_deployment(
    conn: &mut PgConnection,
    id: &MachineId,
    d: &Deployment<'_>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE machine SET image_id = $2, user_data = $3, ssh_keys = $4, storage_layout = $5, metadata_operation_id = $6,
                version = version + 1, updated_at = now() WHERE id = $1",
        id.as_str(),
        d.image,
        d.user_data,
        d.ssh_keys,
        d.layout,
        d.operation.0,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The installed system runs.
pub async fn set_deployed(conn: &mut PgConnection, id: &MachineId) -> Result<(), DbError> {
    sqlx::query!("UPDATE machine SET deployed_at = now() WHERE id = $1", id.as_str()).execute(conn).await?;
    Ok(())
}

/// Forgets owner and system.
pub async fn clear_deployment(conn: &mut PgConnection, id: &MachineId) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE machine SET image_id = NULL, user_data = NULL, ssh_keys = '{}', storage_layout = '{}', metadata_operation_id = NULL,
                owner_id = NULL, deployed_at = NULL, version = version + 1, updated_at = now() WHERE id = $1",
        id.as_str()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The system UUID on record.
pub async fn system_uuid(conn: &mut PgConnection, id: &MachineId) -> Result<Option<Uuid>, DbError> {
    Ok(sqlx::query_scalar!("SELECT system_uuid FROM machine WHERE id = $1", id.as_str())
        .fetch_one(conn)
        .await?)
}

/// Image row and layout of the deployment.
pub async fn deployment(conn: &mut PgConnection, id: &MachineId) -> Result<Option<(i64, Value)>, DbError> {
    let row = sqlx::query!("SELECT image_id, storage_layout FROM machine WHERE id = $1", id.as_str())
        .fetch_one(conn)
        .await?;
    Ok(row.image_id.map(|image| (image, row.storage_layout)))
}
