//! Blobs from regions, over connections of their own: a large image never delays a heartbeat.

use super::hub::Hub;
use crate::cache::{BlobSource, BlobStream};
use async_trait::async_trait;
use rackwright_link::{Credentials, LinkClient, LinkError};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Mutex;

/// Asks the regions to which there is a stream in turn, so that the next attempt after a failure or damage asks another
/// one; then the others that are known, of which one that is gone costs a while.
pub struct RegionBlobs {
    hub: Hub,
    credentials: Arc<Credentials>,
    turn: AtomicUsize,
    connections: Mutex<HashMap<String, LinkClient>>,
}

impl RegionBlobs {
    /// Fetches from the regions that `hub` knows.
    pub fn new(hub: Hub, credentials: Arc<Credentials>) -> Self {
        Self { hub, credentials, turn: AtomicUsize::new(0), connections: Mutex::default() }
    }

    async fn ask(&self, address: &str, sha256: &str, offset: u64) -> Result<BlobStream, LinkError> {
        let known = self.connections.lock().await.get(address).cloned();
        let client = match known {
            Some(client) => client,
            None => {
                let client = LinkClient::connect(address, &self.credentials).await?;
                self.connections.lock().await.insert(address.to_owned(), client.clone());
                client
            }
        };
        Ok(Box::pin(client.fetch(sha256, offset).await?))
    }
}

#[async_trait]
impl BlobSource for RegionBlobs {
    async fn fetch(&self, sha256: &str, offset: u64) -> Result<BlobStream, LinkError> {
        let (mut regions, live) = self.hub.regions();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if let Some(live) = regions.get_mut(..live).filter(|live| !live.is_empty()) {
            let first = turn % live.len();
            live.rotate_left(first);
        }
        // "Not found" is the answer only when nobody is left who might have it.
        let mut nowhere = None;
        let mut last = None;
        for address in &regions {
            match self.ask(address, sha256, offset).await {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    if matches!(error, LinkError::NotFound(_)) {
                        nowhere = Some(error);
                    } else {
                        self.connections.lock().await.remove(address);
                        last = Some(error);
                    }
                }
            }
        }
        Err(last.or(nowhere).unwrap_or_else(|| LinkError::Unavailable("no region is known".to_owned())))
    }
}
