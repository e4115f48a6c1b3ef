//! Time: chronyd as a supervised child, its configuration made here, its state read by its own tool.
//!
//! What holds: it never sets the box's clock (`-x`: what it learns it applies to the answers it gives, and the box keeps
//! its own way of keeping time); it claims no time that it does not have, unless told that this box's clock is the
//! reference; one that ends is started again, later and later; with the controller it ends too.

mod config;
mod tracking;

pub use config::{NtpConfig, Source};
pub use tracking::{NtpState, Tracking};

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Where distributions put it; `PATH` of a service may leave it out.
const PROGRAMS: [&str; 2] = ["/usr/sbin/chronyd", "/usr/bin/chronyd"];
const CLIENTS: [&str; 2] = ["/usr/bin/chronyc", "/usr/sbin/chronyc"];
/// How often its state is read.
const EVERY: Duration = Duration::from_secs(2);
/// How long it is waited for before it is started again; doubled up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// One that ran for so long did not fail at its start.
const STEADY: Duration = Duration::from_secs(60);
/// How long it may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// Runs chronyd by whatever configuration is wanted, and tells its state, until cancelled.
pub async fn run(
    folder: PathBuf,
    mut wanted: watch::Receiver<NtpConfig>,
    state: watch::Sender<NtpState>,
    cancel: CancellationToken,
) {
    let mut pause = PAUSES.0;
    while !cancel.is_cancelled() {
        let config = wanted.borrow_and_update().clone();
        let started = tokio::time::Instant::now();
        let ended = tokio::select! {
            ended = supervise(&folder, &config, &state) => ended,
            changed = wait_for(&mut wanted, &config) => {
                if !changed { cancel.cancelled().await; }
                continue;
            }
            () = cancel.cancelled() => return,
        };
        if started.elapsed() > STEADY {
            pause = PAUSES.0;
        }
        tracing::warn!(%ended, "NTP is not served for now");
        state.send_replace(ended);
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            _ = wanted.changed() => {}
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Waits for another configuration; false when none will come.
async fn wait_for(wanted: &mut watch::Receiver<NtpConfig>, present: &NtpConfig) -> bool {
    wanted.wait_for(|config| config != present).await.is_ok()
}

/// Runs it once; why it does not run any more. Dropped, it ends with this.
async fn supervise(folder: &Path, config: &NtpConfig, state: &watch::Sender<NtpState>) -> NtpState {
    let Some(program) = PROGRAMS.iter().find(|p| Path::new(p).exists()) else {
        return NtpState::NoProgram;
    };
    let failed = |error: io::Error| NtpState::Failed { reason: error.to_string() };
    let file = match prepare(folder, config).await {
        Ok(file) => file,
        Err(error) => return failed(error),
    };
    let mut child = match start(program, &file) {
        Ok(child) => child,
        Err(error) => return failed(error),
    };
    let said = child.stderr.take();
    let last = tokio::spawn(async move {
        let mut last = String::new();
        if let Some(said) = said {
            let mut lines = BufReader::new(said).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tracing::debug!(line, "chronyd");
                last = line;
            }
        }
        last
    });
    let mut running = Running(child);
    let status = tokio::select! {
        status = running.0.wait() => status,
        () = watch_over(folder, state) => return NtpState::Failed { reason: "its state cannot be read".into() },
    };
    let last = last.await.unwrap_or_default();
    let reason = match status {
        Ok(status) if last.is_empty() => format!("chronyd ended: {status}"),
        Ok(_) => format!("chronyd ended: {last}"),
        Err(error) => error.to_string(),
    };
    NtpState::Failed { reason }
}

/// A child that is asked to end when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It writes nothing that must be whole; `kill_on_drop` reaps it.
        if let Err(error) = self.0.start_kill() {
            tracing::debug!(%error, "chronyd has ended already");
        }
    }
}

fn start(program: &str, file: &Path) -> io::Result<Child> {
    Command::new(program)
        // -x: leave the clock alone; -d: stay, and say what happens; -U: not root is right.
        .args(["-x", "-d", "-U", "-u"])
        // Whoever runs this owns its folder; it would look for an owner of its own otherwise.
        .arg(own_name())
        .arg("-f")
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// The user that this process is.
fn own_name() -> String {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// Makes its folder, for nobody else to look into (it wants that for its socket), and its configuration.
async fn prepare(folder: &Path, config: &NtpConfig) -> io::Result<PathBuf> {
    tokio::fs::create_dir_all(folder).await?;
    tokio::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).await?;
    let pid = folder.join("chronyd.pid");
    end_predecessor(&pid).await?;
    let file = folder.join("chrony.conf");
    tokio::fs::write(&file, config.render(folder)).await?;
    Ok(file)
}

/// One of before that outlived a controller that was killed still has the port. It is ended by its number, if that is
/// still a chronyd with our configuration.
async fn end_predecessor(pid_file: &Path) -> io::Result<()> {
    let Ok(text) = tokio::fs::read_to_string(pid_file).await else { return Ok(()) };
    let Ok(pid) = text.trim().parse::<i32>() else { return Ok(()) };
    let line = tokio::fs::read(format!("/proc/{pid}/cmdline")).await.unwrap_or_default();
    let ours = pid_file.with_file_name("chrony.conf");
    if line.split(|b| *b == 0).any(|part| part == ours.as_os_str().as_encoded_bytes()) {
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).map_err(io::Error::from)?;
        let deadline = tokio::time::Instant::now() + GRACE;
        while tokio::time::Instant::now() < deadline && nix::sys::signal::kill(pid, None).is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    match tokio::fs::remove_file(pid_file).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads its state again and again. Ends when that does not work for long.
async fn watch_over(folder: &Path, state: &watch::Sender<NtpState>) {
    let mut failures = 0;
    while failures < 15 {
        match Tracking::read(folder).await {
            Ok(tracking) => {
                failures = 0;
                let now = NtpState::from(tracking);
                state.send_if_modified(|before| {
                    let changed = *before != now;
                    *before = now;
                    changed
                });
            }
            Err(error) => {
                failures += 1;
                tracing::debug!(%error, "chronyd does not answer yet");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Its tool.
pub(super) fn client() -> &'static str {
    CLIENTS.into_iter().find(|p| Path::new(p).exists()).unwrap_or("chronyc")
}

#[cfg(test)]
mod tests;
