//! A BMC on a UDP socket: [`Server`] with a socket loop, a chassis program, a serial line, and faults switched at run time.
//!
//! Blocking and without a runtime on purpose: the lab starts one small process for each machine.

mod faults;
mod program;
mod serial;

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::secret::OsEntropy;
use crate::server::{Chassis, Server, ServerConfig};

pub use faults::{FaultError, FaultFile, Faults};
pub use program::ProgramChassis;
pub use serial::{Serial, SerialTarget};

/// How long the loop sleeps when nothing is under way; bounds the time to notice a stop.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// The same while somebody has the console open.
const CONSOLE_WAIT: Duration = Duration::from_millis(15);

/// A BMC bound to its address.
pub struct Simulator {
    socket: UdpSocket,
    server: Server,
    chassis: Box<dyn Chassis + Send>,
    faults: FaultFile,
    serial: Option<Serial>,
    late: VecDeque<(Instant, SocketAddr, Vec<u8>)>,
    datagrams: u64,
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Simulator {
    /// Binds the socket. The port in `config` is replaced by the one in use.
    pub fn bind(
        listen: SocketAddr,
        mut config: ServerConfig,
        chassis: Box<dyn Chassis + Send>,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind(listen)?;
        config.port = socket.local_addr()?.port();
        Ok(Self {
            socket,
            server: Server::new(config, Box::new(OsEntropy)),
            chassis,
            faults: FaultFile::none(),
            serial: None,
            late: VecDeque::new(),
            datagrams: 0,
        })
    }

    /// Takes its faults from a file that may change at any time.
    #[must_use]
    pub fn with_faults(mut self, faults: FaultFile) -> Self {
        self.faults = faults;
        self
    }

    /// Bridges serial over LAN to the machine's serial port.
    #[must_use]
    pub fn with_serial(mut self, target: SerialTarget) -> Self {
        self.serial = Some(Serial::connect(target));
        self
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Runs in a thread of its own until the handle is dropped.
    pub fn spawn(self) -> io::Result<SimulatorHandle> {
        let address = self.address()?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::Builder::new().name("bmc".into()).spawn(move || self.run(&told))?;
        Ok(SimulatorHandle { address, stop, thread: Some(thread) })
    }

    /// Runs until `stop` is set.
    pub fn run(mut self, stop: &AtomicBool) -> io::Result<()> {
        let mut buffer = [0; 2048];
        while !stop.load(Ordering::Relaxed) {
            self.server.behaviour = self.faults.refresh().behaviour;
            self.send_late()?;
            self.pump_serial()?;
            self.socket.set_read_timeout(Some(self.wait()))?;
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => self.receive(from, &buffer[..length])?,
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait(&self) -> Duration {
        let usual = if self.server.has_console() { CONSOLE_WAIT } else { IDLE_WAIT };
        match self.late.front() {
            Some((due, ..)) => {
                usual.min(due.saturating_duration_since(Instant::now())).max(Duration::from_millis(1))
            }
            None => usual,
        }
    }

    fn receive(&mut self, from: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        // Faults may have changed while the loop slept.
        let faults = self.faults.refresh();
        self.server.behaviour = faults.behaviour;
        if faults.vanished || self.is_nth(faults.drop) {
            return Ok(());
        }
        let copies = if self.is_nth(faults.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let answers = self.server.receive(Instant::now(), from, datagram, self.chassis.as_mut());
            for answer in answers {
                self.send(from, answer)?;
            }
        }
        self.pump_serial()
    }

    /// Counts a datagram: whether it is the one in `every` that the fault hits. Scattered, but the same in every run: plain
    /// counting would hit the answer to each request and never the request.
    fn is_nth(&mut self, every: Option<u64>) -> bool {
        let Some(every) = every else { return false };
        self.datagrams += 1;
        let scattered = self.datagrams.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        (scattered.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33).is_multiple_of(every)
    }

    fn send(&mut self, to: SocketAddr, datagram: Vec<u8>) -> io::Result<()> {
        let faults = self.faults.current();
        if self.is_nth(faults.drop) {
            return Ok(());
        }
        if let Some(slow) = faults.slow {
            self.late.push_back((Instant::now() + slow, to, datagram));
            return Ok(());
        }
        self.send_now(to, &datagram)?;
        if self.is_nth(faults.duplicate) {
            self.send_now(to, &datagram)?;
        }
        Ok(())
    }

    fn send_now(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        match self.socket.send_to(datagram, to) {
            Ok(_) => Ok(()),
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn send_late(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while self.late.front().is_some_and(|(due, ..)| *due <= now) {
            if let Some((_, to, datagram)) = self.late.pop_front() {
                self.send_now(to, &datagram)?;
            }
        }
        Ok(())
    }

    fn pump_serial(&mut self) -> io::Result<()> {
        if let Some(serial) = &self.serial {
            while let Some(bytes) = serial.read() {
                self.server.serial_input(&bytes);
            }
            let out = self.server.take_serial_output();
            if !out.is_empty() {
                serial.write(&out);
            }
        }
        while let Some((to, datagram)) = self.server.poll(Instant::now()) {
            self.send(to, datagram)?;
        }
        Ok(())
    }
}

/// Errors of a UDP socket that say something of one peer, not of the socket.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::Interrupted
            | ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::PermissionDenied
    )
}

/// A simulator running in a thread; dropping it stops the thread.
#[derive(Debug)]
pub struct SimulatorHandle {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Drop for SimulatorHandle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
