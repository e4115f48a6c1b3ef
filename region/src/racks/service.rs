//! What a region does for racks: accepts their streams and serves them blobs.

use super::session::Session;
use crate::db::wakeups::Wakeups;
use crate::images::Store;
use crate::inband::InBand;
use crate::network::NewNetworks;
use crate::secrets::MasterKey;
use async_trait::async_trait;
use rackwright_link::{Chunks, FetchRequest, Incoming, LinkError, LinkServer, Outgoing, file_chunks};
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
    /// This region's name.
    pub region: String,
    /// What to do with networks nobody has modelled.
    pub new_networks: NewNetworks,
}

#[async_trait]
impl LinkServer for RackService {
    async fn attach(&self, rack: String, incoming: Incoming) -> Result<Outgoing, LinkError> {
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

    async fn fetch(&self, _rack: String, request: FetchRequest) -> Result<Chunks, LinkError> {
        let path = self.store.find(&request.sha256).await;
        let path = path.ok_or_else(|| {
            LinkError::Unavailable(format!("blob {} is not in this region's store", request.sha256))
        })?;
        file_chunks(&path, request.offset)
            .await
            .map_err(|e| LinkError::Unavailable(format!("cannot read the blob: {e}")))
    }
}
