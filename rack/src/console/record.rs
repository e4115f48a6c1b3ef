//! Records one console: opens it, reads it, opens it again.

use super::{Consoles, Surroundings};
use crate::bmc::{IpmiTiming, SolError, SolSession};
use rackwright_common::MachineId;
use rackwright_common::bmc::{BmcEndpoint, BmcError};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// No more is typed into a line before fewer characters than this wait for it.
const WAITING: usize = 512;
/// How often a line that takes no more is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How soon a console is asked for again.
#[derive(Debug, Clone, Copy)]
pub struct ConsoleTiming {
    /// Of the sessions.
    pub session: IpmiTiming,
    /// When somebody else has it.
    pub taken: Duration,
    /// When the BMC did not answer, for the first time; each further pause is twice as long, up to `taken`.
    pub lost: Duration,
    /// When the BMC has none for us, or refuses the login.
    pub refused: Duration,
}

impl Default for ConsoleTiming {
    fn default() -> Self {
        Self {
            session: IpmiTiming::default(),
            taken: Duration::from_secs(30),
            lost: Duration::from_secs(2),
            refused: Duration::from_secs(600),
        }
    }
}

/// Records until told to stop; gives back whose console it was.
pub(super) async fn record(
    endpoint: BmcEndpoint,
    consoles: Consoles,
    rack: Surroundings,
    stop: CancellationToken,
) -> MachineId {
    let timing = rack.timing;
    let machine = endpoint.machine.clone();
    let mut lost = timing.lost;
    while !stop.is_cancelled() {
        // An attempt is not broken off: the BMC would keep its half.
        let error = match SolSession::open(&endpoint, &timing.session).await {
            Ok(session) => {
                rack.forget(&machine);
                lost = timing.lost;
                match listen(session, &machine, &consoles, &rack, &stop).await {
                    Some(error) => error,
                    None => break,
                }
            }
            Err(error) => error,
        };
        let pause = match &error {
            SolError::Taken | SolError::GaveWay => timing.taken,
            SolError::NotOffered(_) => {
                rack.tell(&machine, "not offered", &error.to_string());
                timing.refused
            }
            SolError::Bmc(BmcError::Login(_) | BmcError::Unsupported(_)) => {
                rack.tell(&machine, "login", &error.to_string());
                timing.refused
            }
            SolError::Ended | SolError::Bmc(_) => {
                let pause = lost;
                lost = (lost * 2).min(timing.taken);
                pause
            }
        };
        tracing::debug!(machine.id = %machine, %error, again_in = ?pause, "the console is not open");
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(pause) => {}
        }
    }
    machine
}

/// Reads an open console to its end; `None` when told to stop.
async fn listen(
    mut session: SolSession,
    machine: &MachineId,
    consoles: &Consoles,
    rack: &Surroundings,
    stop: &CancellationToken,
) -> Option<SolError> {
    let id = Uuid::new_v4();
    tracing::info!(machine.id = %machine, console.session = %id, "recording the console");
    let mut orders = consoles.with_tape(machine, |tape| tape.begin(id, rack.clock.now(), Instant::now()));
    let ended = loop {
        tokio::select! {
            () = stop.cancelled() => break None,
            () = orders.way.notified() => break Some(SolError::GaveWay),
            // A line is slow: what it has not taken waits where regions count it.
            Some((seq, text)) = orders.keys.recv(), if session.waiting() < WAITING => {
                session.write(text.expose().as_bytes());
                consoles.has_typed(machine, seq);
            }
            () = sleep(LOOK), if session.waiting() >= WAITING => {}
            read = session.read() => match read {
                Ok(bytes) => {
                    consoles.with_tape(machine, |tape| tape.write(&bytes, Instant::now()));
                    consoles.has_written(machine);
                }
                Err(error) => break Some(error),
            },
        }
    };
    consoles.with_tape(machine, super::Tape::end);
    match &ended {
        Some(error) => tracing::info!(machine.id = %machine, %error, "the console is lost"),
        None => tracing::info!(machine.id = %machine, "the console is given back"),
    }
    session.close().await;
    ended
}
