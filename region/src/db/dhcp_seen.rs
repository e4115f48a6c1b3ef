//! What racks saw of DHCP that is not theirs: foreign servers, and what shadow mode found.

use super::DbError;
use crate::model::dhcp_seen::DhcpShadow;
use rackwright_common::link::ShadowAnswer;
use sqlx::PgConnection;
use std::net::Ipv4Addr;
use time::OffsetDateTime;

/// Notes a foreign server; true when it was not seen within the last day, and is where racks give addresses.
pub async fn server(
    conn: &mut PgConnection,
    subnet: i64,
    server: Ipv4Addr,
    rack: &str,
) -> Result<bool, DbError> {
    let news = sqlx::query_scalar!(
        r#"SELECT NOT EXISTS (SELECT 1 FROM dhcp_server WHERE subnet_id = $1 AND server = $2::text::inet
                               AND last_seen_at > now() - interval '1 day')
                  AND EXISTS (SELECT 1 FROM subnet s JOIN vlan v ON v.id = s.vlan_id
                               WHERE s.id = $1 AND v.dhcp AND v.dhcp_mode = 'serve') AS "news!""#,
        subnet,
        server.to_string()
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO dhcp_server (subnet_id, server, rack) SELECT id, $2::text::inet, $3 FROM subnet WHERE id = $1
         ON CONFLICT (subnet_id, server) DO UPDATE SET last_seen_at = now(), rack = $3",
        subnet,
        server.to_string(),
        rack
    )
    .execute(conn)
    .await?;
    Ok(news)
}

/// Keeps the newest comparison of a client; those of a month ago go.
pub async fn shadow(
    conn: &mut PgConnection,
    rack: &str,
    at: OffsetDateTime,
    seen: &ShadowAnswer,
) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM dhcp_shadow WHERE at < now() - interval '30 days'").execute(&mut *conn).await?;
    sqlx::query!(
        "INSERT INTO dhcp_shadow (subnet_id, mac, rack, ours, boot_file, theirs, server, differs, message, at)
         SELECT id, $2, $3, $4::text::inet, $5, $6::text::inet, $7::text::inet, $8, $9, $10 FROM subnet WHERE id = $1
         ON CONFLICT (subnet_id, mac) DO UPDATE SET rack = $3, ours = $4::text::inet, boot_file = $5, theirs = $6::text::inet,
             server = $7::text::inet, differs = $8, message = $9, at = $10",
        seen.subnet,
        seen.mac.to_string(),
        rack,
        seen.ours.map(|a| a.to_string()),
        seen.boot_file.as_ref().map(|f| f.replace('\0', "")),
        seen.theirs.map(|a| a.to_string()),
        seen.server.map(|a| a.to_string()),
        seen.differs,
        seen.message.replace('\0', ""),
        at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Comparisons, those that differ first; of one subnet, of machines in these pools, when given.
pub async fn shadows(
    conn: &mut PgConnection,
    subnet: Option<i64>,
    pools: Option<&[String]>,
) -> Result<Vec<DhcpShadow>, DbError> {
    let rows = sqlx::query!(
        "SELECT subnet_id, mac, rack, host(ours) AS ours, boot_file, host(theirs) AS theirs, host(server) AS server, differs,
                message, at FROM dhcp_shadow d
         WHERE ($1::bigint IS NULL OR subnet_id = $1)
           AND ($2::text[] IS NULL OR EXISTS (SELECT 1 FROM interface i JOIN machine m ON m.id = i.machine_id
                                               WHERE i.mac = d.mac AND m.pool = ANY($2)))
         ORDER BY differs DESC, at DESC, mac",
        subnet,
        pools
    )
    .fetch_all(conn)
    .await?;
    let address = |text: Option<String>| text.and_then(|t| t.parse().ok());
    rows.into_iter()
        .map(|r| {
            Ok(DhcpShadow {
                subnet: r.subnet_id,
                mac: r.mac.parse().map_err(|_| DbError::Corrupt { what: "MAC address" })?,
                rack: r.rack,
                ours: address(r.ours),
                boot_file: r.boot_file,
                theirs: address(r.theirs),
                server: address(r.server),
                differs: r.differs,
                message: r.message,
                at: r.at.into(),
            })
        })
        .collect()
}
