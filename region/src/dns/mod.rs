//! Names: what is published, derived from machines, networks, controllers and what people entered; and who answers it.
//!
//! Whichever region looks first after a change publishes it ([`publish`]), under a serial that is kept in the database;
//! every region then loads it ([`server`]), and tells those that get copies.

pub mod derive;
pub mod lag;
mod listen;
mod notify;
pub mod publish;
mod reverse;
pub mod server;
mod sign;

use crate::db::wakeups::{Wakeup, wait};
use server::NameServer;
use sqlx::PgPool;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often it is looked for changes that wake nobody, such as a rack that has died.
const EVERY: Duration = Duration::from_secs(5);
/// Changes that come this close to one another are published together.
const TOGETHER: Duration = Duration::from_millis(100);

/// What a region is to do about names.
#[derive(Debug, Clone)]
pub struct Names {
    /// The region.
    pub region: String,
    /// Answer at all.
    pub answer: bool,
    /// Where; at all addresses of the box that no rack answers at when empty.
    pub listen: Vec<SocketAddr>,
}

/// Publishes what changes and answers what is published, until cancelled.
pub async fn run(
    pool: PgPool,
    world: Wakeup,
    names: Names,
    server: Arc<NameServer>,
    cancel: CancellationToken,
) {
    let publish = keep_published(pool.clone(), world, server.clone(), cancel.clone());
    let listen = async {
        if names.answer {
            listen::run(pool, names.region, names.listen, server, cancel.clone()).await;
        }
    };
    tokio::join!(publish, listen);
}

/// Publishes and loads what changes, until cancelled.
async fn keep_published(pool: PgPool, mut world: Wakeup, server: Arc<NameServer>, cancel: CancellationToken) {
    // Copies that are being told. Dropped with this.
    let mut telling = JoinSet::new();
    let mut known = BTreeSet::new();
    loop {
        match publish::publish(&pool, server.keys()).await {
            Ok(0) => {}
            Ok(zones) => tracing::info!(zones, "names have changed"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "names cannot be published for now");
            }
        }
        match server.load().await {
            Ok(changed) => {
                // What is there when the region starts has not changed by that.
                for zone in changed.into_iter().filter(|zone| !known.insert(zone.clone())) {
                    for copy in server.copies().iter() {
                        telling.spawn(notify::tell(copy.clone(), zone.clone()));
                    }
                }
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "names are answered as they were read last");
            }
        }
        if let Err(error) = lag::tell(&pool).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "whether secondaries lag behind is not known for now");
        }
        while telling.try_join_next().is_some() {}
        tokio::select! {
            () = cancel.cancelled() => return,
            () = wait(&mut world, EVERY) => {}
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(TOGETHER) => {}
        }
        world.mark_unchanged();
    }
}
