//! Time for machines: chronyd as a child, from the regions that the last snapshot names, with every region dead too.
//!
//! What holds: a rack that has no time says so to whoever asks, and to the regions, which hand out those that have it.

use crate::addresses;
use crate::state::World;
use rackwright_common::ntp::{TimeReport, TimeView};
use rackwright_services::ntp::{NtpConfig, PORT, others, run as serve};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Distance of a rack whose own clock is the reference: behind a region's.
const LOCAL_STRATUM: u8 = 12;
/// How often the box's own addresses are looked at.
const EVERY: Duration = Duration::from_secs(10);

/// What a rack is to do about time.
#[derive(Debug, Clone)]
pub struct Time {
    /// For chronyd.
    pub folder: PathBuf,
    /// Port to answer at.
    pub port: u16,
    /// Interfaces that machines are on.
    pub interfaces: Vec<String>,
}

/// Serves time until cancelled, and says how that is.
pub async fn run(time: Time, world: Arc<World>, state: watch::Sender<TimeReport>, cancel: CancellationToken) {
    let (wanted, given) = watch::channel(config(&time, &world.snapshot().time));
    let follow = async {
        let mut changes = world.subscribe();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = changes.changed() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
            let now = config(&time, &world.snapshot().time);
            wanted.send_if_modified(|before| {
                let changed = *before != now;
                *before = now;
                changed
            });
        }
    };
    tokio::join!(serve(time.folder.clone(), given, state, cancel.clone()), follow);
}

fn config(time: &Time, view: &TimeView) -> NtpConfig {
    let addresses = addresses::read(&time.interfaces, 0).unwrap_or_default();
    NtpConfig {
        sources: others(view.sources.iter().cloned()),
        source_port: PORT,
        port: time.port,
        own: addresses.first().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |a| a.network.addr().into()),
        local: view.local.then_some(LOCAL_STRATUM),
    }
}
