//! Listening to what switches say of themselves (LLDP, IEEE 802.1AB), from the agent's start on, so that an inventory
//! rarely has to wait for it.

use crate::sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rackwright_common::inventory::LldpNeighbour;
use rackwright_neighbour::lldp::{self, Lldp};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Nearest bridge, nearest non-TPMR bridge, nearest customer bridge.
const GROUPS: [[u8; 6]; 3] =
    [[1, 0x80, 0xc2, 0, 0, 0x0e], [1, 0x80, 0xc2, 0, 0, 0x03], [1, 0x80, 0xc2, 0, 0, 0]];
/// How long after the start an inventory may still wait for a neighbour.
const PATIENCE: Duration = Duration::from_secs(3);

/// The neighbours heard so far, by interface.
#[derive(Clone)]
pub struct Listener(Arc<Shared>);

struct Shared {
    heard: Mutex<HashMap<String, LldpNeighbour>>,
    news: Condvar,
    started: Instant,
}

impl Listener {
    /// Starts listening; without the right to it, nothing is ever heard.
    pub fn start(interfaces: &[String]) -> Self {
        let shared = Shared { heard: Mutex::default(), news: Condvar::new(), started: Instant::now() };
        let listener = Self(Arc::new(shared));
        match open(interfaces) {
            Ok((socket, indices)) => {
                let worker = listener.clone();
                std::thread::spawn(move || worker.listen(&socket, &indices));
            }
            Err(error) => eprintln!("rackwright-agent: cannot listen to LLDP: {error}"),
        }
        listener
    }

    /// A listener that hears nothing.
    pub fn silent() -> Self {
        let started = Instant::now();
        Self(Arc::new(Shared { heard: Mutex::default(), news: Condvar::new(), started }))
    }

    /// The neighbours of these interfaces; waits for missing ones for what is left of three seconds since the start.
    pub fn neighbours(&self, wanted: &[String]) -> HashMap<String, LldpNeighbour> {
        let left = PATIENCE.saturating_sub(self.0.started.elapsed());
        let heard = self.0.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let missing =
            |heard: &mut HashMap<String, LldpNeighbour>| wanted.iter().any(|name| !heard.contains_key(name));
        let (heard, _) =
            self.0.news.wait_timeout_while(heard, left, missing).unwrap_or_else(PoisonError::into_inner);
        heard.clone()
    }

    fn listen(&self, socket: &OwnedFd, indices: &HashMap<u32, String>) {
        let mut buffer = [0; 2048];
        loop {
            let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, PollTimeout::NONE).is_err() {
                continue;
            }
            let received = sys::receive_frame(socket, &mut buffer);
            let Ok((length, index)) = received else {
                // An interface that goes down is an error on the socket; there is no hurry.
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            if let (Some(name), Some(neighbour)) = (indices.get(&index), parse_frame(&buffer[..length])) {
                self.0.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), neighbour);
                self.0.news.notify_all();
            }
        }
    }
}

fn open(interfaces: &[String]) -> io::Result<(OwnedFd, HashMap<u32, String>)> {
    let socket = sys::packet_socket(lldp::ETHERTYPE)?;
    let mut indices = HashMap::new();
    for name in interfaces {
        let Ok(index) = nix::net::if_::if_nametoindex(name.as_str()) else { continue };
        for group in GROUPS {
            sys::join_multicast(&socket, index, group)?;
        }
        indices.insert(index, name.clone());
    }
    Ok((socket, indices))
}

/// A neighbour from an Ethernet frame, which may carry a VLAN tag.
fn parse_frame(frame: &[u8]) -> Option<LldpNeighbour> {
    let Lldp { chassis, port, system, description, vlan } = lldp::read_frame(frame)?;
    Some(LldpNeighbour { chassis, port, system, description, vlan })
}
