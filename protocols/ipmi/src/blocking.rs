//! A blocking client over one UDP socket: for tools and tests. Controllers drive [`Session`] from their own loop.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::client::{Config, Event, RequestId, Session, SessionError};
use crate::command::boot::{BootFlags, set_boot_steps};
use crate::command::{Command, CommandError, read_answer};
use crate::crypto::Suite;
use crate::secret::OsEntropy;
use crate::wire::message::Request;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket failed.
    #[error("the network failed")]
    Io(#[from] io::Error),
    /// The session could not be opened, or died.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The BMC refused the command, or its answer makes no sense.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// An open session.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    session: Session,
    /// The cipher suite in use.
    pub suite: Suite,
    /// For one command.
    pub answer_within: Duration,
}

impl Client {
    /// Opens a session with the BMC at `address`.
    pub fn open(address: SocketAddr, config: Config) -> Result<Self, ClientError> {
        let any: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        let mut session = Session::new(config, Box::new(OsEntropy));
        session.open(Instant::now());
        let mut client =
            Self { socket, session, suite: Suite::Three, answer_within: Duration::from_secs(10) };
        loop {
            match client.next_event(None)? {
                Some(Event::Opened(suite)) => {
                    client.suite = suite;
                    return Ok(client);
                }
                Some(Event::OpenFailed(error)) => return Err(error.into()),
                _ => {}
            }
        }
    }

    /// Runs one command and reads its answer.
    pub fn run<C: Command>(&mut self, command: &C) -> Result<C::Answer, ClientError> {
        let (completion, data) = self.send(command.request())?;
        Ok(read_answer(command, completion, &data)?)
    }

    /// Sends a request: completion code and data of its answer.
    pub fn send(&mut self, request: Request) -> Result<(u8, Vec<u8>), ClientError> {
        let now = Instant::now();
        let id = self.session.request(now, request, now + self.answer_within);
        self.wait_for(id)
    }

    fn wait_for(&mut self, wanted: RequestId) -> Result<(u8, Vec<u8>), ClientError> {
        loop {
            match self.next_event(None)? {
                Some(Event::Answered { id, completion, data }) if id == wanted => {
                    return Ok((completion, data));
                }
                Some(Event::RequestFailed { id, error }) if id == wanted => return Err(error.into()),
                _ => {}
            }
        }
    }

    /// Sets the boot flags with everything around them.
    pub fn set_boot(&mut self, flags: BootFlags) -> Result<(), ClientError> {
        for step in set_boot_steps(flags, false) {
            let result = self.run(&step.command);
            if step.required {
                result?;
            }
        }
        Ok(())
    }

    /// The session, for serial over LAN.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Moves bytes until something happens, at most until `until`.
    pub fn next_event(&mut self, until: Option<Instant>) -> Result<Option<Event>, ClientError> {
        let mut buffer = [0; 2048];
        loop {
            while let Some(datagram) = self.session.poll_transmit() {
                // A refused port shows as an error of a later send: the deadline decides, not this.
                drop(self.socket.send(&datagram));
            }
            if let Some(event) = self.session.poll_event() {
                return Ok(Some(event));
            }
            let now = Instant::now();
            let Some(wake) = self.session.deadline().into_iter().chain(until).min() else { return Ok(None) };
            if until.is_some_and(|until| now >= until) {
                return Ok(None);
            }
            let wait = wake.saturating_duration_since(now).max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(wait))?;
            if let Ok(length) = self.socket.recv(&mut buffer) {
                self.session.receive(Instant::now(), &buffer[..length]);
            }
            self.session.tick(Instant::now());
        }
    }

    /// Closes the session so that the BMC frees its slot.
    pub fn close(mut self) -> Result<(), ClientError> {
        self.session.close(Instant::now());
        while let Some(event) = self.next_event(None)? {
            if event == Event::Closed {
                break;
            }
        }
        Ok(())
    }
}
