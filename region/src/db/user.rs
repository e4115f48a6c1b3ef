//! Users.

use super::DbError;
use crate::model::Role;
use crate::model::user::User;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// A user as stored.
#[derive(Clone)]
pub struct UserRow {
    /// What others may see of them.
    pub user: User,
    /// argon2id in PHC notation; none: logs in by token only.
    pub password_hash: Option<String>,
}

struct Row {
    id: i64,
    name: String,
    role: String,
    disabled: bool,
    password_hash: Option<String>,
    machine_limit: Option<i32>,
    restricted: bool,
    subject: Option<String>,
    pools: serde_json::Value,
    created_at: time::OffsetDateTime,
}

/// Roles in pools, as statements give them: an object of names and roles.
pub(super) fn pools(value: serde_json::Value) -> Result<BTreeMap<String, Role>, DbError> {
    serde_json::from_value(value).map_err(|_| DbError::Corrupt { what: "roles in pools" })
}

impl TryFrom<Row> for UserRow {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let role: Role = row.role.parse().map_err(|_| DbError::Corrupt { what: "role" })?;
        let user = User {
            id: row.id,
            name: row.name,
            role,
            disabled: row.disabled,
            has_password: row.password_hash.is_some(),
            pools: pools(row.pools)?,
            restricted: row.restricted,
            machine_limit: row.machine_limit,
            subject: row.subject,
            created_at: row.created_at.into(),
        };
        Ok(Self { user, password_hash: row.password_hash })
    }
}

/// All users, by name.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<User>, DbError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, name, role, disabled, password_hash, machine_limit, restricted, subject, created_at,
                  (SELECT coalesce(jsonb_object_agg(b.pool, b.role), '{}') FROM role_binding b WHERE b.user_id = u.id) AS "pools!"
           FROM "user" u ORDER BY name"#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| UserRow::try_from(row).map(|r| r.user)).collect()
}

/// A user by login name.
pub async fn find(conn: &mut PgConnection, name: &str) -> Result<Option<UserRow>, DbError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, name, role, disabled, password_hash, machine_limit, restricted, subject, created_at,
                  (SELECT coalesce(jsonb_object_agg(b.pool, b.role), '{}') FROM role_binding b WHERE b.user_id = u.id) AS "pools!"
           FROM "user" u WHERE name = $1"#,
        name
    )
    .fetch_optional(conn)
    .await?;
    row.map(UserRow::try_from).transpose()
}

/// A user by number.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<UserRow, DbError> {
    sqlx::query_as!(
        Row,
        r#"SELECT id, name, role, disabled, password_hash, machine_limit, restricted, subject, created_at,
                  (SELECT coalesce(jsonb_object_agg(b.pool, b.role), '{}') FROM role_binding b WHERE b.user_id = u.id) AS "pools!"
           FROM "user" u WHERE id = $1"#,
        id
    )
    .fetch_one(conn)
    .await?
    .try_into()
}

/// Makes a user; its number.
pub async fn insert(
    conn: &mut PgConnection,
    name: &str,
    role: Role,
    password_hash: Option<&str>,
) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO "user" (name, role, password_hash) VALUES ($1, $2, $3) RETURNING id"#,
        name,
        role.as_str(),
        password_hash
    )
    .fetch_one(conn)
    .await?)
}

/// Writes role, disabled, password, limit, sight and subject of a user. Roles in pools are [`set_pools`]'s.
pub async fn update(conn: &mut PgConnection, row: &UserRow) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE "user" SET role = $2, disabled = $3, password_hash = $4, machine_limit = $5, restricted = $6, subject = $7
           WHERE id = $1"#,
        row.user.id,
        row.user.role.as_str(),
        row.user.disabled,
        row.password_hash,
        row.user.machine_limit,
        row.user.restricted,
        row.user.subject
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a user with tokens, keys and sessions; their machines lose their owner.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    let done = sqlx::query!(r#"DELETE FROM "user" WHERE id = $1"#, id).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Administrators that may log in, apart from one. The rows stay locked until the transaction ends, so that two
/// requests cannot remove the last two.
pub async fn count_other_administrators(conn: &mut PgConnection, id: i64) -> Result<usize, DbError> {
    let rows = sqlx::query_scalar!(
        r#"SELECT id FROM "user" WHERE role = 'administrator' AND NOT disabled ORDER BY id FOR UPDATE"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().filter(|other| *other != id).count())
}

/// Whether there is any user; locks the table against a second bootstrap until the transaction ends.
pub async fn lock_and_count(conn: &mut PgConnection) -> Result<i64, DbError> {
    sqlx::query!(r#"LOCK TABLE "user" IN SHARE ROW EXCLUSIVE MODE"#).execute(&mut *conn).await?;
    Ok(sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM "user""#).fetch_one(conn).await?)
}

/// Writes all roles of a user in pools.
pub async fn set_pools(
    conn: &mut PgConnection,
    id: i64,
    roles: &BTreeMap<String, Role>,
) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM role_binding WHERE user_id = $1", id).execute(&mut *conn).await?;
    let (names, words): (Vec<String>, Vec<String>) =
        roles.iter().map(|(pool, role)| (pool.clone(), role.as_str().to_owned())).unzip();
    sqlx::query!(
        "INSERT INTO role_binding (user_id, pool, role) SELECT $1, b.pool, b.role FROM unnest($2::text[], $3::text[]) AS b (pool, role)",
        id,
        &names,
        &words
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many machines may be a user's at once, and how many are. The row stays locked until the transaction ends.
pub async fn machines(conn: &mut PgConnection, id: i64) -> Result<(Option<i32>, i64), DbError> {
    let limit = sqlx::query_scalar!(r#"SELECT machine_limit FROM "user" WHERE id = $1 FOR UPDATE"#, id)
        .fetch_one(&mut *conn)
        .await?;
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM machine WHERE owner_id = $1"#, id);
    Ok((limit, count.fetch_one(conn).await?))
}
