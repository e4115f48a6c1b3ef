//! Zones as they are published, with what has changed in them lately.

use super::DbError;
use crate::model::domain::{NameQuery, PublishedName, Zone};
use rackwright_common::names::{RecordView, ZoneView};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Number of the lock under which zones are published.
const LOCK: i64 = 0x0052_574e;
/// Differences are kept for so long; serials follow the seconds.
const KEPT_SECONDS: i64 = 7 * 24 * 3600;
/// Names that one answer holds at most.
const NAMES: i64 = 500;

/// How a zone stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Name.
    pub origin: String,
    /// Serial.
    pub serial: i64,
    /// Hash of what it holds.
    pub content_hash: String,
    /// No longer served.
    pub gone: bool,
}

/// What is to become of a zone.
#[derive(Debug)]
pub struct Change<'a> {
    /// Its name.
    pub origin: &'a str,
    /// A serial that nobody has seen.
    pub serial: i64,
    /// How long it holds that something is not there, seconds.
    pub minimum: i32,
    /// Hash of what it holds.
    pub content_hash: &'a str,
    /// No longer in it.
    pub removed: Vec<&'a RecordView>,
    /// New in it.
    pub added: Vec<&'a RecordView>,
}

/// Lets one region after the other publish, until the end of the transaction.
pub async fn lock(conn: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK).execute(conn).await?;
    Ok(())
}

/// Keeps what is published as it is, until the end of the transaction.
pub async fn lock_shared(conn: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!("SELECT pg_advisory_xact_lock_shared($1)", LOCK).execute(conn).await?;
    Ok(())
}

/// What was removed and what was added between two serials of a zone, of which the later one is the present one; `None` when
/// that is not known (any more).
pub async fn changes(
    conn: &mut PgConnection,
    origin: &str,
    since: u32,
    until: u32,
) -> Result<Option<(Vec<RecordView>, Vec<RecordView>)>, DbError> {
    let (since, until) = (i64::from(since), i64::from(until));
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM dns_zone WHERE origin = $1 AND NOT gone AND serial = $3 AND oldest <= $2 AND $2 <= $3) AS "is!""#,
        origin,
        since,
        until
    )
    .fetch_one(&mut *conn)
    .await?;
    if !known {
        return Ok(None);
    }
    let rows = sqlx::query!(
        r#"SELECT name, type AS kind, ttl, data, until IS NOT NULL AS "removed!" FROM dns_published
           WHERE zone = $1 AND ((since > $2 AND until IS NULL) OR (since <= $2 AND until > $2))"#,
        origin,
        since
    )
    .fetch_all(conn)
    .await?;
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for r in rows {
        let ttl = u32::try_from(r.ttl).unwrap_or(0);
        let view = RecordView { name: r.name, kind: r.kind, ttl, data: r.data };
        if r.removed { removed.push(view) } else { added.push(view) }
    }
    Ok(Some((removed, added)))
}

/// All zones, those that are gone too.
pub async fn standings(conn: &mut PgConnection) -> Result<Vec<Standing>, DbError> {
    Ok(sqlx::query_as!(Standing, "SELECT origin, serial, content_hash, gone FROM dns_zone ORDER BY origin")
        .fetch_all(conn)
        .await?)
}

/// What a zone holds.
pub async fn records(conn: &mut PgConnection, origin: &str) -> Result<BTreeSet<RecordView>, DbError> {
    let rows = sqlx::query!(
        "SELECT name, type AS kind, ttl, data FROM dns_published WHERE zone = $1 AND until IS NULL",
        origin
    )
    .fetch_all(conn)
    .await?;
    let view = |(name, kind, ttl, data): (_, _, i32, _)| RecordView {
        name,
        kind,
        ttl: u32::try_from(ttl).unwrap_or(0),
        data,
    };
    Ok(rows.into_iter().map(|r| view((r.name, r.kind, r.ttl, r.data))).collect())
}

/// Seconds since 1970 by the one clock of the site that all regions share.
pub async fn now(conn: &mut PgConnection) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(r#"SELECT extract(epoch FROM clock_timestamp())::bigint AS "now!""#)
        .fetch_one(conn)
        .await?)
}

/// Shows the database that a long transaction goes on.
pub async fn stay(conn: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!("SELECT 1 AS one").fetch_one(conn).await?;
    Ok(())
}

/// Publishes a change.
pub async fn write(conn: &mut PgConnection, change: &Change<'_>) -> Result<(), DbError> {
    let serial = change.serial;
    sqlx::query!(
        "INSERT INTO dns_zone (origin, serial, oldest, minimum, content_hash) VALUES ($1, $5, $5, $2, $3)
         ON CONFLICT (origin) DO UPDATE SET serial = $5, minimum = $2, content_hash = $3, gone = FALSE,
             oldest = greatest(dns_zone.oldest, $5 - $4), changed_at = now()",
        change.origin,
        change.minimum,
        change.content_hash,
        KEPT_SECONDS,
        serial,
    )
    .execute(&mut *conn)
    .await?;
    let (names, kinds, ttls, data) = columns(&change.removed);
    sqlx::query!(
        "UPDATE dns_published p SET until = $2
         FROM unnest($3::text[], $4::text[], $5::int[], $6::text[]) AS r (name, type, ttl, data)
         WHERE p.zone = $1 AND p.until IS NULL AND p.name = r.name AND p.type = r.type AND p.ttl = r.ttl AND p.data = r.data",
        change.origin,
        serial,
        &names as &[&str],
        &kinds as &[&str],
        &ttls,
        &data as &[&str],
    )
    .execute(&mut *conn)
    .await?;
    let (names, kinds, ttls, data) = columns(&change.added);
    sqlx::query!(
        "INSERT INTO dns_published (zone, name, type, ttl, data, since)
         SELECT $1, r.name, r.type, r.ttl, r.data, $2
         FROM unnest($3::text[], $4::text[], $5::int[], $6::text[]) AS r (name, type, ttl, data)",
        change.origin,
        serial,
        &names as &[&str],
        &kinds as &[&str],
        &ttls,
        &data as &[&str],
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM dns_published p USING dns_zone z
         WHERE z.origin = $1 AND p.zone = z.origin AND p.until <= z.oldest",
        change.origin
    )
    .execute(conn)
    .await?;
    Ok(())
}

type Columns<'a> = (Vec<&'a str>, Vec<&'a str>, Vec<i32>, Vec<&'a str>);

fn columns<'a>(records: &[&'a RecordView]) -> Columns<'a> {
    let ttl = |r: &&RecordView| i32::try_from(r.ttl).unwrap_or(i32::MAX);
    (
        records.iter().map(|r| r.name.as_str()).collect(),
        records.iter().map(|r| r.kind.as_str()).collect(),
        records.iter().map(ttl).collect(),
        records.iter().map(|r| r.data.as_str()).collect(),
    )
}

/// A zone is no longer served. Nobody can follow its differences when it comes back.
pub async fn retire(conn: &mut PgConnection, origin: &str) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM dns_published WHERE zone = $1", origin).execute(&mut *conn).await?;
    sqlx::query!(
        "UPDATE dns_zone SET gone = TRUE, content_hash = '', oldest = serial + 1 WHERE origin = $1",
        origin
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The zones that are served, whole; only those of these names when given.
pub async fn whole(conn: &mut PgConnection, origins: Option<&[String]>) -> Result<Vec<ZoneView>, DbError> {
    let zones = sqlx::query!(
        "SELECT origin, serial, minimum FROM dns_zone
         WHERE NOT gone AND ($1::text[] IS NULL OR origin = ANY($1)) ORDER BY origin",
        origins
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut whole = Vec::new();
    for zone in zones {
        let records = records(conn, &zone.origin).await?.into_iter().collect();
        whole.push(ZoneView {
            origin: zone.origin,
            // Serials are arithmetic modulo 2^32 (RFC 1982).
            serial: u32::try_from(zone.serial & i64::from(u32::MAX)).unwrap_or(0),
            minimum: u32::try_from(zone.minimum).unwrap_or(60),
            records,
        });
    }
    Ok(whole)
}

/// The zones that are served, for people.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Zone>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT origin, serial, changed_at,
                  (SELECT count(*) FROM dns_published p WHERE p.zone = z.origin AND p.until IS NULL) AS "records!"
           FROM dns_zone z WHERE NOT gone ORDER BY origin"#
    )
    .fetch_all(conn)
    .await?;
    let zone = |(origin, serial, records, at): (_, _, _, time::OffsetDateTime)| Zone {
        origin,
        serial,
        records,
        changed_at: at.into(),
    };
    Ok(rows.into_iter().map(|r| zone((r.origin, r.serial, r.records, r.changed_at))).collect())
}

/// Published names, for people; the first few hundred.
pub async fn names(conn: &mut PgConnection, query: &NameQuery) -> Result<Vec<PublishedName>, DbError> {
    Ok(sqlx::query_as!(
        PublishedName,
        "SELECT name, type AS kind, ttl, data FROM dns_published
         WHERE until IS NULL AND type NOT IN ('RRSIG', 'NSEC', 'DNSKEY') AND ($1::text IS NULL OR zone = $1) AND ($2::text IS NULL OR strpos(name || ' ' || data, lower($2)) > 0)
         ORDER BY zone, name, type, data LIMIT $3",
        query.zone,
        query.q,
        NAMES
    )
    .fetch_all(conn)
    .await?)
}

/// The address that a name has without anybody having entered it.
pub async fn derived(conn: &mut PgConnection, name: &str) -> Result<Option<String>, DbError> {
    Ok(sqlx::query_scalar!(
        "SELECT data FROM dns_published p WHERE p.until IS NULL AND p.name = $1 AND p.type IN ('A', 'AAAA')
            AND NOT EXISTS (SELECT 1 FROM dns_record r WHERE r.name = p.name AND r.type = p.type AND r.data = p.data) LIMIT 1",
        name
    )
    .fetch_optional(conn)
    .await?)
}
