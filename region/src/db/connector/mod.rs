//! The way to the database: one server, or a cluster of several of which one takes writes.
//!
//! With one host in `database_url` this is a pool and nothing else. With several, every server is asked all the time what
//! it is ([`probe`]), the writable one of the newest timeline is the primary ([`route`]), and the pool's connections are
//! carried there ([`relay`]): they break at once when their server is lost or demoted, and new ones wait up to
//! [`Patience::writes`] for the next primary. Meanwhile, what allows it ([`super::standby`]) is read from the standby
//! that has replayed most.
//!
//! TLS is as the URL asks for it (`sslmode`, `sslrootcert`). With several hosts and `verify-full` it is the relay that speaks
//! it ([`secure`]): only there is it known which host has to be checked.
//!
//! Left out: reading from standbys while there is a primary.

mod hosts;
mod probe;
mod relay;
mod route;
mod secure;
mod sockets;

use super::standby;
use super::transaction::Transaction;
use super::{DbError, prepare};
use crate::model::controller::{DatabaseRole, DatabaseServer};
use futures_util::future::join_all;
use hosts::Host;
use relay::{Pick, Relay};
use route::{Route, Seen, choose};
use secure::Tls;
pub use secure::{root_certificate, with_root_certificate};
use sockets::Sockets;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{Connection, PgConnection, PgPool, Postgres};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long things wait for a database.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection to a single server.
    pub one: Duration,
    /// For the next primary of a cluster: a change waits this long, and is tried again within it where that is safe.
    pub writes: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { one: Duration::from_secs(10), writes: Duration::from_secs(15) }
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    primary: PgPool,
    cluster: Option<Arc<Cluster>>,
}

/// What there is more with several servers. Its tasks end when it is dropped.
struct Cluster {
    hosts: Arc<[Host]>,
    seen: watch::Receiver<Vec<Seen>>,
    route: watch::Receiver<Route>,
    reads: PgPool,
    patience: Patience,
    _tasks: JoinSet<()>,
    _sockets: Sockets,
}

impl From<PgPool> for Database {
    /// One server.
    fn from(primary: PgPool) -> Self {
        Self { primary, cluster: None }
    }
}

impl Database {
    /// Connects to what `url` names and brings the schema up to date. Safe to be called by several regions at once.
    pub async fn open(url: &str, connections: u32, patience: Patience) -> Result<Self, DbError> {
        let hosts = hosts::parse(url)?;
        let database = if hosts.is_empty() {
            let options = prepared(PgConnectOptions::from_str(url)?);
            Self::from(pool(connections, patience.one).connect_with(options).await?)
        } else {
            let tls = Tls::asked_for(url)?;
            Self::cluster(hosts, tls, connections, patience).map_err(sqlx::Error::from)?
        };
        prepare(&database.primary).await?;
        Ok(database)
    }

    fn cluster(
        hosts: Vec<Host>,
        tls: Option<Tls>,
        connections: u32,
        patience: Patience,
    ) -> std::io::Result<Self> {
        let hosts: Arc<[Host]> = hosts.into();
        let mut tasks = JoinSet::new();
        let (seen, seen_by_all) = watch::channel(vec![Seen::Gone; hosts.len()]);
        for (at, host) in hosts.iter().enumerate() {
            tasks.spawn(probe::watch(host.clone(), at, seen.clone()));
        }
        let (chosen, route) = watch::channel(Route::default());
        tasks.spawn(follow(hosts.clone(), seen_by_all.clone(), chosen));
        let sockets = Sockets::make()?;
        let mut lead = |name: &str, connections: u32, pick: Pick| -> std::io::Result<PgPool> {
            let folder = sockets.folder(name)?;
            let (hosts, route) = (hosts.clone(), route.clone());
            let mut options = hosts[0].options.clone();
            if tls.is_some() {
                options = options.ssl_mode(PgSslMode::Disable);
            }
            let relay = Relay { hosts, tls: tls.clone(), route, pick, wait: patience.writes };
            tasks.spawn(relay.run(UnixListener::bind(folder.join(".s.PGSQL.5432"))?));
            let options = options.socket(&folder).port(5432);
            Ok(pool(connections, patience.writes).connect_lazy_with(prepared(options)))
        };
        let primary = lead("primary", connections, |route| route.primary)?;
        let reads = lead("reads", connections, Route::readable)?;
        let cluster = Cluster {
            hosts: hosts.clone(),
            seen: seen_by_all,
            route,
            reads,
            patience,
            _tasks: tasks,
            _sockets: sockets,
        };
        Ok(Self { primary, cluster: Some(Arc::new(cluster)) })
    }

    /// Connections to the server that takes writes.
    pub fn pool(&self) -> &PgPool {
        &self.primary
    }

    /// The servers of a cluster as they were last seen; `position` is the primary's. A primary that is not followed, because
    /// it was one of an older timeline, counts as gone. Empty with a single server.
    pub fn servers(&self, position: Option<i64>) -> Vec<DatabaseServer> {
        let Some(cluster) = &self.cluster else { return Vec::new() };
        let primary = cluster.route.borrow().primary;
        let seen = cluster.seen.borrow();
        let server = |(at, host): (usize, &Host)| {
            let (role, lag_bytes) = match seen.get(at) {
                Some(Seen::Primary { .. }) if primary == Some(at) => (DatabaseRole::Primary, None),
                Some(Seen::Standby { position: replayed }) => {
                    (DatabaseRole::Standby, position.map(|position| (position - replayed).max(0)))
                }
                Some(Seen::Primary { .. } | Seen::Gone) | None => (DatabaseRole::Gone, None),
            };
            DatabaseServer { name: format!("{}:{}", host.name, host.port), role, lag_bytes }
        };
        cluster.hosts.iter().enumerate().map(server).collect()
    }

    /// How long a change may wait for the next primary; nothing with a single server.
    pub fn waits_for_primary(&self) -> Option<Duration> {
        self.cluster.as_ref().map(|cluster| cluster.patience.writes)
    }

    /// Whether it is a cluster of which no server takes changes now.
    pub fn awaits_primary(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.route.borrow().primary.is_none())
    }

    /// A connection to read with: to a standby while there is no primary, if what runs now allows that. Reads have
    /// connections of their own, and do not queue behind the changes that wait for the next primary.
    pub async fn read(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let Some(cluster) = self.cluster.as_ref().filter(|_| standby::is_allowed()) else {
            return self.primary.acquire().await;
        };
        let conn = cluster.reads.acquire().await?;
        if cluster.route.borrow().primary.is_none() {
            standby::note_read();
        }
        Ok(conn)
    }

    /// Whether some server of a cluster can be read, as the probes saw a moment ago; nothing with a single server.
    pub fn answers(&self) -> Option<bool> {
        self.cluster.as_ref().map(|cluster| cluster.route.borrow().readable().is_some())
    }

    /// A transaction to change with; rolled back unless it is committed.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        self.primary.begin().await.map(Transaction::from)
    }
}

/// What a region that was stopped, or has lost its power, in the middle of a transaction has locked is free after this: in
/// time for whoever takes over its claims.
const IDLE_IN_TRANSACTION: &str = "5s";

/// One connection, for a look: to the server that takes writes, or to whichever answers when none does.
pub async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    let hosts = hosts::parse(url)?;
    if hosts.is_empty() {
        return PgConnection::connect(url).await;
    }
    let mut answer = Err(sqlx::Error::PoolTimedOut);
    for found in join_all(hosts.iter().map(probe::look)).await {
        match found {
            Ok((conn, Seen::Primary { .. })) => return Ok(conn),
            Ok((conn, _)) => answer = Ok(conn),
            Err(error) if answer.is_err() => answer = Err(error),
            Err(_) => {}
        }
    }
    answer
}

/// Every statement here finds its rows by a key or by an index in the list's order: one plan serves all parameters,
/// and making it anew costs as much as running it.
fn prepared(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("plan_cache_mode", "force_generic_plan"),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
    ])
}

fn pool(connections: u32, patience: Duration) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections).acquire_timeout(patience)
}

/// Chooses anew whenever a server is seen to have changed.
async fn follow(hosts: Arc<[Host]>, mut seen: watch::Receiver<Vec<Seen>>, route: watch::Sender<Route>) {
    let name = |at: Option<usize>| at.and_then(|at| hosts.get(at)).map(|host| host.name.as_str());
    while seen.changed().await.is_ok() {
        let next = choose(&seen.borrow_and_update(), *route.borrow());
        route.send_if_modified(|now| {
            if now.primary != next.primary {
                let (primary, standby) = (name(next.primary), name(next.standby));
                tracing::warn!(
                    was = name(now.primary),
                    primary,
                    standby,
                    next.timeline,
                    "the primary database"
                );
            }
            std::mem::replace(now, next) != next
        });
    }
}
