//! Tries to log in, counted for all regions together. A try is written before the password is looked at, so that many at
//! once count as many; one that gets in takes its name's tries back.

use super::DbError;
use sqlx::PgConnection;
use std::net::IpAddr;

/// How long a try counts, seconds.
pub const WINDOW_SECONDS: i32 = 60;

/// What is counted: a name from an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// SHA-256 of the name.
    pub name: Vec<u8>,
    /// Whence; an IPv6 network stands for all of its addresses.
    pub address: Option<IpAddr>,
}

/// Takes note of a try, unless there were `per_name` of the name from the address, or `per_address` from the address, within
/// [`WINDOW_SECONDS`]: then after how many seconds there may be another.
pub async fn take(
    conn: &mut PgConnection,
    attempt: &Try,
    (per_name, per_address): (i32, i32),
) -> Result<Option<i64>, DbError> {
    let address = attempt.address.map(|address| address.to_string());
    // Tries from one address one after the other: of a hundred at once no more are let through than of a hundred in a row.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('login ' || coalesce($1::text, ''), 0)) IS NULL AS locked",
        address
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM login_try WHERE id IN (SELECT id FROM login_try
            WHERE at < clock_timestamp() - make_interval(secs => $1) ORDER BY at LIMIT 100 FOR UPDATE SKIP LOCKED)",
        f64::from(WINDOW_SECONDS)
    )
    .execute(&mut *conn)
    .await?;
    let wait = sqlx::query_scalar!(
        r#"SELECT greatest(
               (SELECT at FROM login_try WHERE address IS NOT DISTINCT FROM $1::text::inet AND name = $2
                   AND at >= clock_timestamp() - make_interval(secs => $5) ORDER BY at DESC OFFSET $3 - 1 LIMIT 1),
               (SELECT at FROM login_try WHERE address IS NOT DISTINCT FROM $1::text::inet
                   AND at >= clock_timestamp() - make_interval(secs => $5) ORDER BY at DESC OFFSET $4 - 1 LIMIT 1))
           + make_interval(secs => $5) - clock_timestamp() AS wait"#,
        address,
        attempt.name,
        per_name,
        per_address,
        f64::from(WINDOW_SECONDS)
    )
    .fetch_one(&mut *conn)
    .await?;
    if let Some(wait) = wait {
        return Ok(Some(wait.microseconds / 1_000_000));
    }
    sqlx::query!("INSERT INTO login_try (name, address) VALUES ($1, $2::text::inet)", attempt.name, address)
        .execute(conn)
        .await?;
    Ok(None)
}

/// Forgets a name's tries from an address: they got in.
pub async fn forget(conn: &mut PgConnection, attempt: &Try) -> Result<(), DbError> {
    sqlx::query!(
        "DELETE FROM login_try WHERE name = $1 AND address IS NOT DISTINCT FROM $2::text::inet",
        attempt.name,
        attempt.address.map(|address| address.to_string())
    )
    .execute(conn)
    .await?;
    Ok(())
}
