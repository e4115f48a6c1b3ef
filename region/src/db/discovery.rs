//! Who racks have heard.

use super::DbError;
use crate::model::discovery::{Discovery, Known};
use crate::network::vendor;
use rackwright_common::Mac;
use rackwright_common::discovery::Sighting;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// Takes note of what a rack has heard. On an interface with 4096 entries, those go that were silent for an hour; when
/// there are none, the new one is not taken.
pub async fn put(
    conn: &mut PgConnection,
    rack: i64,
    seen: &Sighting,
    at: OffsetDateTime,
) -> Result<(), DbError> {
    let address = seen.address.map(|a| a.to_string());
    let lldp = seen.lldp.as_ref().and_then(|l| serde_json::to_value(l).ok());
    let known = sqlx::query!(
        "UPDATE discovery SET hostname = coalesce($5, hostname), lldp = coalesce($6, lldp), last_seen_at = greatest(last_seen_at, least(now(), $7))
         WHERE rack_id = $1 AND interface = $2 AND mac = $3 AND address IS NOT DISTINCT FROM $4::text::inet",
        rack,
        seen.interface,
        seen.mac.to_string(),
        address,
        seen.hostname,
        lldp,
        at,
    )
    .execute(&mut *conn)
    .await?;
    if known.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query!(
        "WITH there AS (SELECT count(*) AS rows FROM discovery WHERE rack_id = $1 AND interface = $2),
              gone AS (DELETE FROM discovery WHERE id IN (
                  SELECT id FROM discovery WHERE rack_id = $1 AND interface = $2 AND last_seen_at < now() - interval '1 hour'
                  AND (SELECT rows FROM there) >= 4096 ORDER BY last_seen_at LIMIT 256) RETURNING id)
         INSERT INTO discovery (rack_id, interface, mac, address, hostname, lldp, first_seen_at, last_seen_at)
         SELECT $1, $2, $3, $4::text::inet, $5, $6, least(now(), $7), least(now(), $7)
         WHERE (SELECT rows FROM there) - (SELECT count(*) FROM gone) < 4096",
        rack,
        seen.interface,
        seen.mac.to_string(),
        address,
        seen.hostname,
        lldp,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What is asked for.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    /// One.
    pub id: Option<i64>,
    /// Those too that are known or ignored.
    pub all: bool,
    /// Of this subnet.
    pub subnet: Option<i64>,
    /// Older than this one.
    pub before: Option<i64>,
    /// Not of known machines outside of these pools.
    pub pools: Option<&'a [String]>,
}

/// Discoveries, newest first, and how many there are beside `before` and `limit`.
pub async fn list(
    conn: &mut PgConnection,
    filter: &Filter<'_>,
    limit: i64,
) -> Result<(Vec<Discovery>, i64), DbError> {
    let rows = sqlx::query!(
        r#"WITH controller AS (
               SELECT DISTINCT d.mac FROM discovery d
               JOIN rack r ON TRUE CROSS JOIN LATERAL jsonb_array_elements(r.addresses) a
               WHERE d.address = host((a->>'network')::inet)::inet),
           named AS (
               SELECT d.*, r.name AS rack, i.machine_id, m.hostname AS machine_name, m.pool AS machine_pool, s.id AS subnet_id,
                      CASE WHEN i.id IS NOT NULL THEN 'machine' WHEN v.device_id IS NOT NULL THEN 'device' WHEN v.id IS NOT NULL THEN 'reservation'
                           WHEN c.mac IS NOT NULL THEN 'controller' WHEN g.mac IS NOT NULL THEN 'ignored' ELSE 'unknown' END AS known
               FROM discovery d JOIN rack r ON r.id = d.rack_id
               LEFT JOIN interface i ON i.mac = d.mac LEFT JOIN machine m ON m.id = i.machine_id
               LEFT JOIN reservation v ON v.mac = d.mac LEFT JOIN controller c ON c.mac = d.mac
               LEFT JOIN discovery_ignored g ON g.mac = d.mac LEFT JOIN subnet s ON s.cidr >>= d.address),
           wanted AS (
               SELECT * FROM named WHERE ($1 OR known = 'unknown') AND ($2::bigint IS NULL OR subnet_id = $2)
               AND ($3::bigint IS NULL OR id = $3) AND ($6::text[] IS NULL OR machine_id IS NULL OR machine_pool = ANY($6)))
           SELECT id AS "id!", mac AS "mac!", host(address) AS address, hostname, lldp, rack AS "rack!", interface AS "interface!",
                  subnet_id AS "subnet?", machine_id AS "machine?", machine_name AS "machine_name?", known AS "known!",
                  first_seen_at AS "first_seen_at!", last_seen_at AS "last_seen_at!", (SELECT count(*) FROM wanted) AS "total!"
           FROM wanted WHERE $4::bigint IS NULL OR id < $4 ORDER BY id DESC LIMIT $5"#,
        filter.all || filter.id.is_some(),
        filter.subnet,
        filter.id,
        filter.before,
        limit,
        filter.pools,
    )
    .fetch_all(conn)
    .await?;
    let total = rows.first().map_or(0, |r| r.total);
    let read = |r: &str| match r {
        "machine" => Known::Machine,
        "device" => Known::Device,
        "reservation" => Known::Reservation,
        "controller" => Known::Controller,
        "ignored" => Known::Ignored,
        _ => Known::Unknown,
    };
    let found: Result<Vec<_>, DbError> = rows
        .into_iter()
        .map(|r| {
            let mac: Mac = r.mac.parse().map_err(|_| DbError::Corrupt { what: "MAC address" })?;
            Ok(Discovery {
                id: r.id,
                mac,
                vendor: vendor::of(mac),
                address: r.address.and_then(|a| a.parse().ok()),
                hostname: r.hostname,
                lldp: r.lldp.and_then(|l| serde_json::from_value(l).ok()),
                rack: r.rack,
                interface: r.interface,
                subnet: r.subnet,
                known: read(&r.known),
                machine: r.machine.and_then(|m| m.parse().ok()),
                machine_name: r.machine_name,
                first_seen_at: r.first_seen_at.into(),
                last_seen_at: r.last_seen_at.into(),
            })
        })
        .collect();
    Ok((found?, total))
}

/// Says whether anybody wants to hear of a MAC.
pub async fn set_ignored(conn: &mut PgConnection, mac: Mac, ignored: bool) -> Result<(), DbError> {
    if ignored {
        sqlx::query!(
            "INSERT INTO discovery_ignored (mac) VALUES ($1) ON CONFLICT DO NOTHING",
            mac.to_string()
        )
        .execute(conn)
        .await?;
    } else {
        sqlx::query!("DELETE FROM discovery_ignored WHERE mac = $1", mac.to_string()).execute(conn).await?;
    }
    Ok(())
}

/// Forgets who was not heard for a month.
pub async fn forget(conn: &mut PgConnection) -> Result<u64, DbError> {
    let gone = sqlx::query!("DELETE FROM discovery WHERE last_seen_at < now() - interval '30 days'");
    Ok(gone.execute(conn).await?.rows_affected())
}

/// Says whether racks may ask every address of a subnet.
pub async fn set_active_scan(conn: &mut PgConnection, subnet: i64, on: bool) -> Result<bool, DbError> {
    let changed = sqlx::query!("UPDATE subnet SET active_scan = $2 WHERE id = $1", subnet, on);
    Ok(changed.execute(conn).await?.rows_affected() == 1)
}

/// The IPv4 networks that may be scanned.
pub async fn scanned(conn: &mut PgConnection) -> Result<Vec<(i64, ipnet::Ipv4Net)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, text(cidr) AS "cidr!" FROM subnet WHERE active_scan AND family(cidr) = 4 ORDER BY id"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().filter_map(|r| Some((r.id, r.cidr.parse().ok()?))).collect())
}
