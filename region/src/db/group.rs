//! Resource pools and zones: two tables of one shape. A checked statement names its table, so each stands twice.

use super::DbError;
use crate::model::network::{Group, GroupKind};
use sqlx::PgConnection;

/// All of a kind, by name, with the number of their machines; with `pools` of those in them only.
pub async fn list(
    conn: &mut PgConnection,
    kind: GroupKind,
    pools: Option<&[String]>,
) -> Result<Vec<Group>, DbError> {
    let groups = match kind {
        GroupKind::Pool => sqlx::query_as!(
            Group,
            r#"SELECT g.name, g.description, (SELECT count(*) FROM machine m WHERE m.pool = g.name AND ($1::text[] IS NULL OR m.pool = ANY($1))) AS "machines!"
               FROM pool g ORDER BY g.name"#,
            pools
        )
        .fetch_all(conn)
        .await,
        GroupKind::Zone => sqlx::query_as!(
            Group,
            r#"SELECT g.name, g.description, (SELECT count(*) FROM machine m WHERE m.zone = g.name AND ($1::text[] IS NULL OR m.pool = ANY($1))) AS "machines!"
               FROM zone g ORDER BY g.name"#,
            pools
        )
        .fetch_all(conn)
        .await,
    };
    Ok(groups?)
}

/// Makes one, or changes its description.
pub async fn put(conn: &mut PgConnection, kind: GroupKind, group: &Group) -> Result<(), DbError> {
    let (name, about) = (&group.name, &group.description);
    let statement = match kind {
        GroupKind::Pool => sqlx::query!(
            "INSERT INTO pool (name, description) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET description = $2",
            name,
            about
        ),
        GroupKind::Zone => sqlx::query!(
            "INSERT INTO zone (name, description) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET description = $2",
            name,
            about
        ),
    };
    statement.execute(conn).await?;
    Ok(())
}

/// Removes one; refused by the database while machines are in it.
pub async fn delete(conn: &mut PgConnection, kind: GroupKind, name: &str) -> Result<bool, DbError> {
    let statement = match kind {
        GroupKind::Pool => sqlx::query!("DELETE FROM pool WHERE name = $1", name),
        GroupKind::Zone => sqlx::query!("DELETE FROM zone WHERE name = $1", name),
    };
    Ok(statement.execute(conn).await?.rows_affected() == 1)
}

/// Every tag that a machine has, by name, with the number of its machines; with `pools` of those in them only.
pub async fn tags(conn: &mut PgConnection, pools: Option<&[String]>) -> Result<Vec<Group>, DbError> {
    Ok(sqlx::query_as!(
        Group,
        r#"SELECT tag AS "name!", '' AS "description!", count(*) AS "machines!"
           FROM machine, unnest(tags) AS tag WHERE $1::text[] IS NULL OR pool = ANY($1) GROUP BY tag ORDER BY tag COLLATE "C""#,
        pools
    )
    .fetch_all(conn)
    .await?)
}

/// Takes a tag away from all machines; how many had it.
pub async fn delete_tag(conn: &mut PgConnection, name: &str) -> Result<u64, DbError> {
    let done = sqlx::query!(
        "UPDATE machine SET tags = array_remove(tags, $1), version = version + 1, updated_at = now() WHERE tags @> ARRAY[$1]",
        name
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
