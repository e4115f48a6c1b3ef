//! The first administrator of a site: made when there is no user at all, told only to whoever can read the data
//! folder.

use super::{password, token};
use crate::db::{self, DbError};
use crate::model::Role;
use rackwright_common::Secret;
use sqlx::PgPool;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The first administrator could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The database.
    #[error("the first administrator could not be stored")]
    Db(#[from] DbError),
    /// The file for token or password.
    #[error("cannot write {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// No randomness.
    #[error("the password could not be hashed")]
    Hash,
}

/// Makes the user `admin` when there is no user; true when it did. Its API token goes to `token_path`, a password to
/// `admin.password` beside it, both readable by the owner only. Files first: a crash in between leaves files that
/// the next start overwrites, never a user that nobody can be.
pub async fn bootstrap(pool: &PgPool, token_path: &Path) -> Result<bool, BootstrapError> {
    let mut tx = pool.begin().await.map_err(DbError::from)?;
    if db::user::lock_and_count(&mut tx).await? > 0 {
        return Ok(false);
    }
    let (secret, word) = (token::new_token(), token::random_password());
    let hash = password::hash(word.clone()).await.ok_or(BootstrapError::Hash)?;
    write(token_path, &secret)?;
    write(&token_path.with_file_name("admin.password"), &word)?;
    let id = db::user::insert(&mut tx, "admin", Role::Administrator, Some(&hash)).await?;
    db::token::insert(&mut tx, id, "first start", &token::hash(secret.expose()), None, None).await?;
    let event = db::event::NewEvent {
        kind: "user.created",
        level: "info",
        machine: None,
        operation: None,
        actor: "rackwright",
        message: "The first administrator, admin, was made",
        data: serde_json::json!({}),
    };
    db::event::append(&mut tx, &event).await?;
    tx.commit().await.map_err(DbError::from)?;
    tracing::info!(token = %token_path.display(), "the first administrator was made; its token is in this file");
    Ok(true)
}

/// Gives whoever restores a site a way in, where the box has lost the file with the token: another token of an administrator that
/// may log in. False where the file is there, or nobody is an administrator. Whoever has the backup has the site anyway.
pub async fn let_in(pool: &PgPool, token_path: &Path, taken: &str) -> Result<bool, BootstrapError> {
    if token_path.exists() {
        return Ok(false);
    }
    let mut tx = pool.begin().await.map_err(DbError::from)?;
    let mut users = db::user::list(&mut tx).await?;
    users.retain(|user| user.role == Role::Administrator && !user.disabled);
    let Some(user) = users.iter().find(|user| user.name == "admin").or(users.first()) else {
        return Ok(false);
    };
    let secret = token::new_token();
    write(token_path, &secret)?;
    let name = format!("restored from {taken}");
    db::token::insert(&mut tx, user.id, &name, &token::hash(secret.expose()), None, None).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok(true)
}

/// Writes a secret whole or not at all, readable by the owner only.
fn write(path: &Path, secret: &Secret<String>) -> Result<(), BootstrapError> {
    let failed = |source| BootstrapError::File { path: path.to_owned(), source };
    let partial = path.with_extension("partial");
    match std::fs::remove_file(&partial) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        Ok(()) | Err(_) => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .map_err(failed)?;
    writeln!(file, "{}", secret.expose()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&partial, path).map_err(failed)
}
