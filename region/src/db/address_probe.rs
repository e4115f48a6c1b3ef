//! Addresses that a deployment wants, asked about on the wire by racks; and what answered.

use super::DbError;
use rackwright_common::{Mac, OperationId};
use sqlx::PgConnection;
use std::net::Ipv4Addr;

/// Seconds until another rack is asked.
const CLAIM_SECONDS: f64 = 6.0;

/// How far it is with one address.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// The address.
    pub address: Ipv4Addr,
    /// Its subnet.
    pub subnet: i64,
    /// A rack has asked.
    pub done: bool,
    /// Who answered.
    pub answered_by: Option<Mac>,
    /// Seconds since it was wished.
    pub age: f64,
}

/// Wishes that an address be asked about.
pub async fn ask(
    conn: &mut PgConnection,
    operation: OperationId,
    subnet: i64,
    address: Ipv4Addr,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO address_probe (operation_id, subnet_id, address) VALUES ($1, $2, $3::text::inet) ON CONFLICT DO NOTHING",
        operation.0,
        subnet,
        address.to_string()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// All of an operation.
pub async fn list(conn: &mut PgConnection, operation: OperationId) -> Result<Vec<Probe>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT host(address) AS "address!", subnet_id, done_at IS NOT NULL AS "done!", answered_by,
                  extract(epoch FROM now() - asked_at)::float8 AS "age!"
           FROM address_probe WHERE operation_id = $1 ORDER BY address_probe.address"#,
        operation.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|r| {
            Some(Probe {
                address: r.address.parse().ok()?,
                subnet: r.subnet_id,
                done: r.done,
                answered_by: r.answered_by.and_then(|m| m.parse().ok()),
                age: r.age,
            })
        })
        .collect())
}

/// Takes open ones of networks in which the rack has an address, for it to ask.
pub async fn claim(conn: &mut PgConnection, rack: i64) -> Result<Vec<(OperationId, Vec<Ipv4Addr>)>, DbError> {
    let rows = sqlx::query!(
        r#"UPDATE address_probe p SET rack_id = $1, claimed_until = now() + make_interval(secs => $2)
           WHERE (p.operation_id, p.address) IN (
               SELECT q.operation_id, q.address FROM address_probe q JOIN subnet s ON s.id = q.subnet_id
               WHERE q.done_at IS NULL AND q.asked_at > now() - interval '1 minute'
                 AND (q.claimed_until IS NULL OR q.claimed_until < now())
                 AND EXISTS (SELECT 1 FROM rack r, jsonb_array_elements(r.addresses) a
                             WHERE r.id = $1 AND host((a->>'network')::inet)::inet << s.cidr)
               LIMIT 64 FOR UPDATE OF q SKIP LOCKED)
           RETURNING p.operation_id, host(p.address) AS "address!""#,
        rack,
        CLAIM_SECONDS
    )
    .fetch_all(conn)
    .await?;
    let mut claimed: Vec<(OperationId, Vec<Ipv4Addr>)> = Vec::new();
    for r in rows {
        let Ok(address) = r.address.parse() else { continue };
        let operation = OperationId(r.operation_id);
        match claimed.iter_mut().find(|(id, _)| *id == operation) {
            Some((_, addresses)) => addresses.push(address),
            None => claimed.push((operation, vec![address])),
        }
    }
    Ok(claimed)
}

/// Stores what the wire said.
pub async fn answered(
    conn: &mut PgConnection,
    operation: OperationId,
    address: Ipv4Addr,
    by: Option<Mac>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE address_probe SET done_at = now(), answered_by = $3 WHERE operation_id = $1 AND address = $2::text::inet
            AND done_at IS NULL",
        operation.0,
        address.to_string(),
        by.map(|m| m.to_string())
    )
    .execute(&mut *conn)
    .await?;
    if let Some(mac) = by {
        sqlx::query!(
            "INSERT INTO address_seen (address, mac) VALUES ($1::text::inet, $2)
             ON CONFLICT (address) DO UPDATE SET mac = $2, seen_at = now()",
            address.to_string(),
            mac.to_string()
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}
