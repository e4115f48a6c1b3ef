//! The remote console's half of a session: bytes in, bytes out, deadlines. No sockets and no clock of its own.
//!
//! The driver's loop: send what [`Session::poll_transmit`] gives, wait for a datagram or [`Session::deadline`], hand either to
//! [`Session::receive`] or [`Session::tick`], look at [`Session::poll_event`]. What holds: every open and every request ends
//! with exactly one event, at the latest at its own deadline, whatever arrives; junk, forged and old packets are ignored.

mod handshake;
mod retry;
mod session;
#[cfg(test)]
mod tests;
mod window;

use std::time::Duration;

use crate::command::CompletionError;
use crate::crypto::Suite;
use crate::secret::Secret;
use crate::wire::rakp::{Privilege, Status};

pub use session::Session;
pub use window::SequenceWindow;

/// Which cipher suites to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SuiteChoice {
    /// Suite 17, and 3 when the BMC does not speak it.
    #[default]
    Best,
    /// This one or nothing.
    Only(Suite),
}

/// How patiently to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Until the first repetition of an unanswered packet; grows by half each time.
    pub first_retry: Duration,
    /// Packets sent for one step of the session set-up before it starts over or fails.
    pub tries: u32,
    /// For the whole session set-up.
    pub open_within: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { first_retry: Duration::from_millis(700), tries: 5, open_within: Duration::from_secs(15) }
    }
}

/// Who logs in, and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// User name, at most 16 bytes.
    pub name: String,
    /// Password, at most 20 bytes.
    pub password: Secret,
    /// BMC key K_g where one is set, at most 20 bytes.
    pub kg: Option<Secret>,
    /// Level to work at.
    pub privilege: Privilege,
    /// Cipher suites to offer.
    pub suite: SuiteChoice,
    /// Patience.
    pub timing: Timing,
}

impl Config {
    /// A login as administrator with the best suite and usual patience.
    pub fn new(name: impl Into<String>, password: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            password: Secret::new(password),
            kg: None,
            privilege: Privilege::Administrator,
            suite: SuiteChoice::Best,
            timing: Timing::default(),
        }
    }
}

/// Why a session could not be opened, or a request not be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Name, password or key cannot be sent: too long for the protocol.
    #[error("{0} is too long for IPMI")]
    TooLong(&'static str),
    /// Nothing usable came back in time.
    #[error("the BMC did not answer ({0})")]
    Timeout(&'static str),
    /// The BMC speaks none of the offered cipher suites.
    #[error("the BMC accepts none of the offered cipher suites ({0})")]
    NoCommonSuite(Status),
    /// The BMC refused name, password or level.
    #[error("the BMC refused the login: {0}")]
    Refused(Status),
    /// The BMC's proof does not fit our password.
    #[error("wrong user name or password")]
    WrongPassword,
    /// The BMC's last proof does not fit: K_g differs.
    #[error("wrong BMC key (K_g)")]
    WrongKey,
    /// All sessions of the BMC are in use.
    #[error("the BMC has no free session")]
    Full,
    /// The session set-up was answered with another status.
    #[error("the BMC refused the session: {0}")]
    Status(Status),
    /// The user may not work at the wanted level.
    #[error("the user may not work as {0:?}")]
    PrivilegeRefused(Privilege),
    /// Setting the level failed for another reason.
    #[error("the BMC did not set the privilege level")]
    Privilege(#[source] CompletionError),
    /// The BMC kept saying that it is busy.
    #[error("the BMC stayed busy")]
    Busy,
}

/// Names a request handed to [`Session::request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub(crate) u64);

/// What happened in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The session is open at the wanted level.
    Opened(Suite),
    /// The session could not be opened.
    OpenFailed(SessionError),
    /// The answer to a request.
    Answered {
        /// The request.
        id: RequestId,
        /// Completion code, 0 for success.
        completion: u8,
        /// Data after the completion code.
        data: Vec<u8>,
    },
    /// A request got no answer. The session may be dead: open a new one.
    RequestFailed {
        /// The request.
        id: RequestId,
        /// Why.
        error: SessionError,
    },
    /// Characters from the serial console.
    SolData(Vec<u8>),
    /// The BMC ended serial over LAN.
    SolEnded,
    /// The session is closed.
    Closed,
}
