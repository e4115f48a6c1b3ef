//! A relay between an owner and its database that looks into the protocol, so that the owner can be killed or stopped
//! before any statement of its: whatever the code sends, in the order it is sent.
//!
//! Message formats: "Frontend/Backend Protocol" of PostgreSQL's manual, version 3.0. What prepares a statement without
//! running it is not counted: it changes nothing. The database ends the session of an owner that stands still inside a
//! transaction, before its claim is over; here it does so at once, and the owner learns of it when it wakes up.

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

/// What becomes of the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It works.
    Works,
    /// It has gone: its connection is closed.
    Killed,
    /// It stands still, and its connection with it.
    Stopped,
}

/// The relay.
pub struct DatabaseRelay {
    options: PgConnectOptions,
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    always_holds: AtomicBool,
    state: watch::Sender<State>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    statements: Vec<String>,
    end: Option<(usize, State)>,
}

impl Shared {
    /// Counts a statement; whether it may pass.
    fn may_pass(&self, statement: String) -> bool {
        let mut seen = self.seen.lock().unwrap();
        let number = seen.statements.len();
        seen.statements.push(statement);
        match seen.end {
            Some((at, state)) if at == number => {
                self.state.send_replace(state);
                false
            }
            _ => *self.state.borrow() == State::Works,
        }
    }
}

impl DatabaseRelay {
    /// A relay to the database of this URL.
    pub fn new(url: &str) -> Self {
        let options = PgConnectOptions::from_str(url).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared {
            always_holds: AtomicBool::new(false),
            state: watch::Sender::new(State::Works),
            seen: Mutex::default(),
        });
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (server, through) = (options.clone(), shared.clone());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(client, server.clone(), through.clone()));
            }
        });
        Self { options, folder, shared }
    }

    /// Begins to count anew: before statement number `at`, of an owner that comes now, its state becomes this one.
    pub fn arm(&self, end: Option<(usize, State)>) {
        *self.shared.seen.lock().unwrap() = Seen { statements: Vec::new(), end };
        self.shared.state.send_replace(State::Works);
    }

    /// From now on the database says yes whenever an owner asks whether its claim still holds: a planted fault.
    pub fn always_holds(&self) {
        self.shared.always_holds.store(true, Ordering::SeqCst);
    }

    /// The connection of one owner.
    pub fn pool(&self) -> PgPool {
        let options = self.options.clone().socket(self.folder.path()).port(5432);
        // The relay reads what is said, and knows no other greeting.
        let options = options.ssl_mode(PgSslMode::Disable);
        PgPoolOptions::new().max_connections(1).connect_lazy_with(options)
    }

    /// The statements that were sent, in order.
    pub fn statements(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().statements.clone()
    }

    /// Waits until the owner works no more.
    pub async fn ended(&self) -> State {
        *self.shared.state.subscribe().wait_for(|state| *state != State::Works).await.unwrap()
    }

    /// Whether the owner works.
    pub fn works(&self) -> bool {
        *self.shared.state.borrow() == State::Works
    }

    /// A stopped owner goes on.
    pub fn wake(&self) {
        self.shared.seen.lock().unwrap().end = None;
        self.shared.state.send_replace(State::Works);
    }
}

async fn carry(client: UnixStream, options: PgConnectOptions, shared: Arc<Shared>) {
    // As the library does: a folder as host name is one of sockets.
    let socket = options.get_socket().cloned().or_else(|| {
        let host = PathBuf::from(options.get_host());
        host.is_absolute().then_some(host)
    });
    let port = options.get_port();
    match socket {
        Some(folder) => {
            let server = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await.unwrap();
            let (read, write) = server.into_split();
            both(client, read, write, shared).await;
        }
        None => {
            let server = TcpStream::connect((options.get_host(), port)).await.unwrap();
            let (read, write) = server.into_split();
            both(client, read, write, shared).await;
        }
    }
}

async fn both(
    client: UnixStream,
    mut from_server: impl AsyncRead + Unpin,
    to_server: impl AsyncWrite + Unpin,
    shared: Arc<Shared>,
) {
    let (from_client, mut to_client) = client.into_split();
    let mut state = shared.state.subscribe();
    let answers = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = from_server.read(&mut buffer).await?;
            works(&mut state).await;
            if read == 0 {
                return Ok::<_, std::io::Error>(());
            }
            to_client.write_all(&buffer[..read]).await?;
        }
    };
    let mut killed = shared.state.subscribe();
    // Whoever ends first: both connections are closed.
    tokio::select! {
        _ = answers => {}
        _ = ask(from_client, to_server, &shared) => {}
        _ = killed.wait_for(|state| *state == State::Killed) => {}
    }
}

async fn works(state: &mut watch::Receiver<State>) {
    drop(state.wait_for(|state| *state == State::Works).await);
}

/// Passes on what the client sends, a group of messages up to its end at a time.
async fn ask(
    mut client: impl AsyncRead + Unpin,
    mut server: impl AsyncWrite + Unpin,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut state = shared.state.subscribe();
    // The first message has no type: a length that counts itself, then the rest.
    let length = client.read_u32().await?;
    let mut start = vec![0; length as usize - 4];
    client.read_exact(&mut start).await?;
    server.write_u32(length).await?;
    server.write_all(&start).await?;
    let (mut prepared, mut group) = (HashMap::new(), Group::default());
    let mut in_transaction = false;
    loop {
        let kind = client.read_u8().await?;
        let length = client.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        client.read_exact(&mut body).await?;
        if kind == b'P' && shared.always_holds.load(Ordering::SeqCst) {
            body = without_check(body);
        }
        group.add(kind, &body, &mut prepared);
        if !matches!(kind, b'S' | b'Q' | b'X' | b'p') {
            continue;
        }
        let Group { bytes, statement, runs } = std::mem::take(&mut group);
        let (begins, ends) = (statement == "BEGIN", matches!(statement.as_str(), "COMMIT" | "ROLLBACK"));
        if runs && !shared.may_pass(statement) {
            if in_transaction {
                server.shutdown().await?;
                works(&mut state).await;
                return Ok(());
            }
            works(&mut state).await;
        }
        in_transaction = begins || in_transaction && !ends;
        server.write_all(&bytes).await?;
    }
}

/// A Parse message of the question whether a claim holds, asking something that is always so.
fn without_check(body: Vec<u8>) -> Vec<u8> {
    let question = b"SELECT epoch = $2 AND status = 'running'";
    let Some(at) = body.windows(question.len()).position(|text| text == question) else { return body };
    let end = at + body[at..].iter().position(|byte| *byte == 0).unwrap();
    let yes = br#"SELECT $2::bigint IS NOT NULL AS "ours!" FROM operation WHERE id = $1 FOR UPDATE"#;
    [&body[..at], yes, &body[end..]].concat()
}

/// Messages that the server answers together.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    statement: String,
    runs: bool,
}

impl Group {
    fn add(&mut self, kind: u8, body: &[u8], prepared: &mut HashMap<String, String>) {
        let mut texts = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        let mut text = || texts.next().unwrap_or_default();
        match kind {
            // Parse: name of the statement, text.
            b'P' => {
                let (name, sql) = (text(), text());
                prepared.insert(name, sql);
            }
            // Bind: portal, name of the statement.
            b'B' => {
                let (_, name) = (text(), text());
                self.statement = prepared.get(&name).cloned().unwrap_or_default();
            }
            b'E' => self.runs = true,
            b'Q' => (self.statement, self.runs) = (text(), true),
            _ => {}
        }
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        self.bytes.extend_from_slice(body);
    }
}
