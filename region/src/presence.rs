//! A region's life in the database: it takes its name, is heard every second, tells of others that fall silent, and
//! leaves when it is stopped in order.
//!
//! What holds: of two processes with one name, one runs; a region that is silent for three seconds is told of once.

use crate::config::RegionConfig;
use crate::db::event::{self, NewEvent};
use crate::db::{DbError, region};
use crate::model::region_token::wrong_clock;
use crate::standing::Standing;
use serde_json::json;
use sqlx::{Connection, PgConnection, PgPool};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often a region is heard.
const EVERY: Duration = Duration::from_secs(1);
/// A heartbeat that takes longer is given up, and its connection with it.
const PATIENCE: Duration = Duration::from_millis(2500);

/// Why a region may not be, or be any longer.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// The database.
    #[error("this region cannot say that it lives")]
    Db(#[from] DbError),
    /// Another one has the name.
    #[error(
        "there is a region `{0}` that lives already, on another box or with another data folder: give this one a name of its \
         own (`name` in region.toml), or stop the other"
    )]
    Taken(String),
    /// Another one took the name later.
    #[error("another process has taken the name of the region `{0}`; this one stops")]
    Replaced(String),
    /// The folder's identity.
    #[error("cannot read or write {path}")]
    File {
        /// Which.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// One region as the others see it.
#[derive(Debug, Clone)]
pub struct Presence {
    name: String,
    stream: String,
    instance: Uuid,
    identity: Uuid,
}

impl Presence {
    /// Of a region of these settings.
    pub fn of(config: &RegionConfig) -> Result<Self, PresenceError> {
        Ok(Self {
            name: config.name.clone(),
            stream: config.stream_address(),
            instance: Uuid::new_v4(),
            identity: identity(&config.data.join("region.id"))?,
        })
    }

    fn row(&self) -> region::Presence<'_> {
        region::Presence {
            name: &self.name,
            version: env!("CARGO_PKG_VERSION"),
            instance: self.instance,
            identity: self.identity,
            stream: &self.stream,
        }
    }

    /// Takes the name. A box that comes back takes it at once, another one when it has been silent.
    pub async fn begin(&self, pool: &PgPool) -> Result<(), PresenceError> {
        self.begin_at(pool, OffsetDateTime::now_utc()).await
    }

    /// The same on a box whose clock says `clock`.
    pub async fn begin_at(&self, pool: &PgPool, clock: OffsetDateTime) -> Result<(), PresenceError> {
        let mut conn = pool.acquire().await.map_err(DbError::from)?;
        if region::take_name(&mut conn, &self.row()).await? {
            return Ok(self.look_at_clock(&mut conn, clock).await?);
        }
        Err(PresenceError::Taken(self.name.clone()))
    }

    /// What is decided goes by the database's clock; certificates, logs and what people read go by this box's.
    async fn look_at_clock(&self, conn: &mut PgConnection, clock: OffsetDateTime) -> Result<(), DbError> {
        let now = region::clock(conn).await?.unix_timestamp();
        let Some(how) = wrong_clock(clock.unix_timestamp(), now) else { return Ok(()) };
        let message = format!(
            "the clock of the region {} is {how} the database's: set the one that is wrong (`chronyc makestep`)",
            self.name
        );
        tracing::warn!("{message}");
        tell(conn, "region.clock", "warning", &message, json!({ "region": self.name })).await
    }

    /// Is heard until cancelled. Its connection is its own: whatever the others wait for, it does not.
    pub async fn run(
        &self,
        pool: PgPool,
        standing: Standing,
        cancel: CancellationToken,
    ) -> Result<(), PresenceError> {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut own = None;
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                _ = tick.tick() => {}
            }
            let said = tokio::time::timeout(PATIENCE, self.say(&pool, own.take(), &standing)).await;
            match said {
                Ok(Ok(conn)) => own = Some(conn),
                Ok(Err(PresenceError::Db(error))) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not say that this region is alive"
                    );
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    tracing::warn!("the database takes too long to hear that this region is alive");
                }
            }
        }
        let leave = async {
            let mut conn = self.connection(&pool, own).await?;
            region::leave(&mut conn, &self.row()).await?;
            let message = format!("The region {} was stopped", self.name);
            tell(&mut conn, "region.stopped", "info", &message, json!({ "region": self.name })).await
        };
        if !matches!(tokio::time::timeout(PATIENCE, leave).await, Ok(Ok(()))) {
            tracing::info!("the others will notice in a moment that this region is gone");
        }
        Ok(())
    }

    async fn connection(&self, pool: &PgPool, own: Option<PgConnection>) -> Result<PgConnection, DbError> {
        match own {
            Some(conn) => Ok(conn),
            None => Ok(pool.acquire().await?.detach()),
        }
    }

    /// One heartbeat, and a look at the others.
    async fn say(
        &self,
        pool: &PgPool,
        own: Option<PgConnection>,
        standing: &Standing,
    ) -> Result<PgConnection, PresenceError> {
        let mut conn = self.connection(pool, own).await?;
        let asked = Instant::now();
        match region::beat(&mut conn, &self.row(), &standing.racks()).await? {
            Some(heard) => {
                standing.renew(asked, heard.draining);
                if heard.was_lost {
                    self.tell_of_return(&mut conn).await?;
                }
            }
            // It was removed while nobody heard it, or the database is a restored one: it enters itself again.
            None if !region::exists(&mut conn, &self.name).await? => {
                region::take_name(&mut conn, &self.row()).await?;
            }
            None => return Err(PresenceError::Replaced(self.name.clone())),
        }
        self.tell_of_losses(&mut conn).await?;
        Ok(conn)
    }

    async fn tell_of_return(&self, conn: &mut PgConnection) -> Result<(), DbError> {
        let mut tx = conn.begin().await?;
        if let Some(seconds) = region::found(&mut tx, &self.name).await? {
            let message = format!("The region {} is heard again, after {seconds:.1} s", self.name);
            let data = json!({ "region": self.name, "seconds": seconds });
            tell(&mut tx, "region.found", "info", &message, data).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn tell_of_losses(&self, conn: &mut PgConnection) -> Result<(), DbError> {
        let mut tx = conn.begin().await?;
        for (name, seconds) in region::newly_lost(&mut tx, &self.name).await? {
            tracing::warn!(region.name = name, seconds, "a region has fallen silent");
            let message = format!("The region {name} is not heard any more; the others do its work");
            let data = json!({ "region": name, "seconds": seconds, "noticed_by": self.name });
            tell(&mut tx, "region.lost", "warning", &message, data).await?;
        }
        Ok(tx.commit().await?)
    }
}

async fn tell(
    conn: &mut PgConnection,
    kind: &str,
    level: &'static str,
    message: &str,
    data: serde_json::Value,
) -> Result<(), DbError> {
    let event = NewEvent { kind, level, machine: None, operation: None, actor: "rackwright", message, data };
    event::append(conn, &event).await
}

/// The data folder's identity, made at the first start.
fn identity(path: &Path) -> Result<Uuid, PresenceError> {
    let failed = |source| PresenceError::File { path: path.display().to_string(), source };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let wrong = |_| failed(std::io::Error::other("it holds no UUID; remove it, and one is made"));
            text.trim().parse().map_err(wrong)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let fresh = Uuid::new_v4();
            let mut file = std::fs::File::create_new(path).map_err(failed)?;
            writeln!(file, "{fresh}").and_then(|()| file.sync_all()).map_err(failed)?;
            Ok(fresh)
        }
        Err(error) => Err(failed(error)),
    }
}
