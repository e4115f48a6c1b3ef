//! The rack as a whole: everything in one set of tasks; one that dies takes the process down, which is started anew.

use crate::bmc::BmcQueues;
use crate::boot::{BootContext, HttpError, TftpError, serve_http, serve_tftp};
use crate::cache::{Cache, CacheConfig, keep_pinned, keep_told};
use crate::config::RackConfig;
use crate::console::{self, ConsoleTiming, Consoles, Surroundings};
use crate::dhcp::{self, DhcpConfig, DhcpError, DhcpWorld, LeaseExchange};
use crate::dhcp6::Dhcp6;
use crate::link::{self, Hub, LinkContext, RegionBlobs, TaskRunner};
use crate::served::Served;
use crate::state::{Journal, StateError, World};
use crate::{addresses, discovery, dns, ntp, ra};
use async_trait::async_trait;
use rackwright_common::Mac;
use rackwright_common::bmc::{BmcError, BmcOrder, BmcOutcome};
use rackwright_common::clock::SystemClock;
use rackwright_common::link::Fact;
use rackwright_common::ntp::{TimeReport, TimeState};
use rackwright_common::snapshot::Snapshot;
use rackwright_link::{CaError, Credentials};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Why a rack does not run.
#[derive(Debug, thiserror::Error)]
pub enum RackError {
    /// A setting is wrong.
    #[error("rack.toml: {0}")]
    Config(String),
    /// It has no certificate.
    #[error("the rack's certificate cannot be used: run `rackwright rack enroll TOKEN`")]
    Certificate(#[from] CaError),
    /// Its data folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// DHCP does not run.
    #[error(transparent)]
    Dhcp(#[from] DhcpError),
    /// TFTP does not run.
    #[error(transparent)]
    Tftp(#[from] TftpError),
    /// HTTP does not run.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A part of the rack ended that should not, or panicked.
    #[error("the rack's {0} ended unexpectedly")]
    Ended(String),
}

/// What DHCP needs of the rack.
struct DhcpView {
    leases: LeaseExchange,
    world: Arc<World>,
    journal: Journal,
    boot: BootContext,
}

impl DhcpWorld for DhcpView {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.world.snapshot()
    }

    fn record(&self, fact: Fact) {
        if let Fact::Lease { mac, address, .. } = &fact {
            self.boot.leased(*address, *mac);
        }
        self.journal.append(fact);
    }

    fn leases(&self) -> LeaseExchange {
        self.leases.clone()
    }

    fn wants_signed(&self, mac: Mac) -> bool {
        self.boot.wants_signed(mac)
    }

    fn loader_runs(&self, mac: Mac) {
        self.boot.loader_runs(mac);
    }
}

#[async_trait]
impl TaskRunner for BmcQueues {
    async fn perform(&self, order: BmcOrder) -> Result<BmcOutcome, BmcError> {
        self.carry_out(&order).await
    }
}

/// Where machines ask for names.
const DNS_PORT: u16 = 53;

type Part = (&'static str, Result<(), RackError>);

/// Runs a rack until cancelled.
pub async fn run(config: RackConfig, cancel: CancellationToken) -> Result<(), RackError> {
    let consoles = Consoles::new();
    let queues = BmcQueues::new().beside(Arc::new(consoles.clone()));
    run_with(config, Arc::new(queues), consoles, cancel).await
}

/// Runs a rack whose tasks are done by `runner`, beside `consoles`.
pub async fn run_with(
    config: RackConfig,
    runner: Arc<dyn TaskRunner>,
    consoles: Consoles,
    cancel: CancellationToken,
) -> Result<(), RackError> {
    config.check().map_err(RackError::Config)?;
    let config = Arc::new(config);
    let credentials = Arc::new(Credentials::load(&config.certificates)?);
    let world = Arc::new(World::open(&config.data)?);
    let journal = Journal::open(&config.data, Arc::new(SystemClock))?;
    let hub = Hub::new();
    let source = Arc::new(RegionBlobs::new(hub.clone(), credentials.clone()));
    let cache_config = CacheConfig {
        dir: config.data.join("blobs"),
        local_store: config.local_store.clone(),
        spare_bytes: config.cache_bytes,
    };
    let cache = Cache::open(cache_config, source)?;
    let boot = BootContext::new(world.clone(), journal.clone(), cache.clone(), hub.clone(), config.http_port);
    tracing::info!(name = config.name, interfaces = ?config.interfaces, "rack starts");

    // The journal is written to the last: it stops after the others.
    let stop = cancel.child_token();
    let stop_journal = CancellationToken::new();
    let writer = tokio::spawn(journal.clone().run(stop_journal.clone()));
    let mut parts: JoinSet<Part> = JoinSet::new();
    let leases = LeaseExchange::default();
    let served = Served::new(config.dns && config.dns_port == DNS_PORT);
    let time = spawn_time(&mut parts, &config, &world, &stop);
    let (told, held) = watch::channel(Vec::new());
    parts.spawn(endless("list of blobs", keep_told(cache.clone(), told, stop.clone())));
    let context = LinkContext {
        held,
        time,
        leases: leases.clone(),
        config: config.clone(),
        credentials,
        world: world.clone(),
        journal: journal.clone(),
        runner,
        hub,
        consoles,
        served: served.clone(),
        instance: Uuid::new_v4(),
    };
    let surroundings =
        Surroundings::new(world.clone(), journal.clone(), Arc::new(SystemClock), ConsoleTiming::default());
    parts.spawn(endless("consoles", console::run(context.consoles.clone(), surroundings, stop.clone())));
    parts.spawn(endless("link", link::run(context, stop.clone())));
    parts.spawn(endless("cache", keep_pinned(cache, world.clone(), journal.clone(), stop.clone())));
    parts.spawn(endless(
        "router advertisements",
        ra::run(config.interfaces.clone(), world.clone(), stop.clone()),
    ));
    parts.spawn(endless(
        "discovery",
        discovery::run(config.interfaces.clone(), world.clone(), journal.clone(), stop.clone()),
    ));
    spawn_boot(&mut parts, &config, &boot, &stop);
    if config.dhcp {
        let service =
            Dhcp6 { interfaces: config.interfaces.clone(), world: world.clone(), boot: boot.clone() };
        parts.spawn(endless("DHCPv6", service.run(config.http_port, stop.clone())));
    }
    if config.dns {
        let (names, port) = (config.interfaces.clone(), config.dns_port);
        parts.spawn(endless("names", dns::run(names, port, world.clone(), served, stop.clone())));
    }
    if config.dhcp {
        let dhcp = DhcpConfig {
            interfaces: config.interfaces.clone(),
            lease_directory: config.data.join("dhcp"),
            http_port: config.http_port,
        };
        let stop = stop.clone();
        let view = Arc::new(DhcpView { leases, world, journal, boot });
        parts.spawn(async move { ("DHCP", dhcp::run(dhcp, view, stop).await.map_err(RackError::from)) });
    }

    let ended = first_end(&mut parts, &cancel).await;
    stop.cancel();
    while parts.join_next().await.is_some() {}
    stop_journal.cancel();
    writer.await.map_err(|_| RackError::Ended("journal".to_owned()))?;
    ended
}

/// Serves time, if it is to; what there is to say of that.
fn spawn_time(
    parts: &mut JoinSet<Part>,
    config: &RackConfig,
    world: &Arc<World>,
    stop: &CancellationToken,
) -> watch::Receiver<TimeReport> {
    if !config.ntp {
        return watch::channel(TimeReport::without(TimeState::Off, "")).1;
    }
    let time = ntp::Time {
        folder: config.data.join("ntp"),
        port: config.ntp_port,
        interfaces: config.interfaces.clone(),
    };
    let (state, states) = watch::channel(TimeReport::default());
    parts.spawn(endless("time", ntp::run(time, world.clone(), state, stop.clone())));
    states
}

fn spawn_boot(
    parts: &mut JoinSet<Part>,
    config: &Arc<RackConfig>,
    boot: &BootContext,
    stop: &CancellationToken,
) {
    let (names, port, context, cancel) =
        (config.interfaces.clone(), config.tftp_port, boot.clone(), stop.clone());
    parts.spawn(async move {
        let serve = |address, cancel| serve_tftp(context.clone(), address, port, cancel);
        ("TFTP", addresses::serve_each(&names, cancel, serve).await.map_err(RackError::from))
    });
    let (names, context, cancel) = (config.interfaces.clone(), boot.clone(), stop.clone());
    parts.spawn(async move {
        let serve = |address, cancel| serve_http(context.clone(), address, cancel);
        ("HTTP", addresses::serve_each(&names, cancel, serve).await.map_err(RackError::from))
    });
}

async fn endless(name: &'static str, part: impl Future<Output = ()>) -> Part {
    part.await;
    (name, Ok(()))
}

/// Waits for the end: an order to stop is a good one, anything else is not.
async fn first_end(parts: &mut JoinSet<Part>, cancel: &CancellationToken) -> Result<(), RackError> {
    let ended = tokio::select! {
        () = cancel.cancelled() => return Ok(()),
        ended = parts.join_next() => ended,
    };
    match ended {
        _ if cancel.is_cancelled() => Ok(()),
        Some(Ok((_, Err(error)))) => Err(error),
        Some(Ok((name, Ok(())))) => Err(RackError::Ended(name.to_owned())),
        Some(Err(panic)) => Err(RackError::Ended(format!("part that panicked ({panic})"))),
        None => Err(RackError::Ended("parts".to_owned())),
    }
}
