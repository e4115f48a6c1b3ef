//! chronyd as a child of this process, that ends with it however it ends.
//!
//! The kernel kills it when the thread that began it is gone (PR_SET_PDEATHSIG, set by setpriv(1)), so that thread stays
//! for as long as the child does. It never has more rights than it needs: those of this process's user, and port 123.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Where distributions put it; `PATH` of a service may leave it out.
const PROGRAMS: [&str; 2] = ["/usr/sbin/chronyd", "/usr/bin/chronyd"];
const LOOK: Duration = Duration::from_millis(100);

/// It runs. Dropped, it is gone when the drop is over, and its port is free.
pub(super) struct Chronyd {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Its last words, when it ends by itself.
    pub(super) ended: oneshot::Receiver<String>,
}

/// Whether it is installed.
pub(super) fn program() -> Option<&'static str> {
    PROGRAMS.into_iter().find(|program| Path::new(program).exists())
}

impl Chronyd {
    pub(super) fn start(program: &'static str, directives: Vec<String>) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let (tell, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("chronyd".to_owned()).spawn(move || {
            if let Some(words) = look_after(program, &directives, &stopped) {
                // Nobody waits any more when it was just given up.
                drop(tell.send(words));
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread), ended })
    }
}

impl Drop for Chronyd {
    fn drop(&mut self) {
        self.stop = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of chronyd panicked");
        }
    }
}

/// Until it ends, with its last words, or is to stop.
fn look_after(program: &str, directives: &[String], stopped: &Receiver<()>) -> Option<String> {
    let mut child = match command(program, directives).spawn() {
        Ok(child) => child,
        Err(error) => return Some(format!("{program} cannot be started: {error}")),
    };
    let said = child.stderr.take().map(|said| std::thread::spawn(move || last_line(said)));
    let status = loop {
        match stopped.recv_timeout(LOOK) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                end(&mut child);
                return None;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => break status.to_string(),
            Err(error) => break error.to_string(),
        }
    };
    let words = said.and_then(|reader| reader.join().ok()).filter(|line| !line.is_empty());
    Some(format!("chronyd ended: {}", words.unwrap_or(status)))
}

/// It has nothing that must be written whole.
fn end(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::warn!(%error, "chronyd cannot be ended");
    }
}

/// What it said last, without the time before it.
fn last_line(said: impl io::Read) -> String {
    let mut last = String::new();
    for line in BufReader::new(said).lines().map_while(Result::ok) {
        tracing::debug!(line, "chronyd");
        last = line.split_once("Z ").map_or(line.clone(), |(_, words)| words.to_owned());
    }
    last
}

fn command(program: &str, directives: &[String]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if nix::unistd::geteuid().is_root() {
        const ONE: &str = "-all,+net_bind_service";
        command.args(["--no-new-privs", "--inh-caps", ONE, "--ambient-caps", ONE, "--bounding-set", ONE]);
    }
    // -x: leave the box's clock alone; -d: stay, and say what happens; -U: not being root is right.
    command.arg("--").arg(program).args(["-x", "-d", "-U"]);
    // It would look for a user of its own otherwise.
    if let Some(name) = own_name() {
        command.arg("-u").arg(name);
    }
    command.args(directives).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// The user that this process is.
fn own_name() -> Option<String> {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name)
}
