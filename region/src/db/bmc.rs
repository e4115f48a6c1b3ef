//! How each machine's BMC is reached. Secrets are stored sealed.

use super::DbError;
use rackwright_common::MachineId;
use serde_json::Value;
use sqlx::PgConnection;

/// A BMC as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bmc {
    /// `ipmi`, `amt`, `manual`.
    pub driver: String,
    /// Host name or address.
    pub address: String,
    /// Port, when not the protocol's own.
    pub port: Option<u16>,
    /// User name.
    pub username: String,
    /// Sealed JSON: `{"password": …, "kg": …}`.
    pub secret: Option<Vec<u8>>,
    /// `BmcSettings` without its secret.
    pub settings: Value,
    /// `person` or `in-band`.
    pub source: String,
}

/// The BMC of a machine.
pub async fn find(conn: &mut PgConnection, machine: &MachineId) -> Result<Option<Bmc>, DbError> {
    let row = sqlx::query!(
        "SELECT driver, address, port, username, secret, settings, source FROM bmc WHERE machine_id = $1",
        machine.as_str()
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| Bmc {
        driver: r.driver,
        address: r.address,
        port: r.port.and_then(|p| u16::try_from(p).ok()),
        username: r.username,
        secret: r.secret,
        settings: r.settings,
        source: r.source,
    }))
}

/// Sets a machine's BMC.
pub async fn put(conn: &mut PgConnection, machine: &MachineId, bmc: &Bmc) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO bmc (machine_id, driver, address, port, username, secret, settings, source)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (machine_id) DO UPDATE SET driver = $2, address = $3, port = $4, username = $5, secret = $6,
                settings = $7, source = $8, error = NULL, updated_at = now()",
        machine.as_str(),
        bmc.driver,
        bmc.address,
        bmc.port.map(i32::from),
        bmc.username,
        bmc.secret,
        bmc.settings,
        bmc.source,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps what the BMC's last command said; `None` when it went well.
pub async fn set_error(
    conn: &mut PgConnection,
    machine: &MachineId,
    error: Option<&str>,
) -> Result<(), DbError> {
    sqlx::query!("UPDATE bmc SET error = $2 WHERE machine_id = $1", machine.as_str(), error)
        .execute(conn)
        .await?;
    Ok(())
}
