//! The machine's serial port: a stream socket of QEMU's (`-chardev socket,server=on,wait=off`). The connection is made again
//! whenever it breaks, since the machine is switched off and on.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Pause between two tries to connect.
const AGAIN: Duration = Duration::from_millis(300);

/// Where the serial port is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SerialTarget {
    /// `tcp:ADDRESS:PORT`.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl FromStr for SerialTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither tcp:ADDRESS:PORT nor unix:PATH");
        match text.split_once(':') {
            Some(("tcp", address)) => address.parse().map(Self::Tcp).map_err(|_| wrong()),
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            _ => Err(wrong()),
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn connect(target: &SerialTarget) -> io::Result<Self> {
        match target {
            SerialTarget::Tcp(address) => {
                TcpStream::connect_timeout(address, Duration::from_secs(2)).map(Self::Tcp)
            }
            SerialTarget::Unix(path) => UnixStream::connect(path).map(Self::Unix),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }

    fn shutdown(&self) {
        // Nothing to do for one that is gone already.
        drop(match self {
            Self::Tcp(stream) => stream.shutdown(std::net::Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(std::net::Shutdown::Both),
        });
    }
}

type Shared = Arc<Mutex<Option<Stream>>>;

/// The serial port, connected in the background.
pub struct Serial {
    incoming: Receiver<Vec<u8>>,
    outgoing: Shared,
}

impl std::fmt::Debug for Serial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serial").finish_non_exhaustive()
    }
}

impl Serial {
    /// Begins to connect.
    pub fn connect(target: SerialTarget) -> Self {
        let (sender, incoming) = channel();
        let outgoing: Shared = Arc::default();
        let shared = outgoing.clone();
        std::thread::spawn(move || keep_reading(&target, &sender, &shared));
        Self { incoming, outgoing }
    }

    /// Characters that have come in; `None` for none.
    pub fn read(&self) -> Option<Vec<u8>> {
        self.incoming.try_recv().ok()
    }

    /// Sends characters; they are lost while the machine is off, as on a real line.
    pub fn write(&self, bytes: &[u8]) {
        let mut outgoing = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        if outgoing.as_mut().is_some_and(|stream| stream.write_all(bytes).is_err()) {
            *outgoing = None;
        }
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        if let Some(stream) = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).take() {
            stream.shutdown();
        }
    }
}

/// Ends when nobody holds the other half any more.
fn keep_reading(target: &SerialTarget, sender: &Sender<Vec<u8>>, shared: &Shared) {
    while Arc::strong_count(shared) > 1 {
        if let Ok(mut stream) = Stream::connect(target) {
            *shared.lock().unwrap_or_else(PoisonError::into_inner) = stream.try_clone().ok();
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
            *shared.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        std::thread::sleep(AGAIN);
    }
}
