//! Dynamic and reserved ranges.

use super::lease_state::Changes;
use super::{DbError, lease_block};
use crate::model::network::{IpRange, NewIpRange, RangeKind};
use sqlx::PgConnection;

/// Ranges, by first address; of one subnet when given.
pub async fn list(conn: &mut PgConnection, subnet: Option<i64>) -> Result<Vec<IpRange>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, subnet_id, kind, host(first) AS "first!", host(last) AS "last!", comment
           FROM ip_range WHERE $1::bigint IS NULL OR subnet_id = $1 ORDER BY ip_range.first"#,
        subnet
    )
    .fetch_all(conn)
    .await?;
    let corrupt = |_| DbError::Corrupt { what: "address of a range" };
    rows.into_iter()
        .map(|r| {
            Ok(IpRange {
                id: r.id,
                subnet: r.subnet_id,
                kind: if r.kind == "dynamic" { RangeKind::Dynamic } else { RangeKind::Reserved },
                first: r.first.parse().map_err(corrupt)?,
                last: r.last.parse().map_err(corrupt)?,
                comment: r.comment,
            })
        })
        .collect()
}

/// Makes a range; its number.
pub async fn insert(conn: &mut PgConnection, new: &NewIpRange) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO ip_range (subnet_id, kind, first, last, comment)
         VALUES ($1, $2, $3::text::inet, $4::text::inet, $5) RETURNING id",
        new.subnet,
        new.kind.as_str(),
        new.first.to_string(),
        new.last.to_string(),
        new.comment
    )
    .fetch_one(conn)
    .await?)
}

/// Addresses of this range that are leased.
pub async fn granted(conn: &mut PgConnection, id: i64) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(DISTINCT l.address) AS "n!"
           FROM (SELECT address, expires_at FROM lease UNION SELECT address, expires_at FROM lease_state) l
                JOIN ip_range r ON l.address BETWEEN r.first AND r.last
           WHERE r.id = $1 AND r.kind = 'dynamic' AND l.expires_at > now()"#,
        id
    )
    .fetch_one(conn)
    .await?)
}

/// Removes a range; the racks give back their blocks in it.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    let mut changes = Changes::lock(conn).await?;
    lease_block::recall_range(conn, &mut changes, id).await?;
    changes.save(conn).await?;
    Ok(sqlx::query!("DELETE FROM ip_range WHERE id = $1", id).execute(conn).await?.rows_affected() == 1)
}
