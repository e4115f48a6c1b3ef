//! The provider at which people log in besides here, and the users that are known there.

use super::DbError;
use crate::model::login_provider::LoginProvider;
use sqlx::PgConnection;

/// The provider, and its sealed secret.
pub async fn find(conn: &mut PgConnection) -> Result<Option<(LoginProvider, Option<Vec<u8>>)>, DbError> {
    let row = sqlx::query!(
        "SELECT issuer, client_id, client_secret, base_url, label, scopes, groups_claim, roles, default_role, create_users, ca
         FROM login_provider"
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        let role = r.default_role.map(|role| role.parse().map_err(|_| DbError::Corrupt { what: "role" }));
        let provider = LoginProvider {
            issuer: r.issuer,
            client_id: r.client_id,
            client_secret: None,
            has_secret: r.client_secret.is_some(),
            base_url: r.base_url,
            label: r.label,
            scopes: r.scopes,
            groups_claim: r.groups_claim,
            roles: serde_json::from_value(r.roles).map_err(|_| DbError::Corrupt { what: "roles" })?,
            default_role: role.transpose()?,
            create_users: r.create_users,
            ca: r.ca,
        };
        Ok((provider, r.client_secret))
    })
    .transpose()
}

/// What the log-in page's button says, if there is one.
pub async fn label(conn: &mut PgConnection) -> Result<Option<String>, DbError> {
    Ok(sqlx::query_scalar!("SELECT label FROM login_provider").fetch_optional(conn).await?)
}

/// Writes the provider with its sealed secret.
pub async fn put(conn: &mut PgConnection, p: &LoginProvider, secret: Option<&[u8]>) -> Result<(), DbError> {
    let roles = serde_json::to_value(&p.roles).map_err(|_| DbError::Corrupt { what: "roles" })?;
    sqlx::query!(
        "INSERT INTO login_provider
             (issuer, client_id, client_secret, base_url, label, scopes, groups_claim, roles, default_role, create_users, ca)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (only_row) DO UPDATE SET issuer = $1, client_id = $2, client_secret = $3, base_url = $4, label = $5,
             scopes = $6, groups_claim = $7, roles = $8, default_role = $9, create_users = $10, ca = $11",
        p.issuer,
        p.client_id,
        secret,
        p.base_url,
        p.label,
        &p.scopes,
        p.groups_claim,
        roles,
        p.default_role.map(|role| role.as_str()),
        p.create_users,
        p.ca
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets the provider; false when there is none.
pub async fn delete(conn: &mut PgConnection) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM login_provider").execute(conn).await?.rows_affected() == 1)
}

/// The number of the user that is known by this at the provider.
pub async fn find_user(conn: &mut PgConnection, subject: &str) -> Result<Option<i64>, DbError> {
    let id = sqlx::query_scalar!(r#"SELECT id FROM "user" WHERE subject = $1"#, subject);
    Ok(id.fetch_optional(conn).await?)
}
