//! Removes content that no image names any more, and uploads that nobody went on with.
//!
//! Content comes before the image that names it is registered, so what is young stays. Registering takes the same
//! lock ([`db::image::lock_files`]) and looks whether its files are there after that: no image loses a file that it was
//! promised. Each region sweeps its own store.

use super::{Store, StoreError};
use crate::db::{self, DbError};
use sqlx::PgPool;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(3600);

/// How long something is left alone after it was last written or asked for.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Content without an image.
    pub blobs: Duration,
    /// Parts of uploads.
    pub uploads: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        Self { blobs: Duration::from_secs(DAY), uploads: Duration::from_secs(7 * DAY) }
    }
}

/// The store could not be swept.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The file system.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Sweeps every hour until cancelled.
pub async fn run(store: Store, pool: PgPool, cancel: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = tick.tick() => {}
        }
        match once(&store, &pool, Keep::default()).await {
            Ok(0) => {}
            Ok(files) => {
                tracing::info!(files, "content that no image names was removed from the image store")
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the image store could not be swept; trying again in an hour"
            ),
        }
    }
}

/// Removes what is due now; says how many files that were.
pub async fn once(store: &Store, pool: &PgPool, keep: Keep) -> Result<usize, SweepError> {
    let mut removed = store.remove_uploads(keep.uploads).await?;
    let old = store.blobs_older_than(keep.blobs).await?;
    if old.is_empty() {
        return Ok(removed);
    }
    let mut tx = pool.begin().await.map_err(DbError::from)?;
    db::image::lock_files(&mut tx).await?;
    for sha256 in db::image::unnamed(&mut tx, &old).await? {
        store.remove(&sha256).await?;
        removed += 1;
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(removed)
}
