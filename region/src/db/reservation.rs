//! Fixed addresses of things that are not machines.

use super::DbError;
use crate::model::network::{NewReservation, Reservation};
use sqlx::PgConnection;

/// Reservations, by address; of one subnet when given.
pub async fn list(conn: &mut PgConnection, subnet: Option<i64>) -> Result<Vec<Reservation>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, subnet_id, mac, host(address) AS "address!", hostname, device_id, comment, dhcp_options, created_at
           FROM reservation WHERE $1::bigint IS NULL OR subnet_id = $1 ORDER BY reservation.address"#,
        subnet
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Reservation {
                id: r.id,
                subnet: r.subnet_id,
                mac: r.mac.parse().map_err(|_| DbError::Corrupt { what: "MAC address" })?,
                address: r.address.parse().map_err(|_| DbError::Corrupt { what: "address" })?,
                hostname: r.hostname,
                device: r.device_id,
                comment: r.comment,
                dhcp_options: serde_json::from_value(r.dhcp_options)
                    .map_err(|_| DbError::Corrupt { what: "DHCP option" })?,
                created_at: r.created_at.into(),
            })
        })
        .collect()
}

/// Makes a reservation; its number.
pub async fn insert(
    conn: &mut PgConnection,
    subnet: i64,
    device: Option<i64>,
    new: &NewReservation,
) -> Result<i64, DbError> {
    let options = serde_json::to_value(&new.dhcp_options);
    Ok(sqlx::query_scalar!(
        "INSERT INTO reservation (subnet_id, mac, address, hostname, device_id, comment, dhcp_options)
         VALUES ($1, $2, $3::text::inet, $4, $5, $6, $7) RETURNING id",
        subnet,
        new.mac.to_string(),
        new.address.to_string(),
        new.hostname.as_ref().map(|h| h.as_str()),
        device,
        new.comment,
        options.map_err(|_| DbError::Corrupt { what: "DHCP option" })?
    )
    .fetch_one(conn)
    .await?)
}

/// Removes a reservation.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM reservation WHERE id = $1", id).execute(conn).await?.rows_affected() == 1)
}
