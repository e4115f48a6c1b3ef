//! Devices. Their addresses are reservations.

use super::DbError;
use crate::model::device::{Device, DeviceAddress};
use rackwright_common::Hostname;
use sqlx::PgConnection;

/// All devices, by name; one when `id` is given.
pub async fn list(conn: &mut PgConnection, id: Option<i64>) -> Result<Vec<Device>, DbError> {
    let corrupt = || DbError::Corrupt { what: "device" };
    let rows = sqlx::query!(
        r#"SELECT d.id, d.hostname, d.description, d.created_at,
                  ARRAY(SELECT r.mac FROM reservation r WHERE r.device_id = d.id ORDER BY r.id) AS "macs!",
                  ARRAY(SELECT host(r.address) FROM reservation r WHERE r.device_id = d.id ORDER BY r.id) AS "addresses!"
           FROM device d WHERE $1::bigint IS NULL OR d.id = $1 ORDER BY d.hostname"#,
        id
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let pairs = r.macs.iter().zip(&r.addresses);
            let addresses: Option<Vec<_>> = pairs
                .map(|(mac, a)| Some(DeviceAddress { mac: mac.parse().ok()?, address: a.parse().ok()? }))
                .collect();
            Ok(Device {
                id: r.id,
                hostname: r.hostname.parse().map_err(|_| corrupt())?,
                description: r.description,
                addresses: addresses.ok_or_else(corrupt)?,
                created_at: r.created_at.into(),
            })
        })
        .collect()
}

/// One device.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<Device, DbError> {
    list(conn, Some(id)).await?.pop().ok_or(DbError::NotFound)
}

/// Makes a device without addresses; its number.
pub async fn insert(conn: &mut PgConnection, hostname: &Hostname, description: &str) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO device (hostname, description) VALUES ($1, $2) RETURNING id",
        hostname.as_str(),
        description
    )
    .fetch_one(conn)
    .await?)
}

/// Changes name and description, also of its reservations.
pub async fn update(
    conn: &mut PgConnection,
    id: i64,
    hostname: &Hostname,
    description: &str,
) -> Result<(), DbError> {
    sqlx::query_scalar!(
        "UPDATE device SET hostname = $2, description = $3 WHERE id = $1 RETURNING id",
        id,
        hostname.as_str(),
        description
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!("UPDATE reservation SET hostname = $2 WHERE device_id = $1", id, hostname.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes an address away from a device.
pub async fn remove_address(
    conn: &mut PgConnection,
    id: i64,
    address: &DeviceAddress,
) -> Result<(), DbError> {
    sqlx::query!(
        "DELETE FROM reservation WHERE device_id = $1 AND mac = $2 AND address = $3::text::inet",
        id,
        address.mac.to_string(),
        address.address.to_string()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a device with its reservations.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM device WHERE id = $1", id).execute(conn).await?.rows_affected() == 1)
}

/// Whether a machine has this name.
pub async fn machine_is_called(conn: &mut PgConnection, hostname: &Hostname) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM machine WHERE hostname = $1) AS "there!""#,
        hostname.as_str()
    )
    .fetch_one(conn)
    .await?)
}
