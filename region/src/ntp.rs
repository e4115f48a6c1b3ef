//! Time for racks: chronyd as a child, from the site's time servers and the other regions or, when the site says so, from
//! this box's own clock.

use crate::db::wakeups::{Wakeup, wait};
use crate::db::{DbError, region, setting};
use rackwright_common::ntp::TimeReport;
use rackwright_services::ntp::{NtpConfig, PORT, others, run as serve};
use sqlx::PgPool;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Distance of a region whose own clock is the reference.
const LOCAL_STRATUM: u8 = 10;
/// How often settings are read and the clock is told of.
const EVERY: Duration = Duration::from_secs(5);

/// What a region is to do about time.
#[derive(Debug, Clone)]
pub struct Time {
    /// The region.
    pub region: String,
    /// Serve it at all.
    pub serve: bool,
    /// For chronyd.
    pub folder: PathBuf,
    /// Port to answer at.
    pub port: u16,
    /// Where racks reach this region; others ask here.
    pub address: String,
}

/// Serves time until cancelled.
pub async fn run(pool: PgPool, world: Wakeup, time: Time, cancel: CancellationToken) {
    let (wanted, given) = watch::channel(None);
    let (state, states) = watch::channel(TimeReport::default());
    let follow = follow(&pool, world, &time, (wanted, states), &cancel);
    if time.serve {
        tokio::join!(follow, serve_as_told(&time, given, state, &cancel));
    } else {
        follow.await;
    }
}

/// Begins when it is known what the site wants.
async fn serve_as_told(
    time: &Time,
    mut given: watch::Receiver<Option<NtpConfig>>,
    state: watch::Sender<TimeReport>,
    cancel: &CancellationToken,
) {
    let first = tokio::select! {
        () = cancel.cancelled() => return,
        first = given.wait_for(Option::is_some) => first.ok().and_then(|config| config.clone()),
    };
    let Some(first) = first else { return };
    let (wanted, receiver) = watch::channel(first);
    let pass_on = async {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = given.changed() => if changed.is_err() { return },
            }
            if let Some(now) = given.borrow_and_update().clone() {
                wanted.send_replace(now);
            }
        }
    };
    tokio::join!(serve(time.folder.clone(), receiver, state, cancel.clone()), pass_on);
}

/// Tells how the clock is, and hears from where the time is to come; goes on with the last of it while there is no database.
async fn follow(
    pool: &PgPool,
    mut world: Wakeup,
    time: &Time,
    (wanted, mut states): (watch::Sender<Option<NtpConfig>>, watch::Receiver<TimeReport>),
    cancel: &CancellationToken,
) {
    let mut told: Option<TimeReport> = None;
    loop {
        let state = states.borrow_and_update().clone();
        match exchange(pool, time, &state).await {
            Ok(config) => {
                told = Some(state);
                wanted.send_if_modified(|before| {
                    let changed = before.as_ref() != Some(&config);
                    *before = Some(config);
                    changed
                });
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::debug!(error, "time is served as it was set last");
            }
        }
        let news = async {
            while states.changed().await.is_ok() {
                if told.as_ref().is_none_or(|told| told.differs(&states.borrow())) {
                    return;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = wait(&mut world, EVERY) => {}
            () = news => {}
        }
    }
}

async fn exchange(pool: &PgPool, time: &Time, state: &TimeReport) -> Result<NtpConfig, DbError> {
    let mut conn = pool.acquire().await?;
    region::set_time(&mut conn, &time.region, time.serve.then_some(state)).await?;
    let settings = setting::load(&mut conn).await?;
    let regions = region::time_servers(&mut conn, Some(&time.region)).await?;
    Ok(NtpConfig {
        sources: others(settings.ntp_servers.into_iter().chain(regions)),
        source_port: PORT,
        port: time.port,
        own: host(&time.address).parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        local: settings.ntp_local_reference.then_some(LOCAL_STRATUM),
    })
}

/// The host of `host:port`.
pub(crate) fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']'])
}
