//! Static routes.

use super::DbError;
use crate::model::static_route::{NewStaticRoute, StaticRoute};
use sqlx::PgConnection;

/// Routes, by subnet, destination and metric; of one subnet when given.
pub async fn list(conn: &mut PgConnection, subnet: Option<i64>) -> Result<Vec<StaticRoute>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, subnet_id, text(destination) AS "destination!", host(gateway) AS "gateway!", metric FROM static_route
           WHERE $1::bigint IS NULL OR subnet_id = $1 ORDER BY subnet_id, static_route.destination, metric, id"#,
        subnet
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(StaticRoute {
                id: r.id,
                subnet: r.subnet_id,
                destination: r.destination.parse().map_err(|_| DbError::Corrupt { what: "route" })?,
                gateway: r.gateway.parse().map_err(|_| DbError::Corrupt { what: "route" })?,
                metric: r.metric,
            })
        })
        .collect()
}

/// Makes a route; its number.
pub async fn insert(conn: &mut PgConnection, new: &NewStaticRoute) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO static_route (subnet_id, destination, gateway, metric) VALUES ($1, $2::text::cidr, $3::text::inet, $4)
         RETURNING id",
        new.subnet,
        new.destination.to_string(),
        new.gateway.to_string(),
        new.metric
    )
    .fetch_one(conn)
    .await?)
}

/// Removes a route.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM static_route WHERE id = $1", id).execute(conn).await?.rows_affected() == 1)
}
