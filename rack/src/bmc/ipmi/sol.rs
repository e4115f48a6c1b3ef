//! Serial over LAN (§15): a session of its own, so that no power command waits for it.

use std::time::Duration;

use rackwright_common::bmc::{BmcEndpoint, BmcError};
use rackwright_ipmi::client::{Event, RequestId};
use rackwright_ipmi::command::CompletionError;
use rackwright_ipmi::command::device::GetDeviceId;
use rackwright_ipmi::command::sol::{ALREADY_ACTIVE, ActivateSol, DeactivateSol};
use tokio::time::{Instant, timeout};

use super::connection::{CallError, Connection};
use super::{IpmiTiming, bmc_error, login, resolve};

/// How often the BMC is asked for a sign of life. It ends a session after 60 s without traffic (§6.12.15), and OpenIPMI's
/// after 30 s without a command, however many characters went over it.
const SIGN: Duration = Duration::from_secs(12);
/// Time for good-byes.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);
/// Completion codes of Activate Payload (§24.1) that another try soon does not change: disabled, only without or only with
/// encryption; and that of a BMC that does not know the command, the payload, or does not let this user.
const NOT_OFFERED: [u8; 7] = [0x81, 0x83, 0x84, 0xc1, 0xcc, 0xd4, 0xd6];
/// As many consoles as the BMC can serve are open (§24.1).
const LIMIT_REACHED: u8 = 0x82;

/// Why there is no console.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SolError {
    /// Another rack, or a person, has it.
    #[error("somebody else has the console")]
    Taken,
    /// This BMC has no serial over LAN for us.
    #[error("the BMC offers no serial over LAN ({0}): enable it there, for this user")]
    NotOffered(String),
    /// The login or the command failed.
    #[error(transparent)]
    Bmc(#[from] BmcError),
    /// It was open, and a power command needed its session.
    #[error("the BMC has too few sessions for commands and the console")]
    GaveWay,
    /// It was open, and the BMC ended it.
    #[error("the BMC ended the console")]
    Ended,
}

/// An open serial console.
pub struct SolSession {
    connection: Connection,
    /// When to ask for the next sign of life.
    due: Instant,
    /// A sign of life that has been asked for.
    asked: Option<RequestId>,
    answer_within: Duration,
}

impl std::fmt::Debug for SolSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SolSession").finish_non_exhaustive()
    }
}

impl SolSession {
    /// Logs in and asks for the console. One that somebody else has is never taken.
    pub async fn open(endpoint: &BmcEndpoint, timing: &IpmiTiming) -> Result<Self, SolError> {
        let address = resolve(endpoint).await?;
        let login = login(endpoint, timing.session)?;
        let mut connection =
            Connection::open(address, login, timing.answer_within).await.map_err(bmc_error)?;
        match connection.run(&ActivateSol).await {
            Ok(grant) => {
                connection.start_sol(grant);
                Ok(Self {
                    connection,
                    due: Instant::now() + SIGN,
                    asked: None,
                    answer_within: timing.answer_within,
                })
            }
            Err(error) => {
                // The slot is given back at once; a BMC has few.
                let refused = refusal(error);
                drop(timeout(CLOSE_WITHIN, connection.close()).await);
                Err(refused)
            }
        }
    }

    /// The next characters. Nothing is lost when the caller stops waiting and asks again.
    pub async fn read(&mut self) -> Result<Vec<u8>, SolError> {
        loop {
            match self.connection.event_before(self.due).await {
                Some(Event::SolData(data)) => return Ok(data),
                Some(Event::SolEnded) => return Err(SolError::Ended),
                Some(Event::Answered { id, .. }) if Some(id) == self.asked => self.asked = None,
                Some(Event::RequestFailed { id, error }) if Some(id) == self.asked => {
                    return Err(bmc_error(error.into()).into());
                }
                Some(_) => {}
                None => {
                    self.due = Instant::now() + SIGN;
                    if self.asked.is_none() {
                        self.asked = Some(self.connection.ask(&GetDeviceId, self.answer_within));
                    }
                }
            }
        }
    }

    /// Types characters: they go when [`Self::read`] is called.
    pub fn write(&mut self, text: &[u8]) {
        self.connection.write_sol(text);
    }

    /// Characters that were typed and that wait for their packet.
    pub fn waiting(&self) -> usize {
        self.connection.sol_waiting()
    }

    /// Gives the console and the session back.
    pub async fn close(mut self) {
        let good_byes = async {
            drop(self.connection.run(&DeactivateSol).await);
            self.connection.close().await;
        };
        drop(timeout(CLOSE_WITHIN, good_byes).await);
    }
}

fn refusal(error: CallError) -> SolError {
    match error {
        CallError::Completion(CompletionError(ALREADY_ACTIVE | LIMIT_REACHED)) => SolError::Taken,
        CallError::Completion(error) if NOT_OFFERED.contains(&error.0) => {
            SolError::NotOffered(error.to_string())
        }
        other => SolError::Bmc(bmc_error(other)),
    }
}
