//! A region as a whole: one set of tasks, of which one that dies takes the process down, to be started clean.

use crate::api::bridge::bridge;
use crate::api::crowd;
use crate::app::App;
use crate::app::region_token::Invitation;
use crate::auth;
use crate::config::RegionConfig;
use crate::db::wakeups::Wakeups;
use crate::db::{Database, DbError, Patience, restored};
use crate::dns::server::NameServer;
use crate::dns::{self, Names};
use crate::door::{Caller, Door, Tls, TlsError, TlsSetting, admit};
use crate::images::exchange::Exchange;
use crate::images::{Store, StoreError};
use crate::inband::InBand;
use crate::lifecycle::engine;
use crate::network::NewNetworks;
use crate::ntp::{self, Time};
use crate::presence::{Presence, PresenceError};
use crate::racks::RackService;
use crate::scripts;
use crate::secrets::{KeyError, MasterKey};
use crate::standing::{Standing, VALID};
use axum::Router;
use axum::middleware::from_fn_with_state;
use rackwright_common::Secret;
use rackwright_link::{Ca, CaError, Credentials, LinkError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Why a region does not run.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The database.
    #[error("{}", of_database(.0))]
    Db(#[from] DbError),
    /// The master key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The image store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Certificates.
    #[error("the regions' certificate authority cannot be used")]
    Ca(#[from] CaError),
    /// The first administrator.
    #[error("the first administrator cannot be made")]
    Bootstrap(#[from] auth::bootstrap::BootstrapError),
    /// The built-in scripts.
    #[error("the built-in scripts cannot be stored")]
    Scripts(#[from] scripts::builtin::InstallError),
    /// The certificate of HTTPS.
    #[error("`tls` cannot be served")]
    Tls(#[from] TlsError),
    /// The rack stream.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A port.
    #[error("cannot listen at {address}: is another region running, or the port taken? Set `{setting}`")]
    Listen {
        /// Where.
        address: String,
        /// The setting to change.
        setting: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Its name, or its life in the database.
    #[error(transparent)]
    Presence(#[from] PresenceError),
    /// The thread that watches over it.
    #[error("the region cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// A folder.
    #[error("the data folder {path} cannot be made or written: give it to this user, or set `data`")]
    Data {
        /// Which.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A restoration was interrupted.
    #[error(
        "a restoration of this database has begun and not ended: wait for it, or run `rackwright restore FILE --force` again"
    )]
    HalfRestored,
    /// A task that should not end did.
    #[error("the region's {0} ended unexpectedly")]
    Ended(&'static str),
}

/// What to do about the database.
fn of_database(error: &DbError) -> &'static str {
    if error.is_outage() {
        "the database cannot be reached: is `database_url` right, and is PostgreSQL running?"
    } else {
        "the database of `database_url` cannot be used"
    }
}

/// A region that is about to run: its parts are open, nothing is served yet.
pub struct Region {
    config: RegionConfig,
    app: App,
    ca: Arc<Ca>,
    presence: Presence,
    credentials: Credentials,
    exchange: Exchange,
}

impl Region {
    /// Opens database, key, store and authority, and brings the schema up to date.
    pub async fn open(config: RegionConfig) -> Result<Self, RegionError> {
        let failed = |source| RegionError::Data { path: config.data.display().to_string(), source };
        std::fs::create_dir_all(&config.data).map_err(failed)?;
        let keys = MasterKey::load_or_create(&config.data.join("master.key"))?;
        let ca = Arc::new(Ca::load_or_create(&config.data.join("ca"))?);
        let store = Store::open(&config.data.join("images")).await?;
        let database =
            Database::open(&config.database_url, config.database_connections, Patience::default()).await?;
        let pool = database.pool();
        let mut conn = pool.acquire().await.map_err(DbError::from)?;
        if restored::is_unfinished(&mut conn).await? {
            return Err(RegionError::HalfRestored);
        }
        drop(conn);
        auth::bootstrap::bootstrap(pool, &config.data.join("admin.token")).await?;
        scripts::install_builtin(pool).await?;
        let presence = Presence::of(&config)?;
        let credentials = ca.issue_region(&[config.name.clone(), "localhost".into(), "127.0.0.1".into()])?;
        let exchange = Exchange::new(&config.name, store.clone(), pool.clone(), credentials.clone());
        let invitation = Invitation {
            region: config.name.clone(),
            stream: config.stream_address(),
            database_url: Secret::new(config.database_url.clone()),
            settings: config.in_common(),
        };
        let app = App::new(database, keys, store)
            .with_wakeups(Wakeups::default())
            .with_ca(ca.clone())
            .with_invitation(invitation)
            .with_standing(Standing::watched(VALID).map_err(RegionError::Thread)?)
            .with_exchange(exchange.clone());
        Ok(Self { config, app, ca, presence, credentials, exchange })
    }

    /// The use cases, for whoever mounts pages over them.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The site's certificate authority.
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// The first administrator's token file.
    pub fn token_file(data: &Path) -> std::path::PathBuf {
        data.join("admin.token")
    }

    /// Serves until cancelled. `router` holds API and pages.
    pub async fn run(self, router: Router, cancel: CancellationToken) -> Result<(), RegionError> {
        let listener = listen(&self.config.listen.to_string(), "listen").await?;
        let racks = listen(&self.config.stream_listen.to_string(), "stream_listen").await?;
        self.presence.begin(self.app.pool()).await?;
        let mut parts: JoinSet<(&'static str, Result<(), RegionError>)> = JoinSet::new();
        let (pool, wakeups) = (self.app.pool().clone(), self.app.wakeups().clone());
        let standing = self.app.standing().clone();
        let stop = cancel.child_token();
        parts.spawn(endless("listener", wakeups.clone().run(pool.clone(), stop.clone())));
        let (presence, heard) = (self.presence.clone(), (pool.clone(), standing.clone(), stop.clone()));
        parts.spawn(async move {
            let (pool, standing, stop) = heard;
            ("heartbeat", presence.run(pool, standing, stop).await.map_err(Into::into))
        });
        for worker in 0..self.config.workers.max(1) {
            let owner = (format!("{}/{worker}", self.config.name), standing.clone());
            let run =
                engine::run(pool.clone(), wakeups.clone(), self.config.timing.clone(), owner, stop.clone());
            parts.spawn(endless("worker", run));
        }
        let server =
            NameServer::new(pool.clone(), self.app.keys().clone(), self.config.dns_answers_per_second);
        let answer = Names {
            region: self.config.name.clone(),
            answer: self.config.dns,
            listen: self.config.dns_listen.clone(),
        };
        let names = dns::run(pool.clone(), wakeups.world(), answer, Arc::new(server), stop.clone());
        parts.spawn(endless("names", names));
        let time = Time {
            region: self.config.name.clone(),
            serve: self.config.ntp,
            folder: self.config.data.join("ntp"),
            port: self.config.ntp_port,
            address: self.config.stream_address(),
        };
        parts.spawn(endless("time", ntp::run(pool.clone(), wakeups.world(), time, stop.clone())));
        let bulk = crate::app::bulk::run(self.app.clone(), stop.clone());
        parts.spawn(endless("actions on many machines", bulk));
        for _ in 0..crate::notify::WORKERS {
            let (keys, wakeups) = (self.app.keys().clone(), wakeups.clone());
            let run = crate::notify::run(pool.clone(), keys, wakeups, standing.clone(), stop.clone());
            parts.spawn(endless("notifications", run));
        }
        let sweep = crate::images::sweep::run(self.app.store().clone(), pool.clone(), stop.clone());
        parts.spawn(endless("image store", sweep));
        parts.spawn(endless("addresses", crate::network::watch_low(pool.clone(), stop.clone())));
        parts.spawn(endless("wiring", crate::network::wiring::run(pool.clone(), stop.clone())));
        parts.spawn(endless("switches", crate::racks::switches::run(pool.clone(), stop.clone())));
        parts.spawn(endless("image exchange", self.exchange.clone().run(wakeups, stop.clone())));
        let (service, credentials) = (self.rack_service(), self.credentials.clone());
        let stop_racks = stop.clone();
        parts.spawn(async move {
            (
                "rack stream",
                rackwright_link::serve_on(racks, &credentials, service, stop_racks).await.map_err(Into::into),
            )
        });
        let tls = tls(&self.config, self.ca.clone())?.map(Arc::new);
        if let Some(tls) = tls.clone() {
            parts.spawn(endless("certificate", async move { tls.watch().await }));
        }
        let router = router.layer(from_fn_with_state(self.app.clone(), bridge));
        let router = crowd::limit(router, self.app.clone(), self.config.database_connections);
        let proxies = self.config.trusted_proxies.clone();
        let router = admit(router, tls.is_some() && !self.config.plain_http, proxies);
        let https = tls.is_some();
        parts.spawn(serve(listener, tls, router, stop.clone()));
        tracing::info!(region = self.config.name, listen = %self.config.listen, https, "region serves");
        let ended = first_end(&mut parts, &cancel).await;
        stop.cancel();
        // Streams of pages that are being watched do not end by themselves.
        let grace = async { while parts.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(3), grace).await.is_err() {
            parts.abort_all();
        }
        ended
    }

    fn rack_service(&self) -> RackService {
        let (pool, keys, wakeups) =
            (self.app.pool().clone(), self.app.keys().clone(), self.app.wakeups().clone());
        RackService {
            inband: InBand::new(pool.clone(), keys.clone(), wakeups.clone()),
            store: self.app.store().clone(),
            exchange: self.exchange.clone(),
            standing: self.app.standing().clone(),
            region: self.config.name.clone(),
            new_networks: if self.config.serve_new_networks {
                NewNetworks::Serve
            } else {
                NewNetworks::Enter
            },
            pool,
            keys,
            wakeups,
        }
    }
}

/// What `tls` asks for, with certificates of this authority where it says so.
pub(crate) fn tls(config: &RegionConfig, ca: Arc<Ca>) -> Result<Option<Tls>, TlsError> {
    Ok(match &config.tls {
        None => None,
        Some(TlsSetting::Files(files)) => Some(Tls::files(files.clone())?),
        Some(TlsSetting::Own(_)) => {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let mut names = vec![config.name.clone(), host.trim().to_owned()];
            names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
            names.extend(config.tls_names.iter().cloned());
            names.retain(|name| is_host_name(name));
            Some(Tls::own(ca, names))
        }
    })
}

/// Opens a port; `setting` is what to change when it cannot be had.
pub(crate) async fn listen(address: &str, setting: &'static str) -> Result<TcpListener, RegionError> {
    let failed = |source| RegionError::Listen { address: address.to_owned(), setting, source };
    TcpListener::bind(address).await.map_err(failed)
}

async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    stop: CancellationToken,
) -> (&'static str, Result<(), RegionError>) {
    let served = async {
        let door = Door::open(listener, tls, stop.clone())?;
        let make = router.into_make_service_with_connect_info::<Caller>();
        axum::serve(door, make).with_graceful_shutdown(stop.cancelled_owned()).await
    };
    let failed = |source| RegionError::Listen { address: "HTTP".into(), setting: "listen", source };
    ("HTTP service", served.await.map_err(failed))
}

/// What may stand in a certificate: a name of letters, digits, dots and hyphens, or an address.
fn is_host_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.:".contains(&b);
    !name.is_empty() && name.bytes().all(plain)
}

async fn endless(
    name: &'static str,
    run: impl Future<Output = ()>,
) -> (&'static str, Result<(), RegionError>) {
    run.await;
    (name, Ok(()))
}

async fn first_end(
    parts: &mut JoinSet<(&'static str, Result<(), RegionError>)>,
    cancel: &CancellationToken,
) -> Result<(), RegionError> {
    tokio::select! {
        () = cancel.cancelled() => Ok(()),
        ended = parts.join_next() => match ended {
            Some(Ok((_, Err(error)))) => Err(error),
            Some(Ok((name, Ok(())))) if !cancel.is_cancelled() => Err(RegionError::Ended(name)),
            Some(Err(_)) => Err(RegionError::Ended("task")),
            Some(Ok(_)) | None => Ok(()),
        },
    }
}
