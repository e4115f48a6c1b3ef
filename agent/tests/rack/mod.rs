//! Racks for the tests: a small HTTP server each, all showing the same region. A test may have any request answered
//! wrongly, late, half or not at all.
#![allow(dead_code, reason = "each test file uses another part")]
#![expect(clippy::unwrap_used, reason = "a test ends where its surroundings fail")]

use rackwright_agent::link::Link;
use rackwright_agent::network::Network;
use rackwright_agent::report::Report;
use rackwright_common::Secret;
use rackwright_common::agent::{Hello, ItemResult, Progress};
use rackwright_common::snapshot::BlobRef;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// One request, as a hook sees it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which rack was asked.
    pub rack: usize,
    pub path: String,
    pub token: String,
    /// First byte of the range.
    pub start: u64,
    /// The rack shall look at its copy first.
    pub doubt: bool,
    pub body: Value,
}

/// What a hook may do instead of the right answer.
pub enum Fault {
    Status(u16),
    /// No answer at all.
    Close,
    /// The right answer, broken off after so many bytes of its body.
    Cut(usize),
    /// The right answer, with one byte changed.
    Flip(usize),
    /// The whole blob, whatever range was asked for.
    IgnoreRange,
}

type Hook = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

/// The region behind the racks.
#[derive(Default)]
pub struct State {
    pub items: Vec<Value>,
    /// Numbers of items whose result was taken.
    pub ended: BTreeSet<i64>,
    /// Items from this number on may be under way together; as many are given as there are.
    pub together: Option<i64>,
    pub hellos: Vec<Hello>,
    pub progress: Vec<(i64, Progress)>,
    pub results: Vec<(i64, ItemResult)>,
    pub blobs: HashMap<String, Vec<u8>>,
    pub requests: Vec<Request>,
    pub hook: Option<Hook>,
}

/// Racks with one region.
#[derive(Clone)]
pub struct World {
    pub state: Arc<Mutex<State>>,
    pub racks: Vec<String>,
}

impl World {
    pub fn new(racks: usize) -> Self {
        let mut world = Self { state: Arc::default(), racks: Vec::new() };
        for index in 0..racks {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            world.racks.push(listener.local_addr().unwrap().to_string());
            let state = world.state.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = state.clone();
                    std::thread::spawn(move || serve(stream, index, &state));
                }
            });
        }
        world
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn hook(&self, hook: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        self.state().hook = Some(Box::new(hook));
    }

    /// Work under operation 7, epoch 1; item numbers count from 1.
    pub fn give(&self, work: Value) {
        self.give_fenced(work, 7, 1);
    }

    pub fn give_fenced(&self, work: Value, operation: i64, epoch: i64) {
        let mut state = self.state();
        let id = state.items.len() + 1;
        state.items.push(json!({"id": id, "fence": {"operation": operation, "epoch": epoch}, "work": work}));
    }

    pub fn blob(&self, bytes: Vec<u8>) -> BlobRef {
        let blob = BlobRef { sha256: hex::encode(Sha256::digest(&bytes)), size: bytes.len() as u64 };
        self.state().blobs.insert(blob.sha256.clone(), bytes);
        blob
    }

    /// Waits for a result; says what was seen when there is none in time.
    pub fn result(&self, item: i64) -> ItemResult {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let state = self.state();
            if let Some((_, result)) = state.results.iter().find(|(id, _)| *id == item) {
                return result.clone();
            }
            let last: Vec<&String> =
                state.requests.iter().rev().take(5).map(|request| &request.path).collect();
            assert!(Instant::now() < deadline, "no result of item {item}; last requests: {last:?}");
            drop(state);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A report as a library test needs it.
    pub fn report(&self) -> Report {
        let boot = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        let token = Secret::new("tok".to_owned());
        let link = Arc::new(Link::new(self.racks.clone(), token, boot, Network::new(false)));
        Report::start(link, 1).0
    }

    /// Starts the agent's executable on a machine whose root is `root`.
    pub fn agent(&self, root: &Path) -> Agent {
        let cmdline = root.join("cmdline");
        let racks = self.racks.join(",");
        let text =
            format!("quiet rackwright.racks={racks} rackwright.token=tok BOOTIF=01-52-54-00-00-00-01\n");
        std::fs::write(&cmdline, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_rackwright-agent"))
            .args(["--simulate-power", "--root"])
            .arg(root)
            .arg("--cmdline")
            .arg(&cmdline)
            .arg("--work")
            .arg(root.join("work"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Agent(Some(child))
    }
}

/// A running agent; killed when dropped.
pub struct Agent(Option<Child>);

impl Agent {
    /// Waits for its end.
    pub fn ended(mut self) -> (Output, String) {
        let mut child = self.0.take().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
                panic!("the agent did not end: {:?}", child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = child.wait_with_output().unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output, text)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn serve(stream: TcpStream, rack: usize, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some(request) = read_request(&mut reader, rack) else { return };
    let fault = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        let mut hook = state.hook.take();
        let fault = hook.as_mut().and_then(|hook| hook(&request));
        state.hook = hook;
        fault
    };
    let ranged = !matches!(fault, Some(Fault::IgnoreRange));
    let (status, mut body) = match fault {
        Some(Fault::Close) => return,
        Some(Fault::Status(status)) => (status, Vec::new()),
        _ => answer(&request, ranged, state),
    };
    if let Some(Fault::Flip(at)) = fault {
        body[at] ^= 1;
    }
    let mut stream = stream;
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let end = if let Some(Fault::Cut(at)) = fault { at.min(body.len()) } else { body.len() };
    stream.write_all(head.as_bytes()).ok();
    stream.write_all(&body[..end]).ok();
}

fn read_request(reader: &mut impl BufRead, rack: usize) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut request = Request { rack, path, token: String::new(), start: 0, doubt: false, body: Value::Null };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => value.clone_into(&mut request.token),
            "cache-control" => request.doubt = value == "no-cache",
            "range" => request.start = value.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(request)
}

fn answer(request: &Request, ranged: bool, state: &Mutex<State>) -> (u16, Vec<u8>) {
    let mut state = state.lock().unwrap();
    let item = request.path.split('/').nth(4).and_then(|id| id.parse::<i64>().ok());
    let read = || request.body.clone();
    match (request.path.rsplit('/').next(), item) {
        (Some("hello"), _) => {
            state.hellos.push(serde_json::from_value(read()).unwrap());
            (200, json!({"machine": "abc123", "token": "second"}).to_string().into_bytes())
        }
        (Some("next"), _) => (200, next(&state).to_string().into_bytes()),
        (Some("progress"), Some(item)) => {
            state.progress.push((item, serde_json::from_value(read()).unwrap()));
            (204, Vec::new())
        }
        (Some("result"), Some(item)) => {
            state.results.push((item, serde_json::from_value(read()).unwrap()));
            state.ended.insert(item);
            (204, Vec::new())
        }
        (Some(hash), None) if request.path.starts_with("/blob/") => match state.blobs.get(hash) {
            Some(blob) if request.start > 0 && ranged => (206, blob[request.start as usize..].to_vec()),
            Some(blob) => (200, blob.clone()),
            None => (404, Vec::new()),
        },
        _ => (404, Vec::new()),
    }
}

/// The first item that has not ended; and, of scripts that may be together, the others too.
fn next(state: &State) -> Value {
    let open = |item: &&Value| !state.ended.contains(&item["id"].as_i64().unwrap());
    let mut open = state.items.iter().filter(open);
    let Some(first) = open.next() else { return json!({"item": null}) };
    let together = state.together.is_some_and(|from| first["id"].as_i64() >= Some(from));
    let beside: Vec<&Value> = open.take_while(|item| together && item["work"]["kind"] == "script").collect();
    json!({"item": first, "beside": beside})
}
