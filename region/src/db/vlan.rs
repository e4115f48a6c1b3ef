//! VLANs.

use super::DbError;
use crate::model::network::{DhcpMode, NewVlan, Vlan};
use sqlx::PgConnection;

/// All VLANs, by fabric and number; one when `id` is given.
pub async fn list(conn: &mut PgConnection, id: Option<i64>) -> Result<Vec<Vlan>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, fabric_id, vid, name, mtu, dhcp, dhcp_mode, relay_vlan_id, space_id, dhcp_options,
                  ARRAY(SELECT DISTINCT host(d.server) FROM dhcp_server d JOIN subnet s ON s.id = d.subnet_id
                         WHERE s.vlan_id = vlan.id AND d.last_seen_at > now() - interval '1 day' ORDER BY 1) AS "foreign_dhcp!"
           FROM vlan WHERE $1::bigint IS NULL OR id = $1 ORDER BY fabric_id, vid"#,
        id
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Vlan {
                id: r.id,
                fabric: r.fabric_id,
                vid: r.vid,
                name: r.name,
                mtu: r.mtu,
                dhcp: r.dhcp,
                dhcp_mode: DhcpMode::of(&r.dhcp_mode),
                relay: r.relay_vlan_id,
                space: r.space_id,
                dhcp_options: serde_json::from_value(r.dhcp_options)
                    .map_err(|_| DbError::Corrupt { what: "DHCP option" })?,
                foreign_dhcp: r.foreign_dhcp.iter().filter_map(|a| a.parse().ok()).collect(),
            })
        })
        .collect()
}

/// One VLAN.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<Vlan, DbError> {
    list(conn, Some(id)).await?.pop().ok_or(DbError::NotFound)
}

/// Makes a VLAN; its number.
pub async fn insert(conn: &mut PgConnection, new: &NewVlan) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO vlan (fabric_id, vid, name, mtu, dhcp, dhcp_mode, relay_vlan_id, space_id, dhcp_options)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
        new.fabric,
        new.vid,
        new.name,
        new.mtu,
        new.dhcp,
        new.dhcp_mode.as_str(),
        new.relay,
        new.space,
        options(new)?
    )
    .fetch_one(conn)
    .await?)
}

/// Changes a VLAN.
pub async fn update(conn: &mut PgConnection, id: i64, new: &NewVlan) -> Result<(), DbError> {
    sqlx::query_scalar!(
        "UPDATE vlan SET fabric_id = $2, vid = $3, name = $4, mtu = $5, dhcp = $6, dhcp_mode = $7, relay_vlan_id = $8,
                space_id = $9, dhcp_options = $10 WHERE id = $1 RETURNING id",
        id,
        new.fabric,
        new.vid,
        new.name,
        new.mtu,
        new.dhcp,
        new.dhcp_mode.as_str(),
        new.relay,
        new.space,
        options(new)?
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

fn options(new: &NewVlan) -> Result<serde_json::Value, DbError> {
    serde_json::to_value(&new.dhcp_options).map_err(|_| DbError::Corrupt { what: "DHCP option" })
}

/// Removes a VLAN without subnets.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM vlan WHERE id = $1", id).execute(conn).await?.rows_affected() == 1)
}
