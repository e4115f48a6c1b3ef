//! Requests to the racks. Any rack may answer any request; one that does not is passed over, and when none does the
//! agent waits a little longer each time (200 ms to 5 s) and asks again, for ever.

use crate::network::Network;
use rackwright_common::Secret;
use rackwright_common::snapshot::BlobRef;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};
use uuid::Uuid;

const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(15);
/// A download that brings no byte for this long is broken off.
const STALLED: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Without any answer for this long, the network itself is looked after.
const NETWORK_LOST: Duration = Duration::from_secs(30);
const LARGEST_ANSWER: u64 = 32 << 20;
/// A result that every rack refuses is given up after this many rounds; the region then gives the item again.
const REFUSED_ROUNDS: u32 = 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// 401 or 410.
    #[error("the token is no longer good")]
    Withdrawn,
    /// The region will not have it, however often it is told.
    #[error("refused with status {0}")]
    Refused(u16),
    /// No rack answered (only where a call does not wait for ever).
    #[error("{0}")]
    Silent(String),
}

/// Why one rack gave no answer.
#[derive(Debug)]
enum Miss {
    Withdrawn,
    Status(u16),
    Silent(String),
}

/// The way to the racks.
pub struct Link {
    racks: Vec<String>,
    preferred: AtomicUsize,
    token: RwLock<Secret<String>>,
    http: ureq::Agent,
    network: Network,
    withdrawn: AtomicBool,
    doubting: AtomicBool,
    sequence: AtomicU64,
    /// This boot.
    pub boot_id: Uuid,
}

impl Link {
    /// A link; nothing is sent yet.
    pub fn new(racks: Vec<String>, token: Secret<String>, boot_id: Uuid, network: Network) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .user_agent(concat!("rackwright-agent/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            racks,
            preferred: AtomicUsize::new(0),
            token: RwLock::new(token),
            http: config.into(),
            network,
            withdrawn: AtomicBool::new(false),
            doubting: AtomicBool::new(false),
            sequence: AtomicU64::new(first_sequence()),
            boot_id,
        }
    }

    /// From now on this token is used.
    pub fn set_token(&self, token: String) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Secret::new(token);
    }

    /// Whether a rack has said that the token is no longer good.
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::SeqCst)
    }

    /// The next sequence number of this boot.
    pub fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Asks until there is an answer that can be read. `patience` is how long a rack may think about it.
    pub fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<T, LinkError> {
        let mut wait = Backoff::new();
        loop {
            let answer = self.round(path, body, ANSWER + patience).and_then(|bytes| {
                serde_json::from_slice(&bytes)
                    .map_err(|e| Miss::Silent(format!("an answer that makes no sense: {e}")))
            });
            match answer {
                Ok(value) => return Ok(value),
                Err(Miss::Withdrawn) => return Err(LinkError::Withdrawn),
                Err(Miss::Status(status)) => wait.sleep(self, path, &format!("status {status}")),
                Err(Miss::Silent(why)) => wait.sleep(self, path, &why),
            }
        }
    }

    /// Tells until it is accepted, or refused so often that telling it again is of no use.
    pub fn tell(&self, path: &str, body: &impl Serialize) -> Result<(), LinkError> {
        let mut wait = Backoff::new();
        let mut refused = 0;
        loop {
            let why = match self.round(path, body, ANSWER) {
                Ok(_) => return Ok(()),
                Err(Miss::Withdrawn) => return Err(LinkError::Withdrawn),
                Err(Miss::Status(status)) => {
                    let for_good = (400..500).contains(&status) && status != 408 && status != 429;
                    refused = if for_good { refused + 1 } else { 0 };
                    if refused >= REFUSED_ROUNDS {
                        return Err(LinkError::Refused(status));
                    }
                    format!("status {status}")
                }
                Err(Miss::Silent(why)) => why,
            };
            wait.sleep(self, path, &why);
        }
    }

    /// Tells each rack once, until one accepts it.
    pub fn tell_once(&self, path: &str, body: &impl Serialize) -> Result<(), LinkError> {
        match self.round(path, body, ANSWER) {
            Ok(_) => Ok(()),
            Err(Miss::Withdrawn) => Err(LinkError::Withdrawn),
            Err(Miss::Status(status)) => Err(LinkError::Refused(status)),
            Err(Miss::Silent(why)) => Err(LinkError::Silent(why)),
        }
    }

    /// One request to each rack in turn, the one that answered last first.
    fn round(&self, path: &str, body: &impl Serialize, patience: Duration) -> Result<Vec<u8>, Miss> {
        let body =
            serde_json::to_vec(body).map_err(|e| Miss::Silent(format!("cannot be written as JSON: {e}")))?;
        let mut miss = Miss::Silent("there is no rack".to_owned());
        let preferred = self.preferred.load(Ordering::Relaxed);
        for step in 0..self.racks.len() {
            let index = (preferred + step) % self.racks.len();
            match self.post(&self.racks[index], path, &body, patience) {
                Ok(answer) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(Miss::Withdrawn) => {
                    self.withdrawn.store(true, Ordering::SeqCst);
                    return Err(Miss::Withdrawn);
                }
                Err(Miss::Silent(why)) => miss = Miss::Silent(format!("{}: {why}", self.racks[index])),
                Err(status) => miss = status,
            }
        }
        Err(miss)
    }

    fn post(&self, rack: &str, path: &str, body: &[u8], patience: Duration) -> Result<Vec<u8>, Miss> {
        let silent = |e: ureq::Error| Miss::Silent(e.to_string());
        let answer = self
            .http
            .post(format!("http://{rack}{path}"))
            .header("Authorization", self.authorization())
            .content_type("application/json")
            .config()
            .timeout_global(Some(CONNECT + patience + ANSWER))
            .timeout_recv_response(Some(patience))
            .build()
            .send(body);
        let mut answer = answer.map_err(silent)?;
        match answer.status().as_u16() {
            200..300 => answer.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec().map_err(silent),
            401 | 410 => {
                // The reason is for the person who stands before the console.
                let why = answer.body_mut().with_config().limit(4096).read_to_string().unwrap_or_default();
                eprintln!("rackwright-agent: {rack} says: {}", why.trim());
                Err(Miss::Withdrawn)
            }
            status => Err(Miss::Status(status)),
        }
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.token.read().unwrap_or_else(PoisonError::into_inner).expose())
    }

    /// The racks, `address:port`.
    pub fn addresses(&self) -> &[String] {
        &self.racks
    }

    /// How many racks there are.
    pub fn racks(&self) -> usize {
        self.racks.len()
    }

    /// Something arrived damaged: from now on racks are told to look at their copies before they serve them.
    pub fn doubt(&self) {
        self.doubting.store(true, Ordering::Relaxed);
    }

    /// Opens a blob from byte `offset` on, at the rack that is `turn` places after the preferred one.
    /// The reader may begin before `offset` when the rack serves no ranges; how far is given back with it.
    pub fn open_blob(
        &self,
        blob: &BlobRef,
        offset: u64,
        turn: usize,
    ) -> Result<(u64, Box<dyn Read + Send>), LinkError> {
        let index = (self.preferred.load(Ordering::Relaxed) + turn) % self.racks.len();
        let mut request = self
            .http
            .get(format!("http://{}/blob/{}", self.racks[index], blob.sha256))
            .header("Authorization", self.authorization());
        if offset > 0 {
            request = request.header("Range", format!("bytes={offset}-"));
        }
        if self.doubting.load(Ordering::Relaxed) {
            request = request.header("Cache-Control", "no-cache");
        }
        let answer = request
            .config()
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(STALLED))
            .build()
            .call()
            .map_err(|e| LinkError::Silent(format!("{}: {e}", self.racks[index])))?;
        let start = match answer.status().as_u16() {
            206 => offset,
            200 => 0,
            status => return Err(LinkError::Refused(status)),
        };
        let reader = answer.into_body().into_with_config().limit(u64::MAX).reader();
        Ok((offset - start, Box::new(reader)))
    }
}

/// Above every number of an agent that ran before in this boot and was killed: microseconds since the kernel's start, and
/// nobody sends a message each microsecond.
fn first_sequence() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split(' ').next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
    (seconds * 1e6) as u64
}

/// Waits longer each time.
pub struct Backoff {
    wait: Duration,
    since: Instant,
    looked_after: Instant,
    said: Option<Instant>,
}

impl Backoff {
    /// Starts with the shortest wait.
    pub fn new() -> Self {
        let now = Instant::now();
        Self { wait: FIRST_WAIT, since: now, looked_after: now, said: None }
    }

    /// Time since the first failure.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Waits, and looks after the network when nothing has worked for long.
    pub fn sleep(&mut self, link: &Link, what: &str, why: &str) {
        if self.said.is_none_or(|at| at.elapsed() > NETWORK_LOST) {
            self.said = Some(Instant::now());
            eprintln!("rackwright-agent: {what}: {why}; trying again");
        }
        if self.looked_after.elapsed() > NETWORK_LOST {
            self.looked_after = Instant::now();
            link.network.renew();
        }
        std::thread::sleep(self.wait + jitter(self.wait));
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// Up to a quarter of the wait, so that a room of machines does not ask in step.
fn jitter(wait: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    wait / 4 * (nanos / 1000 % 1000) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_is_started_again_counts_on_above_what_it_has_said() {
        let link = || Link::new(Vec::new(), Secret::default(), Uuid::nil(), Network::new(false));
        let killed = link();
        let last = (0..1000).map(|_| killed.next_sequence()).max().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        // An agent is not started again within the hundredth of a second that the kernel's clock here counts in.
        while first_sequence() + 1000 < last + 10_000 {
            assert!(Instant::now() < deadline, "{} after {last}", first_sequence());
            std::thread::yield_now();
        }
        assert!(link().next_sequence() > last);
    }
}
