//! One rack's stream, from hello to its end.

use super::journal::{self, Source};
use super::service::RackService;
use super::{complaint, console, leases, snapshot, switches, tasks};
use crate::db::lease_state::Changes;
use crate::db::wakeups::Wakeup;
use crate::db::{DbError, address_probe, console_seat, rack, rack_task, region, switch_task};
use crate::network;
use futures_util::StreamExt;
use rackwright_common::link::{DEAD_AFTER_SECONDS, HEARTBEAT_SECONDS, RackHello, Relay, ToRack, ToRegion};
use rackwright_link::{Incoming, LinkError, snapshot_message};
use sqlx::Connection;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// How many requests of machines one stream answers at a time; the others wait.
const RELAYS: usize = 512;
/// How often everything that is due about leases is done, while a rack has nothing new to say.
const LEASES_IN_FULL: Duration = Duration::from_secs(5);

/// A task is handed out within this time of its claim, which holds for ten seconds, or not at all.
const HAND_OUT: Duration = Duration::from_secs(5);

/// Why a stream ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The rack does not speak as it should.
    #[error("{0}")]
    Protocol(&'static str),
    /// The connection.
    #[error("the connection broke")]
    Link(#[source] LinkError),
    /// The database.
    #[error("the database does not answer")]
    Db(#[from] DbError),
    /// The rack does not read.
    #[error("the rack does not take messages any more")]
    Gone,
    /// It is too old or too new for us.
    #[error("{0}")]
    Version(String),
    /// This region may not act.
    #[error("this region is drained, or away from its database; the rack goes to the others")]
    Leaving,
}

/// A stream.
pub struct Session {
    service: RackService,
    name: String,
    sender: mpsc::Sender<ToRack>,
    sent_generation: u64,
    told_regions: Vec<String>,
    /// The last heartbeat heard; the hello is number 0.
    beat: u64,
    consoles: console::Wishes,
    typed: console::Typed,
    /// When all that is due about leases was done last.
    leases_in_full: Option<Instant>,
}

impl Session {
    /// For a rack that has just connected.
    pub fn new(service: RackService, name: String, sender: mpsc::Sender<ToRack>) -> Self {
        Self {
            service,
            name,
            sender,
            sent_generation: 0,
            beat: 0,
            told_regions: Vec::new(),
            consoles: console::Wishes::default(),
            typed: console::Typed::default(),
            leases_in_full: None,
        }
    }

    /// Serves the stream until it ends or falls silent.
    pub async fn run(mut self, mut incoming: Incoming) -> Result<(), SessionError> {
        let hello = match timeout(Duration::from_secs(DEAD_AFTER_SECONDS), incoming.next()).await {
            Ok(Some(Ok(ToRegion::Hello(hello)))) => hello,
            Ok(Some(Err(error))) => return Err(SessionError::Link(error)),
            Ok(Some(Ok(_))) | Ok(None) | Err(_) => {
                return Err(SessionError::Protocol("the stream did not begin with a hello"));
            }
        };
        tracing::info!(
            rack.name = self.name,
            rack.version = hello.version,
            generation = hello.generation,
            "a rack has connected"
        );
        let source = self.welcome(&hello).await?;
        let standing = self.service.standing.clone();
        let _open = standing.stream_of(&self.name);
        tokio::select! {
            ended = self.serve(incoming, source) => ended,
            () = standing.stopped() => Err(SessionError::Leaving),
        }
    }

    async fn welcome(&mut self, hello: &RackHello) -> Result<Source, SessionError> {
        let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
        if let Some(message) = complaint::of_version(&self.name, &hello.version) {
            complaint::tell(&mut conn, &self.name, "rack.version", &message).await?;
            rack::refused(&mut conn, &self.name, &hello.version, &message).await?;
            return Err(SessionError::Version(message));
        }
        complaint::look_at_clock(&mut conn, &self.name, hello).await?;
        let mut tx = conn.begin().await.map_err(DbError::from)?;
        // Blocks may be granted below, and that lock comes before a rack's row.
        Changes::lock(&mut tx).await?;
        let id = rack::hello(&mut tx, &self.name, hello).await?;
        rack::lock(&mut tx, id).await?;
        network::adopt(&mut tx, &hello.addresses, self.service.new_networks).await?;
        network::grant_first_blocks(&mut tx, id, &hello.addresses).await?;
        tx.commit().await.map_err(DbError::from)?;
        drop(conn);
        self.send_regions().await?;
        Ok(Source { id, name: self.name.clone(), addresses: hello.addresses.clone() })
    }

    async fn serve(&mut self, mut incoming: Incoming, source: Source) -> Result<(), SessionError> {
        let (mut world, mut open_tasks) = (self.service.wakeups.world(), self.service.wakeups.tasks());
        let mut inputs = self.service.wakeups.inputs();
        let mut beat = interval(Duration::from_secs(HEARTBEAT_SECONDS));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let relays = std::sync::Arc::new(Semaphore::new(RELAYS));
        let mut beats = 0_u64;
        let mut heard = Instant::now();
        self.send_snapshot(source.id).await?;
        self.send_tasks(source.id).await?;
        self.send_consoles().await?;
        loop {
            tokio::select! {
                message = incoming.next() => match message {
                    None => return Ok(()),
                    Some(Err(error)) => return Err(SessionError::Link(error)),
                    Some(Ok(message)) => {
                        heard = Instant::now();
                        self.take(message, &source, &relays).await?;
                    }
                },
                _ = beat.tick() => {
                    if heard.elapsed() > Duration::from_secs(DEAD_AFTER_SECONDS) {
                        return Err(SessionError::Protocol("the rack has fallen silent"));
                    }
                    beats += 1;
                    self.send(ToRack::Heartbeat).await?;
                    // Expired claims of dead racks wake nobody; look for them, and for lost wake-ups.
                    self.send_tasks(source.id).await?;
                    self.send_consoles().await?;
                    if beats.is_multiple_of(5) {
                        self.send_snapshot(source.id).await?;
                        self.send_regions().await?;
                        let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
                        console_seat::sweep(&mut conn).await?;
                    }
                },
                () = changed(&mut world) => self.send_snapshot(source.id).await?,
                () = changed(&mut open_tasks) => self.send_tasks(source.id).await?,
                () = changed(&mut inputs) => self.send_typed().await?,
            }
        }
    }

    async fn take(
        &mut self,
        message: ToRegion,
        source: &Source,
        relays: &std::sync::Arc<Semaphore>,
    ) -> Result<(), SessionError> {
        match message {
            ToRegion::Relay(relay) => self.relay(relay, relays),
            ToRegion::Hello(_) => return Err(SessionError::Protocol("the rack said hello twice")),
            ToRegion::Heartbeat { generation, tasks, beat } => {
                self.beat = beat;
                let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
                rack::seen(&mut conn, source.id, generation).await?;
                if !tasks.is_empty() {
                    let mut renewed = rack_task::renew(&mut conn, source.id, &tasks).await?;
                    renewed.extend(switch_task::renew(&mut conn, source.id, &tasks).await?);
                    drop(conn);
                    self.send(ToRack::Renewed { beat, tasks: renewed }).await?;
                }
            }
            ToRegion::SnapshotApplied { generation, error } => {
                if let Some(error) = &error {
                    tracing::warn!(rack.name = self.name, generation, error, "the rack refused a snapshot");
                }
                let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
                rack::applied(&mut conn, source.id, generation, error.as_deref()).await?;
            }
            ToRegion::TaskResult(result) => {
                let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
                tasks::finish(&mut conn, &result).await?;
            }
            ToRegion::SwitchResult(result) => {
                let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
                switches::finish(&mut conn, &result).await?;
            }
            ToRegion::Journal { entries } => {
                let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
                let seq = journal::store(&mut conn, &self.service.inband, source, &entries).await?;
                drop(conn);
                self.send(ToRack::JournalAck { seq }).await?;
            }
            ToRegion::Console { chunks } => {
                let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
                console::store(&mut conn, &source.name, &chunks).await?;
            }
            ToRegion::ConsoleTyped { machine, seq } => {
                let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
                console_seat::typed(&mut conn, &machine, seq).await?;
            }
            ToRegion::Leases(report) => {
                let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
                let in_full = self.leases_in_full.is_none_or(|at| at.elapsed() > LEASES_IN_FULL);
                let news = leases::exchange(&mut conn, source.id, &report, in_full).await?;
                drop(conn);
                if in_full {
                    self.leases_in_full = Some(Instant::now());
                }
                if let Some(news) = news {
                    self.send(ToRack::Leases(Box::new(news))).await?;
                }
            }
            ToRegion::Time(report) => {
                let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
                rack::set_time(&mut conn, source.id, &report).await?;
            }
            ToRegion::Held { blobs } => {
                let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
                rack::set_blobs(&mut conn, source.id, &blobs).await?;
            }
            ToRegion::Unknown => {}
        }
        Ok(())
    }

    /// Answers a machine in the background: it may wait for work for seconds.
    fn relay(&self, relay: Relay, relays: &std::sync::Arc<Semaphore>) {
        let (sender, inband, relays) = (self.sender.clone(), self.service.inband.clone(), relays.clone());
        tokio::spawn(async move {
            let Ok(_permit) = relays.acquire().await else { return };
            let reply = inband.answer(relay).await;
            // A rack that is gone asks again through another region.
            drop(sender.send(ToRack::RelayReply(reply)).await);
        });
    }

    /// Where the regions are, when that has changed.
    async fn send_regions(&mut self) -> Result<(), SessionError> {
        let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
        let regions = region::streams(&mut conn).await?;
        drop(conn);
        if regions == self.told_regions && !regions.is_empty() {
            return Ok(());
        }
        self.told_regions.clone_from(&regions);
        self.send(ToRack::Welcome { region: self.service.region.clone(), regions }).await
    }

    async fn send_snapshot(&mut self, id: i64) -> Result<(), SessionError> {
        let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
        let made = snapshot::make(&mut conn, &self.service.keys, id).await?;
        drop(conn);
        if made.generation > self.sent_generation {
            self.sent_generation = made.generation;
            let message = snapshot_message(made)
                .map_err(|_| SessionError::Protocol("a snapshot could not be written as JSON"))?;
            self.send(message).await?;
        }
        Ok(())
    }

    async fn send_tasks(&mut self, id: i64) -> Result<(), SessionError> {
        let asked = std::time::Instant::now();
        let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
        let mut claimed = tasks::claim(&mut conn, &self.service.keys, id, Some(self.beat)).await?;
        claimed.extend(switches::claim(&mut conn, &self.service.keys, id, Some(self.beat)).await?);
        drop(conn);
        for task in claimed {
            // This process was paused since: another rack may have the task by now.
            if asked.elapsed() > HAND_OUT {
                tracing::warn!(task.id = task.id, "a task was claimed too long ago to be handed out");
                continue;
            }
            self.send(ToRack::Task(task)).await?;
        }
        let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
        let probes = address_probe::claim(&mut conn, id).await?;
        drop(conn);
        for (operation, addresses) in probes {
            self.send(ToRack::Probe { operation, addresses }).await?;
        }
        Ok(())
    }

    async fn send_consoles(&mut self) -> Result<(), SessionError> {
        let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
        let news = self.consoles.news(&mut conn, &self.service.keys).await?;
        drop(conn);
        match news {
            Some(consoles) => self.send(ToRack::Consoles { consoles, live: self.consoles.live() }).await,
            None => Ok(()),
        }
    }

    /// What people have typed into consoles and no rack has taken yet, each once.
    async fn send_typed(&mut self) -> Result<(), SessionError> {
        let mut conn = self.service.pool.acquire().await.map_err(DbError::from)?;
        let fresh = console_seat::fresh(&mut conn).await?;
        drop(conn);
        for message in self.typed.news(&self.service.keys, fresh) {
            self.send(message).await?;
        }
        Ok(())
    }

    async fn send(&self, message: ToRack) -> Result<(), SessionError> {
        match timeout(Duration::from_secs(DEAD_AFTER_SECONDS), self.sender.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(SessionError::Gone),
        }
    }
}

/// Waits for a wake-up; for ever once nobody can wake any more.
async fn changed(wakeup: &mut Wakeup) {
    if wakeup.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
