//! Fetches from the other regions what this region's store lacks of the images that the database lists.
//!
//! Woken when images change, when somebody asks for content that is not here, and slowly by itself. Goes on where the
//! last attempt stopped, from whichever region has it; content is in place only once its hash is right. What is still
//! missing, and why, stands in this region's row for people to see.
//!
//! Regions give each other what they have in their own stores and never pass a question on, so questions run in no circle.

use super::store::{Store, StoreError, Stored, Upload};
use crate::db::wakeups::{Wakeup, Wakeups};
use crate::db::{self, DbError};
use futures_util::StreamExt;
use rackwright_common::snapshot::BlobRef;
use rackwright_link::{Credentials, LinkClient, LinkError};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

/// How often it looks by itself, when nothing is missing and when something is.
const SLOW: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(3);
/// A region that sends nothing for so long is given up; the next attempt asks another.
const SILENCE: Duration = Duration::from_secs(10);

/// Why content could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The database.
    #[error("the database does not say where to ask")]
    Db(#[from] DbError),
    /// The own store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// No other region lives.
    #[error("no other region lives")]
    Alone,
    /// Nobody gave it.
    #[error("{0}")]
    Refused(String),
}

/// The exchange; clones are the same.
#[derive(Debug, Clone)]
pub struct Exchange(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    region: String,
    store: Store,
    pool: PgPool,
    credentials: Credentials,
    asked: Notify,
    /// One transfer at a time: what is asked for by a user waits for no more than the one under way.
    fetching: Mutex<()>,
}

impl Exchange {
    /// For the store of the region of this name.
    pub fn new(region: &str, store: Store, pool: PgPool, credentials: Credentials) -> Self {
        let (region, asked, fetching) = (region.to_owned(), Notify::new(), Mutex::default());
        Self(Arc::new(Inner { region, store, pool, credentials, asked, fetching }))
    }

    /// Somebody asks for content that is not here: look at once.
    pub fn wake(&self) {
        self.0.asked.notify_one();
    }

    /// Keeps the store complete until cancelled.
    pub async fn run(self, wakeups: Wakeups, cancel: CancellationToken) {
        let mut world: Wakeup = wakeups.world();
        let mut told = None;
        loop {
            let pause = tokio::select! {
                () = cancel.cancelled() => return,
                missing = self.complete(&mut told) => match missing {
                    Ok(0) => SLOW,
                    Ok(_) => SOON,
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "the image store could not be compared with the database");
                        SOON
                    }
                },
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                Ok(()) = world.changed() => {}
                () = self.0.asked.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Fetches what is missing; how many files are so still. `told` is what the row says.
    async fn complete(&self, told: &mut Option<(Vec<String>, String)>) -> Result<usize, FetchError> {
        let missing = self.missing().await?;
        if missing.is_empty() {
            self.tell(&[], String::new(), told).await?;
            return Ok(0);
        }
        let mut because = told.as_ref().map(|(_, because)| because.clone()).unwrap_or_default();
        self.tell(&missing, because.clone(), told).await?;
        for blob in &missing {
            because = match self.fetch(blob).await {
                Ok(()) => String::new(),
                Err(error) => error_chain(&error),
            };
            let left = self.missing().await?;
            self.tell(&left, because.clone(), told).await?;
        }
        Ok(self.missing().await?.len())
    }

    async fn missing(&self) -> Result<Vec<BlobRef>, FetchError> {
        let named = {
            let mut conn = self.0.pool.acquire().await.map_err(DbError::from)?;
            db::image::named(&mut conn).await?
        };
        let mut missing = Vec::new();
        for blob in named {
            if self.0.store.find(&blob.sha256).await.is_none() {
                missing.push(blob);
            }
        }
        Ok(missing)
    }

    async fn tell(
        &self,
        missing: &[BlobRef],
        because: String,
        told: &mut Option<(Vec<String>, String)>,
    ) -> Result<(), FetchError> {
        let now = (missing.iter().map(|blob| blob.sha256.clone()).collect::<Vec<_>>(), because);
        if told.as_ref() != Some(&now) {
            let mut conn = self.0.pool.acquire().await.map_err(DbError::from)?;
            db::region::set_lacks(&mut conn, &self.0.region, &now.0, &now.1).await?;
            *told = Some(now);
        }
        Ok(())
    }

    /// Fetches one blob from the regions that live, each asked once; here when it returns well.
    pub async fn fetch(&self, blob: &BlobRef) -> Result<(), FetchError> {
        let _one = self.0.fetching.lock().await;
        if matches!(self.0.store.find_sound(&blob.sha256).await?, Stored::Sound(_)) {
            return Ok(());
        }
        let siblings = {
            let mut conn = self.0.pool.acquire().await.map_err(DbError::from)?;
            db::region::siblings(&mut conn, &self.0.region).await?
        };
        let mut reasons = Vec::new();
        for (name, stream) in siblings {
            match self.fetch_from(&stream, blob).await {
                Ok(()) => {
                    tracing::info!(
                        sha256 = blob.sha256,
                        size = blob.size,
                        from = name,
                        "content came from another region"
                    );
                    return Ok(());
                }
                // The own disk is full, say: no other region helps.
                Err(FetchError::Store(error)) if !matches!(error, StoreError::Hash { .. }) => {
                    return Err(error.into());
                }
                Err(error) => reasons.push(format!("{name}: {}", error_chain(&error))),
            }
        }
        if reasons.is_empty() { Err(FetchError::Alone) } else { Err(FetchError::Refused(reasons.join("; "))) }
    }

    async fn fetch_from(&self, stream: &str, blob: &BlobRef) -> Result<(), FetchError> {
        let refused = |error: LinkError| FetchError::Refused(error_chain(&error));
        let mut upload = self.0.store.upload(&format!("exchange {}", blob.sha256)).await?;
        if upload.written() > blob.size {
            upload.seek(0).await?;
        }
        if upload.written() < blob.size || blob.size == 0 {
            let client = in_time(LinkClient::connect(stream, &self.0.credentials)).await?.map_err(refused)?;
            let asking = client.fetch(&blob.sha256, upload.written());
            let mut chunks = in_time(asking).await?.map_err(refused)?;
            while let Some(chunk) = in_time(chunks.next()).await? {
                take(&mut upload, &chunk.map_err(refused)?, blob).await?;
            }
        }
        if upload.written() < blob.size {
            let text = format!("it ended after {} of {} bytes", upload.written(), blob.size);
            return Err(FetchError::Refused(text));
        }
        upload.finish(Some(&blob.sha256)).await?;
        Ok(())
    }
}

async fn take(upload: &mut Upload, chunk: &[u8], blob: &BlobRef) -> Result<(), FetchError> {
    if upload.written() + chunk.len() as u64 > blob.size {
        upload.seek(0).await?;
        return Err(FetchError::Refused("it sends more than the content has".to_owned()));
    }
    Ok(upload.append(chunk).await?)
}

async fn in_time<T>(step: impl Future<Output = T>) -> Result<T, FetchError> {
    let silent = |_| FetchError::Refused(format!("no byte for {} s", SILENCE.as_secs()));
    tokio::time::timeout(SILENCE, step).await.map_err(silent)
}

/// An error with its causes, in one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}
