//! A session on a UDP socket of tokio's: moves bytes and time, decides nothing.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rackwright_ipmi::client::{Config, Event, RequestId, Session, SessionError};
use rackwright_ipmi::command::device::GetDeviceId;
use rackwright_ipmi::command::sol::SolGrant;
use rackwright_ipmi::command::{Command, CommandError, CompletionError, read_answer};
use rackwright_ipmi::{DecodeError, OsEntropy};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::debug;

use super::quirks::Quirks;

/// Time for a sign of life from a session that was kept.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the network failed")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Completion(CompletionError),
    #[error("{0}")]
    NoEffect(&'static str),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl From<CommandError> for CallError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Completion(error) => Self::Completion(error),
            CommandError::Decode(error) => Self::Decode(error),
        }
    }
}

/// An open session with its socket.
pub(super) struct Connection {
    socket: UdpSocket,
    session: Session,
    quirks: Quirks,
    answer_within: Duration,
    last_command: Instant,
}

impl Connection {
    /// Logs in and asks the BMC who made it.
    pub(super) async fn open(
        address: SocketAddr,
        config: Config,
        answer_within: Duration,
    ) -> Result<Self, CallError> {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        let session = Session::new(config, Box::new(OsEntropy));
        let now = Instant::now();
        let mut connection =
            Self { socket, session, quirks: Quirks::unknown(), answer_within, last_command: now };
        connection.session.open(now.into_std());
        loop {
            match connection.next_event().await {
                Some(Event::Opened(suite)) => {
                    debug!(%address, suite = suite.id(), "BMC session open");
                    break;
                }
                Some(Event::OpenFailed(error)) => return Err(error.into()),
                Some(_) => {}
                None => return Err(SessionError::Timeout("opening a session").into()),
            }
        }
        let device = connection.run(&GetDeviceId).await?;
        connection.quirks = Quirks::of(&device);
        Ok(connection)
    }

    /// How this BMC differs from others.
    pub(super) fn quirks(&self) -> &Quirks {
        &self.quirks
    }

    /// The session still answers.
    pub(super) async fn is_alive(&mut self) -> bool {
        self.call(&GetDeviceId, SIGN_OF_LIFE).await.is_ok()
    }

    /// Runs one command, not sooner after the last one than the BMC likes.
    pub(super) async fn run<C: Command + Sync>(&mut self, command: &C) -> Result<C::Answer, CallError> {
        self.call(command, self.answer_within).await
    }

    async fn call<C: Command + Sync>(
        &mut self,
        command: &C,
        within: Duration,
    ) -> Result<C::Answer, CallError> {
        sleep_until(self.last_command + self.quirks.gap).await;
        let id = self.ask(command, within);
        let answer = self.wait_for(id).await;
        self.last_command = Instant::now();
        let (completion, data) = answer?;
        Ok(read_answer(command, completion, &data)?)
    }

    /// Sends a command without waiting; its end comes as an event.
    pub(super) fn ask<C: Command>(&mut self, command: &C, within: Duration) -> RequestId {
        let now = Instant::now();
        self.session.request(now.into_std(), command.request(), (now + within).into_std())
    }

    /// The BMC has granted its serial console: characters come as events.
    pub(super) fn start_sol(&mut self, grant: SolGrant) {
        self.session.start_sol(grant.to_bmc);
    }

    /// Sends characters to the serial console.
    pub(super) fn write_sol(&mut self, text: &[u8]) {
        self.session.write_sol(Instant::now().into_std(), text);
    }

    /// Characters that the BMC has not taken yet.
    pub(super) fn sol_waiting(&self) -> usize {
        self.session.sol_waiting()
    }

    async fn wait_for(&mut self, wanted: RequestId) -> Result<(u8, Vec<u8>), CallError> {
        loop {
            match self.next_event().await {
                Some(Event::Answered { id, completion, data }) if id == wanted => {
                    return Ok((completion, data));
                }
                Some(Event::RequestFailed { id, error }) if id == wanted => return Err(error.into()),
                Some(_) => {}
                None => return Err(SessionError::Timeout("a command").into()),
            }
        }
    }

    /// Says good-bye, so that the BMC frees one of its few session slots.
    pub(super) async fn close(mut self) {
        self.session.close(Instant::now().into_std());
        while let Some(event) = self.next_event().await {
            if event == Event::Closed {
                return;
            }
        }
    }

    /// Moves bytes until something happens; `None` when nothing is under way.
    async fn next_event(&mut self) -> Option<Event> {
        loop {
            self.send_waiting().await;
            if let Some(event) = self.session.poll_event() {
                return Some(event);
            }
            let wake = Instant::from_std(self.session.deadline()?);
            self.receive_until(wake).await;
        }
    }

    /// The same, whether or not anything is under way, until `limit`. Nothing is lost when the caller stops waiting.
    pub(super) async fn event_before(&mut self, limit: Instant) -> Option<Event> {
        loop {
            self.send_waiting().await;
            if let Some(event) = self.session.poll_event() {
                return Some(event);
            }
            if Instant::now() >= limit {
                return None;
            }
            let wake = self.session.deadline().map_or(limit, |due| Instant::from_std(due).min(limit));
            self.receive_until(wake).await;
        }
    }

    async fn send_waiting(&mut self) {
        while let Some(datagram) = self.session.poll_transmit() {
            if let Err(error) = self.socket.send(&datagram).await {
                // A closed port is told late and for an earlier packet; the session's deadline decides.
                debug!(%error, "sending to the BMC failed");
            }
        }
    }

    async fn receive_until(&mut self, wake: Instant) {
        let mut buffer = [0; 2048];
        match timeout_at(wake, self.socket.recv(&mut buffer)).await {
            Ok(Ok(length)) => {
                let received = buffer.get(..length).unwrap_or_default();
                self.session.receive(Instant::now().into_std(), received);
            }
            Ok(Err(error)) => debug!(%error, "the BMC's port is closed"),
            Err(_elapsed) => {}
        }
        self.session.tick(Instant::now().into_std());
    }
}
