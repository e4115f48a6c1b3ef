//! Regions: who is alive, by the database's clock; who is being drained; what each one's image store lacks.

use super::{DbError, connector};
use rackwright_common::ntp::TimeReport;
use sqlx::PgConnection;
use std::net::IpAddr;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// A region that has said nothing for so long counts as dead, seconds.
pub const DEAD_SECONDS: f64 = 3.0;

/// What a region says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Presence<'a> {
    /// Its name.
    pub name: &'a str,
    /// Software version.
    pub version: &'a str,
    /// Random per process start.
    pub instance: Uuid,
    /// Of its data folder.
    pub identity: Uuid,
    /// `host:port` where racks dial it.
    pub stream: &'a str,
}

/// Takes the name for a process that starts; false while another region of this name lives.
pub async fn take_name(conn: &mut PgConnection, region: &Presence<'_>) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "INSERT INTO region (name, version, instance, identity, stream) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (name) DO UPDATE SET version = $2, instance = $3, identity = $4, stream = $5, racks = '{}',
                started_at = now(), last_seen_at = clock_timestamp()
         WHERE region.identity IS NULL OR region.identity = $4
            OR region.last_seen_at < clock_timestamp() - make_interval(secs => $6)",
        region.name,
        region.version,
        region.instance,
        region.identity,
        region.stream,
        DEAD_SECONDS,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What a region hears when it says that it lives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// It is to take no new work. Never while no other region works.
    pub draining: bool,
    /// Others took it for dead since it was heard last.
    pub was_lost: bool,
}

/// This process lives; `None` when the name is not its own (any more).
pub async fn beat(
    conn: &mut PgConnection,
    region: &Presence<'_>,
    racks: &[String],
) -> Result<Option<Heard>, DbError> {
    let row = sqlx::query!(
        r#"UPDATE region r SET last_seen_at = clock_timestamp(), racks = $3
           WHERE name = $1 AND instance = $2
           RETURNING lost_at IS NOT NULL AS "was_lost!",
                     draining AND EXISTS (SELECT 1 FROM region o WHERE o.name <> $1 AND NOT o.draining
                          AND o.last_seen_at >= clock_timestamp() - make_interval(secs => $4)) AS "draining!""#,
        region.name,
        region.instance,
        racks,
        DEAD_SECONDS,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| Heard { draining: r.draining, was_lost: r.was_lost }))
}

/// It is back: returns for how many seconds it was taken for dead.
pub async fn found(conn: &mut PgConnection, name: &str) -> Result<Option<f64>, DbError> {
    Ok(sqlx::query_scalar!(
        r#"UPDATE region r SET lost_at = NULL FROM (SELECT name, lost_at FROM region WHERE name = $1 FOR UPDATE) old
           WHERE r.name = old.name AND old.lost_at IS NOT NULL
           RETURNING extract(epoch FROM clock_timestamp() - old.lost_at)::float8 AS "seconds!""#,
        name
    )
    .fetch_optional(conn)
    .await?)
}

/// Regions that have fallen silent and of which nobody has told yet, with the seconds since. Each is returned once,
/// to one region.
pub async fn newly_lost(conn: &mut PgConnection, asking: &str) -> Result<Vec<(String, f64)>, DbError> {
    let rows = sqlx::query!(
        r#"UPDATE region SET lost_at = clock_timestamp(), racks = '{}'
           WHERE name <> $1 AND lost_at IS NULL AND last_seen_at < clock_timestamp() - make_interval(secs => $2)
           RETURNING name, extract(epoch FROM clock_timestamp() - last_seen_at)::float8 AS "seconds!""#,
        asking,
        DEAD_SECONDS,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.name, r.seconds)).collect())
}

/// This process stops in order: it counts as gone from now on.
pub async fn leave(conn: &mut PgConnection, region: &Presence<'_>) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE region SET last_seen_at = clock_timestamp() - make_interval(secs => $3), lost_at = clock_timestamp(), racks = '{}'
         WHERE name = $1 AND instance = $2",
        region.name,
        region.instance,
        DEAD_SECONDS,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a row of this name is there at all.
pub async fn exists(conn: &mut PgConnection, name: &str) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM region WHERE name = $1) AS "there!""#, name)
        .fetch_one(conn)
        .await?)
}

/// Names of the regions that live.
pub async fn alive(conn: &mut PgConnection) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar!(
        "SELECT name FROM region WHERE last_seen_at >= clock_timestamp() - make_interval(secs => $1) ORDER BY name",
        DEAD_SECONDS
    )
    .fetch_all(conn)
    .await?)
}

/// Where racks find the regions: `host:port` of those that were heard within a day and are to be worked with.
pub async fn streams(conn: &mut PgConnection) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar!(
        "SELECT stream FROM region WHERE last_seen_at > now() - interval '1 day' AND NOT draining ORDER BY name"
    )
    .fetch_all(conn)
    .await?)
}

/// Name and `host:port` of the other regions that live, also of those that take no new work.
pub async fn siblings(conn: &mut PgConnection, name: &str) -> Result<Vec<(String, String)>, DbError> {
    let rows = sqlx::query!(
        "SELECT name, stream FROM region
         WHERE name <> $1 AND last_seen_at >= clock_timestamp() - make_interval(secs => $2) ORDER BY name",
        name,
        DEAD_SECONDS,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.name, r.stream)).collect())
}

/// Whether another region than this one lives and takes work.
pub async fn others_work(conn: &mut PgConnection, name: &str) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM region WHERE name <> $1 AND NOT draining
               AND last_seen_at >= clock_timestamp() - make_interval(secs => $2)) AS "there!""#,
        name,
        DEAD_SECONDS,
    )
    .fetch_one(conn)
    .await?)
}

/// Says whether a region is to take new work; false when there is none of that name.
pub async fn set_draining(conn: &mut PgConnection, name: &str, draining: bool) -> Result<bool, DbError> {
    let done = sqlx::query!("UPDATE region SET draining = $2 WHERE name = $1", name, draining).execute(conn);
    Ok(done.await?.rows_affected() == 1)
}

/// Forgets a region.
pub async fn delete(conn: &mut PgConnection, name: &str) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM region WHERE name = $1", name).execute(conn).await?;
    Ok(())
}

/// Which files of images a region's store does not have, and what the last failed attempt to fetch one said.
pub async fn set_lacks(
    conn: &mut PgConnection,
    name: &str,
    hashes: &[String],
    because: &str,
) -> Result<(), DbError> {
    sqlx::query!("UPDATE region SET lacks = $2, lacks_because = $3 WHERE name = $1", name, hashes, because)
        .execute(conn)
        .await?;
    Ok(())
}

/// The regions that lack some files, with the files' hashes.
pub async fn lacking(conn: &mut PgConnection) -> Result<Vec<(String, Vec<String>)>, DbError> {
    let rows = sqlx::query!("SELECT name, lacks FROM region WHERE lacks <> '{}' ORDER BY name");
    Ok(rows.fetch_all(conn).await?.into_iter().map(|r| (r.name, r.lacks)).collect())
}

/// What somebody sees who looks at a database from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// It takes changes.
    pub writable: bool,
    /// Names of the regions that it knows; `None` when it holds no Rackwright.
    pub regions: Option<Vec<String>>,
    /// Those of them that live.
    pub alive: Vec<String>,
}

/// Looks at a database, without changing it.
pub async fn look(url: &str) -> Result<Looked, DbError> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let looking = async {
        let mut conn = connector::connect(url).await?;
        // This is not asked of the schema that queries here are checked with.
        let ours: bool =
            sqlx::query_scalar("SELECT to_regclass('region') IS NOT NULL").fetch_one(&mut conn).await?;
        let regions = match ours {
            true => {
                Some(sqlx::query_scalar!("SELECT name FROM region ORDER BY name").fetch_all(&mut conn).await?)
            }
            false => None,
        };
        let alive = if ours { alive(&mut conn).await? } else { Vec::new() };
        let writable = super::controller_query::is_writable(&mut conn).await?;
        Ok(Looked { writable, regions, alive })
    };
    let in_time = tokio::time::timeout(PATIENCE, looking).await;
    in_time.unwrap_or(Err(DbError::Unavailable(sqlx::Error::PoolTimedOut)))
}

/// The database's clock.
pub async fn clock(conn: &mut PgConnection) -> Result<OffsetDateTime, DbError> {
    Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(conn).await?)
}

/// Where a region answers names, and why it does not somewhere.
pub async fn set_names(
    conn: &mut PgConnection,
    name: &str,
    addresses: &[std::net::IpAddr],
    error: Option<&str>,
) -> Result<(), DbError> {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "UPDATE region SET dns_addresses = $2::text[]::inet[], dns_error = $3 WHERE name = $1",
        name,
        &addresses,
        error
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How a region has the time; nothing when it serves none.
pub async fn set_time(conn: &mut PgConnection, name: &str, time: Option<&TimeReport>) -> Result<(), DbError> {
    let time = time.map(serde_json::to_value).transpose();
    let time = time.map_err(|_| DbError::Corrupt { what: "time report" })?;
    sqlx::query!("UPDATE region SET time = $2 WHERE name = $1 AND time IS DISTINCT FROM $2", name, time)
        .execute(conn)
        .await?;
    Ok(())
}

/// Hosts of the regions that serve time and were heard within a day, as racks reach them; without one of them, when given.
pub async fn time_servers(conn: &mut PgConnection, except: Option<&str>) -> Result<Vec<String>, DbError> {
    let streams = sqlx::query_scalar!(
        "SELECT stream FROM region WHERE time IS NOT NULL AND last_seen_at > now() - interval '1 day'
            AND ($1::text IS NULL OR name <> $1) ORDER BY name",
        except
    )
    .fetch_all(conn)
    .await?;
    let is_elsewhere = |host: &&str| match host.parse::<IpAddr>() {
        Ok(address) => !address.is_loopback() && !address.is_unspecified(),
        Err(_) => *host != "localhost",
    };
    let hosts = streams.iter().map(|stream| crate::ntp::host(stream)).filter(is_elsewhere);
    Ok(hosts.map(str::to_owned).collect())
}
