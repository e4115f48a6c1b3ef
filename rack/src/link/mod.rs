//! The line to the regions: a stream to each of them, any of which may carry any message.
//!
//! [`Hub`] is what the rest of the rack talks to: relay a machine's request, fetch a blob. [`run`] dials every region
//! that is known, for as long as the rack lives. A region that is silent for three seconds is given up and
//! dialled anew; what it was asked goes to another one.

mod blobs;
mod dial;
mod hub;
mod known;
mod lease;
mod session;
mod tasks;

pub use blobs::RegionBlobs;
pub use hub::{Hub, RelayError};
pub use lease::{Lapsed, Lease};
pub use tasks::TaskRunner;

use crate::config::RackConfig;
use crate::console::Consoles;
use crate::dhcp::LeaseExchange;
use crate::served::Served;
use crate::state::{Journal, World};
use known::KnownRegions;
use rackwright_common::ntp::TimeReport;
use rackwright_link::Credentials;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a stream to a region needs of the rack.
#[derive(Clone)]
pub struct LinkContext {
    /// Settings.
    pub config: Arc<RackConfig>,
    /// Who we are.
    pub credentials: Arc<Credentials>,
    /// Where snapshots go.
    pub world: Arc<World>,
    /// What is told.
    pub journal: Journal,
    /// Who does tasks.
    pub runner: Arc<dyn TaskRunner>,
    /// The streams.
    pub hub: Hub,
    /// What there is to tell of dynamic addresses.
    pub leases: LeaseExchange,
    /// What machines write to their consoles.
    pub consoles: Consoles,
    /// What is served beside DHCP and boot files.
    pub served: Served,
    /// How the rack has the time.
    pub time: watch::Receiver<TimeReport>,
    /// Hashes of the blobs that it has whole.
    pub held: watch::Receiver<Vec<String>>,
    /// Random per process start.
    pub instance: Uuid,
}

/// Keeps a stream to every known region until cancelled.
pub async fn run(context: LinkContext, cancel: CancellationToken) {
    let known = Arc::new(KnownRegions::load(&context.config.data, &context.config.regions));
    context.hub.set_regions(known.list());
    let mut changes = known.subscribe();
    let mut dialled: HashMap<String, CancellationToken> = HashMap::new();
    let mut dialers = JoinSet::new();
    loop {
        let wanted = known.list();
        context.hub.set_regions(wanted.clone());
        dialled.retain(|address, stop| {
            let stays = wanted.contains(address);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for address in wanted {
            dialled.entry(address.clone()).or_insert_with(|| {
                let stop = cancel.child_token();
                dialers.spawn(dial::keep(context.clone(), known.clone(), address, stop.clone()));
                stop
            });
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            _ = changes.changed() => {}
            Some(_) = dialers.join_next(), if !dialers.is_empty() => {}
        }
    }
    while dialers.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;
