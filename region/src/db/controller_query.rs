//! Regions, racks and leases as people see them.

use super::DbError;
use super::region::DEAD_SECONDS;
use crate::model::controller::{Rack, Region, Takeover};
use crate::model::network::Lease;
use sqlx::PgConnection;

/// All racks, by name. A rack is connected while a region has heard it in the last ten seconds.
pub async fn racks(conn: &mut PgConnection) -> Result<Vec<Rack>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, name, version, addresses, running, generation, error, time, last_seen_at, fenced_at, created_at,
                  coalesce(last_seen_at > now() - interval '10 seconds', FALSE) AS "connected!",
                  (SELECT coalesce(array_agg(g.name ORDER BY g.name), '{}') FROM region g
                   WHERE rack.name = ANY (g.racks) AND g.last_seen_at >= clock_timestamp() - make_interval(secs => $1)) AS "regions!",
                  (SELECT count(*) FROM lease_block b WHERE b.rack_id = rack.id) AS "blocks!",
                  (SELECT coalesce(sum(b.last - b.first + 1), 0)::bigint FROM lease_block b WHERE b.rack_id = rack.id) AS "block_addresses!"
           FROM rack ORDER BY name"#,
        DEAD_SECONDS
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Rack {
            id: r.id,
            name: r.name,
            version: r.version,
            connected: r.connected,
            addresses: serde_json::from_value(r.addresses).unwrap_or_default(),
            running: r.running,
            generation: r.generation,
            error: r.error,
            last_seen_at: r.last_seen_at.map(Into::into),
            regions: r.regions,
            blocks: r.blocks,
            block_addresses: r.block_addresses,
            blocks_free_at: None,
            fenced_at: r.fenced_at.map(Into::into),
            time: r.time.filter(|_| r.connected).and_then(|time| serde_json::from_value(time).ok()),
            created_at: r.created_at.into(),
        })
        .collect())
}

/// All regions, by name. A region lives while it was heard within [`DEAD_SECONDS`], by the database's clock.
pub async fn regions(conn: &mut PgConnection) -> Result<Vec<Region>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT r.name, r.version, r.stream, r.started_at, r.last_seen_at, r.draining, r.racks, r.lacks_because, r.time,
                  r.last_seen_at >= clock_timestamp() - make_interval(secs => $1) AS "connected!",
                  (SELECT coalesce(array_agg(i.name || '@' || i.version || '/' || f.name ORDER BY i.name, i.version, f.name), '{}')
                   FROM image_file f JOIN image i ON i.id = f.image_id WHERE f.sha256 = ANY (r.lacks)) AS "lacks!"
           FROM region r ORDER BY r.name"#,
        DEAD_SECONDS
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Region {
            name: r.name,
            version: r.version,
            connected: r.connected,
            draining: r.draining,
            stream: r.stream,
            racks: if r.connected { r.racks } else { Vec::new() },
            lacks_because: (!r.lacks.is_empty() && !r.lacks_because.is_empty()).then_some(r.lacks_because),
            lacks: r.lacks,
            time: r.time.filter(|_| r.connected).and_then(|time| serde_json::from_value(time).ok()),
            started_at: r.started_at.into(),
            last_seen_at: r.last_seen_at.into(),
        })
        .collect())
}

/// The last takeover of an operation.
pub async fn last_takeover(conn: &mut PgConnection) -> Result<Option<Takeover>, DbError> {
    let row = sqlx::query!(
        r#"SELECT coalesce(operation_id, 0) AS "operation!", at, coalesce(data ->> 'from', '') AS "from!",
                  coalesce(data ->> 'to', '') AS "to!", coalesce((data ->> 'seconds')::float8, 0) AS "seconds!"
           FROM event WHERE kind = 'operation.taken-over' ORDER BY id DESC LIMIT 1"#
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| Takeover {
        operation: r.operation,
        at: r.at.into(),
        from: r.from,
        to: r.to,
        seconds: r.seconds,
    }))
}

/// How many bytes the server's log has; nothing while it follows another.
pub async fn log_position(conn: &mut PgConnection) -> Result<Option<i64>, DbError> {
    Ok(sqlx::query_scalar!(
        "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint END"
    )
    .fetch_one(conn)
    .await?)
}

/// Removes a rack that is not connected, with the leases that it gave and that are over; false when there is none of
/// that name.
pub async fn delete_rack(conn: &mut PgConnection, name: &str) -> Result<bool, DbError> {
    sqlx::query!(
        "DELETE FROM lease l USING rack r WHERE r.name = $1 AND l.rack_id = r.id AND l.expires_at < now()",
        name
    )
    .execute(&mut *conn)
    .await?;
    Ok(sqlx::query!("DELETE FROM rack WHERE name = $1", name).execute(conn).await?.rows_affected() == 1)
}

/// Leases that have not expired, by address; of one subnet, and of machines in some pools, when given.
pub async fn leases(
    conn: &mut PgConnection,
    subnet: Option<i64>,
    pools: Option<&[String]>,
) -> Result<Vec<Lease>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT host(l.address) AS "address!", l.mac AS "mac?", l.duid AS "duid?", l.hostname AS "hostname?",
                  i.machine_id AS "machine?", r.name AS rack, l.expires_at AS "expires_at!"
           FROM (SELECT address, mac, NULL AS duid, hostname, rack_id, expires_at FROM lease
                 UNION ALL SELECT address, mac, duid, NULL, rack_id, expires_at FROM lease6) l JOIN rack r ON r.id = l.rack_id LEFT JOIN interface i ON i.mac = l.mac
           WHERE l.expires_at > now()
             AND ($1::bigint IS NULL OR l.address << (SELECT cidr FROM subnet WHERE id = $1))
             AND ($2::text[] IS NULL OR EXISTS (SELECT 1 FROM machine m WHERE m.id = i.machine_id AND m.pool = ANY($2)))
           ORDER BY l.address"#,
        subnet,
        pools
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Lease {
                address: r.address.parse().map_err(|_| DbError::Corrupt { what: "address" })?,
                mac: r
                    .mac
                    .map(|mac| mac.parse().map_err(|_| DbError::Corrupt { what: "MAC address" }))
                    .transpose()?,
                duid: r.duid,
                hostname: r.hostname,
                machine: r.machine.and_then(|m| m.parse().ok()),
                rack: r.rack,
                expires_at: r.expires_at.into(),
            })
        })
        .collect()
}

/// Whether the database takes writes.
pub async fn is_writable(conn: &mut PgConnection) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar!(
        // A transaction number is only given once it is on disk at the end of this statement.
        r#"SELECT CASE WHEN pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' THEN false
                  ELSE pg_current_xact_id() IS NOT NULL END AS "ok!""#
    )
    .fetch_one(conn)
    .await?)
}
