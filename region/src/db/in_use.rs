//! What is in the way: the things that use one which somebody wants to remove, or an address that somebody wants, in words
//! for people.

use super::DbError;
use sqlx::PgConnection;
use std::net::IpAddr;

/// Who has a fixed address: `machine NAME`, `device NAME`, `the reservation of MAC`, the gateway of its subnet.
pub async fn holder_of(conn: &mut PgConnection, address: IpAddr) -> Result<Option<String>, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT who AS "who!" FROM (
               SELECT 'machine ' || m.hostname AS who FROM interface i JOIN machine m ON m.id = i.machine_id
                WHERE i.address = $1::text::inet
               UNION ALL SELECT 'machine ' || m.hostname FROM interface_address a
                JOIN interface i ON i.id = a.interface_id JOIN machine m ON m.id = i.machine_id WHERE a.address = $1::text::inet
               UNION ALL SELECT 'machine ' || m.hostname FROM interface_address a
                JOIN virtual_interface v ON v.id = a.virtual_id JOIN machine m ON m.id = v.machine_id WHERE a.address = $1::text::inet
               UNION ALL SELECT 'device ' || d.hostname FROM reservation r JOIN device d ON d.id = r.device_id
                WHERE r.address = $1::text::inet
               UNION ALL SELECT 'the reservation of ' || r.mac FROM reservation r
                WHERE r.device_id IS NULL AND r.address = $1::text::inet
               UNION ALL SELECT 'the gateway of ' || text(cidr) FROM subnet WHERE gateway = $1::text::inet) holders LIMIT 1"#,
        address.to_string()
    )
    .fetch_optional(conn)
    .await?)
}

/// Fixed addresses between two, with who has them; the first few.
pub async fn fixed_between(
    conn: &mut PgConnection,
    subnet: i64,
    first: IpAddr,
    last: IpAddr,
) -> Result<Vec<IpAddr>, DbError> {
    let found = sqlx::query_scalar!(
        r#"SELECT host(address) AS "address!" FROM (
               SELECT address FROM interface WHERE subnet_id = $1 AND address IS NOT NULL
               UNION SELECT address FROM interface_address WHERE subnet_id = $1 AND address IS NOT NULL
               UNION SELECT address FROM reservation WHERE subnet_id = $1) fixed
           WHERE fixed.address BETWEEN $2::text::inet AND $3::text::inet ORDER BY fixed.address LIMIT 3"#,
        subnet,
        first.to_string(),
        last.to_string()
    )
    .fetch_all(conn)
    .await?;
    Ok(found.iter().filter_map(|a| a.parse().ok()).collect())
}

/// What uses a subnet; the first few.
pub async fn of_subnet(conn: &mut PgConnection, subnet: i64) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT DISTINCT what AS "what!" FROM (
               SELECT 'machine ' || m.hostname AS what FROM interface i JOIN machine m ON m.id = i.machine_id WHERE i.subnet_id = $1
               UNION SELECT 'machine ' || m.hostname FROM interface_address a
                JOIN interface i ON i.id = a.interface_id JOIN machine m ON m.id = i.machine_id WHERE a.subnet_id = $1
               UNION SELECT 'machine ' || m.hostname FROM interface_address a
                JOIN virtual_interface v ON v.id = a.virtual_id JOIN machine m ON m.id = v.machine_id WHERE a.subnet_id = $1
               UNION SELECT 'device ' || d.hostname FROM reservation r JOIN device d ON d.id = r.device_id WHERE r.subnet_id = $1
               UNION SELECT 'the lease of ' || host(l.address) || ' to ' || l.mac FROM lease l JOIN subnet s ON l.address << s.cidr
                WHERE s.id = $1 AND l.expires_at > now()
                  AND EXISTS (SELECT 1 FROM ip_range r WHERE r.subnet_id = s.id AND r.kind = 'dynamic' AND l.address BETWEEN r.first AND r.last)
               ) uses ORDER BY 1 LIMIT 4"#,
        subnet
    )
    .fetch_all(conn)
    .await?)
}

/// What uses a VLAN; the first few.
pub async fn of_vlan(conn: &mut PgConnection, vlan: i64) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT what AS "what!" FROM (
               SELECT 'subnet ' || text(cidr) AS what FROM subnet WHERE vlan_id = $1
               UNION SELECT 'VLAN ' || name || ', which relays to it' FROM vlan WHERE relay_vlan_id = $1
               UNION SELECT 'interface ' || v.name || ' of machine ' || m.hostname FROM virtual_interface v
                JOIN machine m ON m.id = v.machine_id WHERE v.vlan_id = $1) uses ORDER BY 1 LIMIT 4"#,
        vlan
    )
    .fetch_all(conn)
    .await?)
}

/// The VLANs of a fabric; the first few.
pub async fn of_fabric(conn: &mut PgConnection, fabric: i64) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT 'VLAN ' || vid || ' (' || name || ')' AS "what!" FROM vlan WHERE fabric_id = $1 ORDER BY vid LIMIT 4"#,
        fabric
    )
    .fetch_all(conn)
    .await?)
}
