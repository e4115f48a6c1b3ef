//! Fetches what the snapshot lists before anybody asks.

use super::{Cache, CacheError, listed};
use crate::state::{Journal, World};
use futures_util::stream::{self, StreamExt};
use rackwright_common::link::Fact;
use rackwright_common::snapshot::BlobRef;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Without a change, this often: a region that was away may be back.
const EVERY: Duration = Duration::from_secs(20);
/// Downloads side by side: one that no region has must not keep the others waiting.
const AT_A_TIME: usize = 4;
const PATIENCE: Duration = Duration::from_secs(3600);

/// Keeps the cache as the snapshot wants it, until cancelled. Level-triggered: woken by a new snapshot and by time.
pub async fn keep_pinned(cache: Cache, world: Arc<World>, journal: Journal, cancel: CancellationToken) {
    let mut changes = world.subscribe();
    let mut reported = false;
    'again: loop {
        let snapshot = world.snapshot();
        let wanted: BTreeSet<BlobRef> = listed(&snapshot).cloned().collect();
        cache.evict(&snapshot);
        let fetches = wanted.into_iter().map(|blob| {
            let cache = cache.clone();
            async move { (cache.open_complete(&blob, PATIENCE).await, blob) }
        });
        let mut fetches = stream::iter(fetches).buffer_unordered(AT_A_TIME);
        loop {
            let (fetched, blob) = tokio::select! {
                () = cancel.cancelled() => return,
                _ = changes.changed() => continue 'again,
                fetched = fetches.next() => match fetched {
                    Some(fetched) => fetched,
                    None => break,
                },
            };
            match fetched {
                Ok(_) => {}
                Err(CacheError::Full) if !reported => {
                    reported = true;
                    let message = format!(
                        "{}; blob {} ({} bytes) cannot be cached",
                        CacheError::Full,
                        blob.sha256,
                        blob.size
                    );
                    journal.append(Fact::Warning { code: "cache.disk-full".to_owned(), message, mac: None });
                }
                Err(error) => tracing::warn!(blob = blob.sha256, %error, "a listed blob is not here yet"),
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = changes.changed() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
