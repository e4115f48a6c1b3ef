//! One stream to one region, from hello to its end.

use super::LinkContext;
use super::hub::StreamId;
use super::known::KnownRegions;
use super::lease::{Beats, Lease};
use crate::{addresses, probe};
use rackwright_common::clock::{Clock, SystemClock};
use rackwright_common::link::{
    DEAD_AFTER_SECONDS, Fact, HEARTBEAT_SECONDS, RackAddress, RackHello, ToRack, ToRegion,
};
use rackwright_common::ntp::TimeReport;
use rackwright_link::{LinkError, LinkReceiver, LinkSender, Received};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

const HEARTBEAT: Duration = Duration::from_secs(HEARTBEAT_SECONDS);
const DEAD_AFTER: Duration = Duration::from_secs(DEAD_AFTER_SECONDS);
/// Journal entries in one message, and sent without an acknowledgement.
const BATCH: usize = 200;
const IN_FLIGHT: usize = 1000;
/// Entries not acknowledged for this long are sent again.
const RESEND: Duration = Duration::from_secs(10);
/// How the rack has the time is told again after so long.
const TIME_AGAIN: Duration = Duration::from_secs(10);
/// What a console at which people look writes within this goes up as one piece. Longer than the least time between two.
const LIVE_PAUSE: Duration = Duration::from_millis(45);

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("the region is silent")]
    Silent,
    #[error("the region ended the stream")]
    Ended,
    #[error("this rack's own addresses have changed, and the region is told with a new hello")]
    Moved,
    #[error(transparent)]
    Link(#[from] LinkError),
}

struct Session<'a> {
    context: &'a LinkContext,
    known: &'a KnownRegions,
    id: StreamId,
    sender: LinkSender,
    /// The journal is sent up to this number, and acknowledged at this time or later.
    sent: u64,
    unacknowledged: usize,
    moved: Instant,
    /// When leases were reported, as long as that is not answered.
    reported: Option<Instant>,
    /// When the last heartbeats were sent.
    beats: Beats,
    /// What was said of the time, and when.
    time: Option<(TimeReport, Instant)>,
    /// Which blobs were said to be here.
    held: Option<Vec<String>>,
}

/// Leaves the hub however the session ends.
struct Joined<'a>(&'a LinkContext, StreamId);

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        self.0.hub.leave(self.1);
    }
}

/// Speaks with a region until the stream ends.
pub(super) async fn run(
    context: &LinkContext,
    known: &KnownRegions,
    address: &str,
    sender: LinkSender,
    mut receiver: LinkReceiver,
) -> Result<(), SessionError> {
    let addresses = own_addresses(context);
    let beats = Beats::begin(Instant::now());
    sender.send(hello(context, addresses.clone())).await.map_err(|_| SessionError::Ended)?;
    let id = context.hub.join(address, sender.clone());
    let _joined = Joined(context, id);
    tracing::info!(region = address, "a stream to this region is open");
    let mut session = Session {
        context,
        known,
        id,
        sender,
        sent: 0,
        unacknowledged: 0,
        moved: Instant::now(),
        reported: None,
        beats,
        time: None,
        held: None,
    };
    let (mut journal, mut hub) = (context.journal.subscribe(), context.hub.subscribe());
    let (mut leases, mut consoles) = (context.leases.subscribe(), context.consoles.subscribe());
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        session.send_waiting().await?;
        tokio::select! {
            message = receiver.next() => {
                // After a pause of this process: what waited in the socket is old, and says nothing of now.
                if heard.elapsed() > DEAD_AFTER {
                    return Err(SessionError::Silent);
                }
                heard = Instant::now();
                session.received(message.ok_or(SessionError::Ended)??).await?;
            }
            _ = heartbeat.tick() => {
                let heartbeat = session.heartbeat();
                session.send(heartbeat).await?;
                session.report_leases().await?;
                session.report_time().await?;
                session.report_held().await?;
                if own_addresses(context) != addresses {
                    return Err(SessionError::Moved);
                }
            }
            () = tokio::time::sleep_until(heard + DEAD_AFTER) => return Err(SessionError::Silent),
            _ = journal.changed() => {}
            _ = hub.changed() => {}
            // A moment later there is more, and it goes as one piece.
            _ = consoles.changed() => tokio::time::sleep(LIVE_PAUSE).await,
            _ = leases.changed() => session.report_leases().await?,
        }
    }
}

fn own_addresses(context: &LinkContext) -> Vec<RackAddress> {
    let mut own = addresses::read(&context.config.interfaces, context.config.http_port).unwrap_or_default();
    for address in &mut own {
        address.dns = context.served.names(address.network.addr());
    }
    own
}

fn hello(context: &LinkContext, addresses: Vec<RackAddress>) -> ToRegion {
    ToRegion::Hello(RackHello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: context.world.generation(),
        addresses,
        instance: context.instance,
        clock: Some(SystemClock.now().unix_timestamp()),
    })
}

impl Session<'_> {
    fn heartbeat(&mut self) -> ToRegion {
        let generation = self.context.world.generation();
        let beat = self.beats.next(Instant::now());
        ToRegion::Heartbeat { generation, tasks: self.context.hub.running.numbers(), beat }
    }

    /// Until when a claim holds that is as young as this heartbeat.
    fn lease(&self, beat: Option<u64>) -> Lease {
        beat.map_or_else(Lease::unlimited, |beat| Lease::until(self.beats.claim_ends(beat)))
    }

    async fn send(&self, message: ToRegion) -> Result<(), SessionError> {
        match tokio::time::timeout(DEAD_AFTER, self.sender.send(message)).await {
            Ok(sent) => sent.map_err(|_| SessionError::Ended),
            Err(_) => Err(SessionError::Silent),
        }
    }

    /// Results of tasks, what consoles wrote, and as much of the journal as the region keeps up with.
    async fn send_waiting(&mut self) -> Result<(), SessionError> {
        for result in self.context.hub.take_results(self.id) {
            self.send(result).await?;
        }
        if !self.context.hub.carries_journal(self.id) {
            self.sent = 0;
            return Ok(());
        }
        for (machine, seq) in self.context.consoles.typed() {
            self.send(ToRegion::ConsoleTyped { machine, seq }).await?;
        }
        let chunks = self.context.consoles.take();
        if !chunks.is_empty() {
            self.send(ToRegion::Console { chunks }).await?;
        }
        if self.unacknowledged > 0 && self.moved.elapsed() > RESEND {
            (self.sent, self.unacknowledged) = (0, 0);
        }
        while self.unacknowledged < IN_FLIGHT {
            let entries = self.context.journal.after(self.sent, BATCH);
            let Some(last) = entries.last() else { break };
            self.sent = last.seq;
            self.unacknowledged += entries.len();
            self.moved = Instant::now();
            self.send(ToRegion::Journal { entries }).await?;
        }
        Ok(())
    }

    /// Reports leases, when this stream is the one that does and the last report is answered or lost.
    async fn report_leases(&mut self) -> Result<(), SessionError> {
        let waiting = self.reported.is_some_and(|at| at.elapsed() < DEAD_AFTER);
        if waiting || !self.context.hub.carries_journal(self.id) {
            return Ok(());
        }
        if let Some(report) = self.context.leases.report() {
            self.reported = Some(Instant::now());
            self.send(ToRegion::Leases(report)).await?;
        }
        Ok(())
    }

    /// Says how the rack has the time, when that is news or was not said for a while.
    async fn report_time(&mut self) -> Result<(), SessionError> {
        if !self.context.hub.carries_journal(self.id) {
            self.time = None;
            return Ok(());
        }
        let now = self.context.time.borrow().clone();
        let known = |(said, at): &(TimeReport, Instant)| !said.differs(&now) && at.elapsed() < TIME_AGAIN;
        if self.time.as_ref().is_some_and(known) {
            return Ok(());
        }
        self.time = Some((now.clone(), Instant::now()));
        self.send(ToRegion::Time(now)).await
    }

    /// Says which blobs are here, when that is news on this stream.
    async fn report_held(&mut self) -> Result<(), SessionError> {
        if !self.context.hub.carries_journal(self.id) {
            self.held = None;
            return Ok(());
        }
        let now = self.context.held.borrow().clone();
        if self.held.as_ref() == Some(&now) {
            return Ok(());
        }
        self.held = Some(now.clone());
        self.send(ToRegion::Held { blobs: now }).await
    }

    async fn received(&mut self, received: Received) -> Result<(), SessionError> {
        self.context.hub.heard(self.id);
        let context = self.context;
        match received.message {
            ToRack::Welcome { region, regions } => {
                tracing::info!(region, ?regions, "welcomed");
                self.known.tell(regions);
            }
            ToRack::Heartbeat | ToRack::Unknown => {}
            ToRack::Leases(news) => {
                self.reported = None;
                if context.leases.take(*news) {
                    self.report_leases().await?;
                }
            }
            ToRack::Snapshot { snapshot, .. } => {
                let generation = snapshot.generation;
                let world = context.world.clone();
                let applied =
                    tokio::task::spawn_blocking(move || world.apply(*snapshot, received.intact)).await;
                let error = match applied {
                    Ok(Ok(())) => None,
                    Ok(Err(refused)) => Some(refused.to_string()),
                    Err(_) => Some("applying it failed".to_owned()),
                };
                if let Some(error) = &error {
                    tracing::warn!(generation, error, "a snapshot is refused");
                }
                self.send(ToRegion::SnapshotApplied { generation, error }).await?;
            }
            ToRack::Task(task) => {
                let lease = self.lease(task.beat);
                context.hub.running.begin(task, lease, &context.runner, &context.hub);
            }
            ToRack::Renewed { beat, tasks } => {
                context.hub.running.renew(&tasks, self.beats.claim_ends(beat));
            }
            ToRack::Probe { operation, addresses } => {
                let (config, journal) = (context.config.clone(), context.journal.clone());
                tokio::spawn(async move {
                    let answered = probe::ask(&config.interfaces, &addresses).await;
                    journal.append(Fact::Probed { operation, addresses, answered });
                });
            }
            ToRack::Consoles { consoles, live } => context.consoles.wish(consoles, live),
            ToRack::ConsoleInput { machine, seq, text } => context.consoles.type_in(&machine, seq, text),
            ToRack::RelayReply(reply) => context.hub.replied(reply),
            ToRack::JournalAck { seq } => {
                context.journal.acknowledge(seq);
                self.moved = Instant::now();
                self.unacknowledged = context.journal.count_between(seq, self.sent);
            }
        }
        Ok(())
    }
}
