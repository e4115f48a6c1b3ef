//! Settings: one row per field that was ever set; the rest have their defaults.

use super::DbError;
use crate::model::setting::Settings;
use sqlx::PgConnection;

/// All settings. A row that this version does not understand (written by the next one) is passed over.
pub async fn load(conn: &mut PgConnection) -> Result<Settings, DbError> {
    let rows = sqlx::query!("SELECT name, value FROM setting").fetch_all(conn).await?;
    let mut settings = Settings::default();
    for row in rows {
        let change = serde_json::Map::from_iter([(row.name, row.value)]);
        match settings.with(&change) {
            Ok(changed) => settings = changed,
            Err(error) => tracing::warn!(setting = error.name, "a stored setting is passed over: {error}"),
        }
    }
    Ok(settings)
}

/// Writes one setting.
pub async fn put(conn: &mut PgConnection, name: &str, value: &serde_json::Value) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO setting (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = $2, updated_at = now()",
        name,
        value
    )
    .execute(conn)
    .await?;
    Ok(())
}
