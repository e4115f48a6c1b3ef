//! VLANs.

use super::DbError;
use crate::model::network::{NewVlan, Vlan};
use sqlx::PgConnection;

/// All VLANs, by fabric and number.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Vlan>, DbError> {
    Ok(sqlx::query_as!(
        Vlan,
        "SELECT id, fabric_id AS fabric, vid, name, mtu, dhcp FROM vlan ORDER BY fabric_id, vid"
    )
    .fetch_all(conn)
    .await?)
}

/// Makes a VLAN.
pub async fn insert(conn: &mut PgConnection, new: &NewVlan) -> Result<Vlan, DbError> {
    Ok(sqlx::query_as!(
        Vlan,
        "INSERT INTO vlan (fabric_id, vid, name, mtu, dhcp) VALUES ($1, $2, $3, $4, $5)
         RETURNING id, fabric_id AS fabric, vid, name, mtu, dhcp",
        new.fabric,
        new.vid,
        new.name,
        new.mtu,
        new.dhcp
    )
    .fetch_one(conn)
    .await?)
}

/// Changes a VLAN.
pub async fn update(conn: &mut PgConnection, id: i64, new: &NewVlan) -> Result<Vlan, DbError> {
    Ok(sqlx::query_as!(
        Vlan,
        "UPDATE vlan SET fabric_id = $2, vid = $3, name = $4, mtu = $5, dhcp = $6 WHERE id = $1
         RETURNING id, fabric_id AS fabric, vid, name, mtu, dhcp",
        id,
        new.fabric,
        new.vid,
        new.name,
        new.mtu,
        new.dhcp
    )
    .fetch_one(conn)
    .await?)
}

/// Removes a VLAN without subnets.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM vlan WHERE id = $1", id).execute(conn).await?.rows_affected() == 1)
}
