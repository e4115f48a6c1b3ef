//! Machines' serial consoles, recorded through their BMCs for as long as regions wish it.
//!
//! What holds: each console has a task and a BMC session of its own, so that no power command waits for it, and gives that back
//! to a BMC which has too few; one that somebody else has is asked for again and never taken; what regions do not take in time is lost from the oldest on,
//! and the offset of the next piece says how much. Wishes hold passwords: they live in memory, are told to nobody, and
//! end when no region has repeated them for [`FORGOTTEN_AFTER`]. What people type comes from every region that hears of it; it goes
//! into the line once, in its order, through the recorder that has the console open ([`Consoles::type_in`]), and is nowhere kept.
//! Left out: consoles behind other protocols than IPMI.

mod record;
mod tape;

pub use record::ConsoleTiming;

use crate::bmc::GiveWay;
use crate::state::{Journal, World};
use rackwright_common::bmc::{BmcEndpoint, DriverKind};
use rackwright_common::clock::Clock;
use rackwright_common::link::{ConsoleChunk, Fact};
use rackwright_common::{MachineId, Secret};
use record::record;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tape::Tape;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Regions repeat their wishes each minute; without a repetition for this long they count as withdrawn.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// A console that is not wished any more is given back after this: its last words still come, and a list that is a
/// moment out of date costs no recording.
const GRACE: Duration = Duration::from_secs(5);
/// Pieces go up at most this often.
const BETWEEN: Duration = Duration::from_millis(900);
/// Those of consoles at which people look.
const BETWEEN_LIVE: Duration = Duration::from_millis(40);
/// Bytes that go up at a time, so that heartbeats are not late; the rest follows.
const AT_ONCE: usize = 512 * 1024;

#[derive(Debug, Clone, Default)]
struct Wishes {
    list: Vec<BmcEndpoint>,
    told: Option<Instant>,
}

#[derive(Debug, Default)]
struct Tapes {
    /// Ordered, so that those who were passed over come first the next time.
    by_machine: BTreeMap<MachineId, Tape>,
    taken: Option<Instant>,
    /// Consoles at which people look.
    live: BTreeSet<MachineId>,
    taken_live: Option<Instant>,
    /// Of each machine the last input that was passed to its recorder.
    typed: BTreeMap<MachineId, i64>,
    /// Of each machine the last input that has gone into its line, until a region is told.
    done: BTreeMap<MachineId, i64>,
    /// The last machine whose pieces went up when there were too many.
    passed: Option<MachineId>,
}

/// What the rest of the rack knows of consoles; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Consoles {
    wishes: watch::Sender<Wishes>,
    tapes: Arc<Mutex<Tapes>>,
    /// Something waits for the regions that is not to wait for their next beat.
    urgent: watch::Sender<()>,
}

impl Consoles {
    /// Nothing is recorded yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A region says which consoles are to be recorded: these and no others.
    pub fn wish(&self, list: Vec<BmcEndpoint>, live: Vec<MachineId>) {
        self.lock().live = live.into_iter().collect();
        self.wishes.send_replace(Wishes { list, told: Some(Instant::now()) });
    }

    /// What has been written since the last time, for the region that asks; nothing when it asks too often.
    pub fn take(&self) -> Vec<ConsoleChunk> {
        let now = Instant::now();
        let mut tapes = self.lock();
        if tapes.taken.is_some_and(|taken| now < taken + BETWEEN) {
            return tapes.take_live(now);
        }
        tapes.taken = Some(now);
        let passed = tapes.passed.take();
        let later = |machine: &MachineId| passed.as_ref().is_some_and(|passed| machine <= passed);
        let mut turns: Vec<MachineId> = tapes.by_machine.keys().cloned().collect();
        turns.sort_by_key(|machine| later(machine));
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        for machine in turns {
            let Some(tape) = tapes.by_machine.get_mut(&machine) else { continue };
            for chunk in tape.take(now) {
                bytes += chunk.text.len();
                chunks.push(chunk);
            }
            if tape.is_over() {
                tapes.by_machine.remove(&machine);
            }
            if bytes >= AT_ONCE {
                tapes.passed = Some(machine);
                break;
            }
        }
        chunks
    }

    /// Passes on what a person has typed, if this rack has the console open. What came before is not passed on again.
    pub fn type_in(&self, machine: &MachineId, seq: i64, text: Secret<String>) {
        let mut tapes = self.lock();
        if tapes.typed.get(machine).is_some_and(|last| seq <= *last) {
            return;
        }
        if tapes.by_machine.get(machine).is_some_and(|tape| tape.type_in(seq, text)) {
            tapes.typed.insert(machine.clone(), seq);
        }
    }

    /// What has gone into which line since the last time.
    pub fn typed(&self) -> BTreeMap<MachineId, i64> {
        std::mem::take(&mut self.lock().done)
    }

    /// Moves when something waits for the regions at which people look.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.urgent.subscribe()
    }

    /// An input has gone into the line.
    fn has_typed(&self, machine: &MachineId, seq: i64) {
        self.lock().done.insert(machine.clone(), seq);
        self.urgent.send_replace(());
    }

    /// A console has written something.
    fn has_written(&self, machine: &MachineId) {
        if self.lock().live.contains(machine) {
            self.urgent.send_replace(());
        }
    }

    /// Does something with a machine's tape.
    fn with_tape<T>(&self, machine: &MachineId, act: impl FnOnce(&mut Tape) -> T) -> T {
        let mut tapes = self.lock();
        act(tapes.by_machine.entry(machine.clone()).or_insert_with(|| Tape::new(machine.clone())))
    }

    fn lock(&self) -> MutexGuard<'_, Tapes> {
        self.tapes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tapes {
    /// What consoles have written at which people look.
    fn take_live(&mut self, now: Instant) -> Vec<ConsoleChunk> {
        if self.live.is_empty() || self.taken_live.is_some_and(|taken| now < taken + BETWEEN_LIVE) {
            return Vec::new();
        }
        self.taken_live = Some(now);
        let live = self.by_machine.iter_mut().filter(|(machine, _)| self.live.contains(machine));
        live.flat_map(|(_, tape)| tape.take(now)).collect()
    }
}

impl GiveWay for Consoles {
    /// The console is asked for again later.
    fn give_way(&self, machine: &MachineId) -> bool {
        self.lock().by_machine.get(machine).is_some_and(Tape::give_way)
    }
}

/// What recorders need of the rack.
#[derive(Clone)]
pub struct Surroundings {
    world: Arc<World>,
    journal: Journal,
    clock: Arc<dyn Clock>,
    timing: ConsoleTiming,
    /// The last kind of trouble that operators were told of each machine: each is told once.
    told: Arc<Mutex<HashMap<MachineId, &'static str>>>,
}

impl Surroundings {
    /// Of a rack.
    pub fn new(world: Arc<World>, journal: Journal, clock: Arc<dyn Clock>, timing: ConsoleTiming) -> Self {
        Self { world, journal, clock, timing, told: Arc::default() }
    }

    fn tell(&self, machine: &MachineId, kind: &'static str, trouble: &str) {
        let before = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.insert(machine.clone(), kind)
        };
        if before == Some(kind) {
            return;
        }
        let snapshot = self.world.snapshot();
        let host = snapshot.hosts.iter().find(|host| host.machine == *machine);
        let name = host.map_or_else(|| machine.to_string(), |host| host.hostname.to_string());
        self.journal.append(Fact::Warning {
            code: "console.unavailable".to_owned(),
            message: format!("the serial console of {name} is not recorded: {trouble}"),
            mac: host.and_then(|host| host.interfaces.first()).map(|interface| interface.mac),
        });
    }

    /// It works again: the same trouble would be news.
    fn forget(&self, machine: &MachineId) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(machine);
    }
}

/// One recording task.
struct Recorder {
    endpoint: BmcEndpoint,
    stop: CancellationToken,
    unwished: Option<Instant>,
}

/// Records what is wished, until cancelled.
pub async fn run(consoles: Consoles, rack: Surroundings, cancel: CancellationToken) {
    let mut wishes = consoles.wishes.subscribe();
    let mut recorders: HashMap<MachineId, Recorder> = HashMap::new();
    let mut tasks: JoinSet<MachineId> = JoinSet::new();
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let wished = in_force(&wishes.borrow_and_update(), Instant::now());
        stop_unwished(&mut recorders, &wished, Instant::now());
        for (machine, endpoint) in wished {
            if recorders.contains_key(&machine) {
                continue;
            }
            let stop = cancel.child_token();
            tasks.spawn(record(endpoint.clone(), consoles.clone(), rack.clone(), stop.clone()));
            recorders.insert(machine, Recorder { endpoint, stop, unwished: None });
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            _ = wishes.changed() => {}
            _ = tick.tick() => {}
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => match ended {
                Ok(machine) => drop(recorders.remove(&machine)),
                // A task that panicked ends the rack, which is started anew.
                Err(_) => break,
            },
        }
    }
    for recorder in recorders.values() {
        recorder.stop.cancel();
    }
    while tasks.join_next().await.is_some() {}
}

/// The wishes that hold now, by machine.
fn in_force(wishes: &Wishes, now: Instant) -> HashMap<MachineId, BmcEndpoint> {
    let is_forgotten = wishes.told.is_none_or(|told| now >= told + FORGOTTEN_AFTER);
    let list = if is_forgotten { &[][..] } else { &wishes.list };
    let speaks = |endpoint: &&BmcEndpoint| endpoint.driver == DriverKind::Ipmi;
    list.iter().filter(speaks).map(|endpoint| (endpoint.machine.clone(), endpoint.clone())).collect()
}

/// Ends recorders whose console is not wished any more, after a moment, or whose BMC is reached otherwise now. They
/// stay in the list until they have given it back.
fn stop_unwished(
    recorders: &mut HashMap<MachineId, Recorder>,
    wished: &HashMap<MachineId, BmcEndpoint>,
    now: Instant,
) {
    for (machine, recorder) in recorders {
        match wished.get(machine) {
            Some(endpoint) if *endpoint == recorder.endpoint => recorder.unwished = None,
            Some(_) => recorder.stop.cancel(),
            None => {
                if now >= *recorder.unwished.get_or_insert(now) + GRACE {
                    recorder.stop.cancel();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
