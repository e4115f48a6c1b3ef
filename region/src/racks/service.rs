//! What a region does for racks: accepts their streams and serves them blobs.

use super::session::Session;
use crate::db::event::{self, NewEvent};
use crate::db::wakeups::Wakeups;
use crate::db::{self, DbError};
use crate::images::exchange::Exchange;
use crate::images::{Store, Stored};
use crate::inband::InBand;
use crate::network::NewNetworks;
use crate::secrets::MasterKey;
use crate::standing::Standing;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use rackwright_link::{Chunks, FetchRequest, Incoming, LinkError, LinkServer, Outgoing, file_chunks};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Messages to a rack that may wait; a rack that does not read them is given up.
const QUEUE: usize = 256;

/// The region's half of the stream.
#[derive(Debug, Clone)]
pub struct RackService {
    /// Database.
    pub pool: PgPool,
    /// Master key.
    pub keys: MasterKey,
    /// Wake-ups.
    pub wakeups: Wakeups,
    /// Blobs.
    pub store: Store,
    /// Answers to machines.
    pub inband: InBand,
    /// Fetches what other regions have.
    pub exchange: Exchange,
    /// Whether this region may act.
    pub standing: Standing,
    /// This region's name.
    pub region: String,
    /// What to do with networks nobody has modelled.
    pub new_networks: NewNetworks,
}

#[async_trait]
impl LinkServer for RackService {
    async fn attach(&self, rack: String, incoming: Incoming) -> Result<Outgoing, LinkError> {
        if !self.standing.may_act() {
            let text = "this region takes no racks now: it is drained, or away from its database";
            return Err(LinkError::Unavailable(text.to_owned()));
        }
        let (sender, queue) = mpsc::channel(QUEUE);
        let session = Session::new(self.clone(), rack.clone(), sender);
        tokio::spawn(async move {
            match session.run(incoming).await {
                Ok(()) => tracing::info!(rack.name = rack, "the rack's stream has ended"),
                Err(error) => {
                    tracing::warn!(
                        rack.name = rack,
                        error = &error as &dyn std::error::Error,
                        "the rack's stream has broken"
                    );
                }
            }
        });
        Ok(Box::pin(ReceiverStream::new(queue)))
    }

    async fn fetch(&self, _peer: String, request: FetchRequest) -> Result<Chunks, LinkError> {
        let sha256 = &request.sha256;
        let unreadable =
            |error: &dyn std::error::Error| LinkError::Unavailable(format!("cannot read the blob: {error}"));
        let path = match self.store.find_sound(sha256).await.map_err(|e| unreadable(&e))? {
            Stored::Sound(path) => path,
            Stored::Absent => {
                // Whoever asks goes on to another region; the next who asks shall find it here.
                self.exchange.wake();
                return Err(LinkError::NotFound(format!("blob {sha256} is not in this region's store")));
            }
            Stored::Damaged => {
                if let Err(error) = self.tell_of_damage(sha256).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the damage could not be told of"
                    );
                }
                return Err(LinkError::NotFound(format!("blob {sha256} was damaged in this region's store")));
            }
        };
        let chunks = file_chunks(&path, request.offset).await.map_err(|e| unreadable(&e))?;
        Ok(if request.offset == 0 { watched(chunks, self.store.clone(), request.sha256) } else { chunks })
    }
}

impl RackService {
    /// An event for each image that cannot be used until it is loaded again.
    async fn tell_of_damage(&self, sha256: &str) -> Result<(), DbError> {
        let mut conn = self.pool.acquire().await?;
        for (image, file) in db::image::naming(&mut conn, sha256).await? {
            let message = format!(
                "the file `{file}` of {image} was damaged in the image store of region {} and is put aside; \
                 load the image again with `rackwright image load` or `image import`",
                self.region
            );
            let event = NewEvent {
                kind: "image.damaged",
                level: "error",
                machine: None,
                operation: None,
                actor: "rackwright",
                message: &message,
                data: json!({ "image": image, "file": file, "sha256": sha256 }),
            };
            event::append(&mut conn, &event).await?;
        }
        Ok(())
    }
}

/// The same chunks; when they turn out to be something else than the blob, its file is read again the next time.
fn watched(chunks: Chunks, store: Store, sha256: String) -> Chunks {
    let state = (chunks, Sha256::new(), store, sha256);
    Box::pin(stream::unfold(state, |(mut chunks, mut hasher, store, sha256)| async move {
        match chunks.next().await {
            Some(chunk) => {
                chunk.iter().for_each(|bytes| hasher.update(bytes));
                Some((chunk, (chunks, hasher, store, sha256)))
            }
            None => {
                if hex::encode(hasher.finalize()) != sha256 {
                    store.doubt(&sha256);
                }
                None
            }
        }
    }))
}
