//! Time: chronyd as a supervised child, told by arguments, its state read by its own tool.
//!
//! What holds: it never sets the box's clock (`-x`: what it learns it applies to the answers it gives; the box keeps its own
//! way of keeping time); it claims no time that it does not have, unless told that this box's clock is the reference; one
//! that ends is started again, later and later; it ends with the controller. Where another program has the port, that one
//! serves, if it gives the time to who asks at this box's address; if not, the report says what to do.

mod ask;
mod child;
mod config;
mod tracking;

pub use ask::{Answer, read as read_answer};
pub use config::NtpConfig;

use child::Chronyd;
use rackwright_common::ntp::{TimeReport, TimeState};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracking::Tracking;

/// Where clients ask.
pub const PORT: u16 = 123;
/// How often its state is read while it is to change soon, and afterwards.
const EVERY: Duration = Duration::from_secs(2);
const SETTLED: Duration = Duration::from_secs(10);
/// So many times in a row it may not be read.
const SILENT: u32 = 40;
/// How often it is looked whether another program still has the port.
const TAKEN: Duration = Duration::from_secs(5);
/// How long it is waited for before it is started again; doubled up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// One that ran for so long did not fail at its start.
const STEADY: Duration = Duration::from_secs(60);

/// Serves time by whatever configuration is wanted, and tells how that is, until cancelled. `folder` is made, and is chronyd's
/// alone.
pub async fn run(
    folder: PathBuf,
    mut wanted: watch::Receiver<NtpConfig>,
    state: watch::Sender<TimeReport>,
    cancel: CancellationToken,
) {
    let mut pause = PAUSES.0;
    while !cancel.is_cancelled() {
        let config = wanted.borrow_and_update().clone();
        let started = Instant::now();
        let ended = tokio::select! {
            ended = serve(&folder, &config, &state) => ended,
            changed = is_other(&mut wanted, &config) => match changed {
                true => continue,
                false => return cancel.cancelled().await,
            },
            () = cancel.cancelled() => return,
        };
        if started.elapsed() > STEADY {
            pause = PAUSES.0;
        }
        if state.borrow().message != ended {
            tracing::warn!(ended, "time is not served for now");
        }
        state.send_replace(TimeReport::without(TimeState::Failed, ended));
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            changed = wanted.changed() => if changed.is_err() { return cancel.cancelled().await },
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Waits until something else is wanted; false when nothing ever will be.
async fn is_other(wanted: &mut watch::Receiver<NtpConfig>, config: &NtpConfig) -> bool {
    wanted.wait_for(|now| now != config).await.is_ok()
}

/// Serves; why it does not any more.
async fn serve(folder: &Path, config: &NtpConfig, state: &watch::Sender<TimeReport>) -> String {
    let Some(program) = child::program() else {
        return "there is no chronyd: install the package `chrony`".to_owned();
    };
    match another_serves(config, state).await {
        Ok(()) => {}
        Err(error) => return format!("port {} cannot be taken: {error}", config.port),
    }
    if let Err(error) = prepare(folder).await {
        return format!("{} cannot be used: {error}", folder.display());
    }
    let mut chronyd = match Chronyd::start(program, config.directives(folder)) {
        Ok(chronyd) => chronyd,
        Err(error) => return format!("chronyd cannot be started: {error}"),
    };
    tokio::select! {
        words = &mut chronyd.ended => words.unwrap_or_else(|_| "chronyd ended".to_owned()),
        ended = follow(folder, config, state) => ended,
    }
}

/// Returns when the port is free. Tells meanwhile what whoever has it gives to those who ask at this box.
async fn another_serves(config: &NtpConfig, state: &watch::Sender<TimeReport>) -> io::Result<()> {
    while ask::is_taken(config.port)? {
        let report = match ask::ask(config.own, config.port).await {
            Ok(Some(answer)) => {
                TimeReport::synchronised(answer.stratum, "another program on this box", answer.offset)
            }
            Ok(None) | Err(_) => TimeReport::without(
                TimeState::Failed,
                format!(
                    "another program has UDP port {} and gives no time to who asks at {}: stop it (`systemctl disable --now \
                     chrony`), have it serve (`allow` in its configuration), or set `ntp = false` here",
                    config.port, config.own
                ),
            ),
        };
        tell(state, report);
        tokio::time::sleep(TAKEN).await;
    }
    Ok(())
}

/// Its folder, which nobody else may look into: chronyd wants that for its socket. A number of before may be another's now.
async fn prepare(folder: &Path) -> io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    tokio::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).await?;
    match tokio::fs::remove_file(folder.join("chronyd.pid")).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads its state again and again. Ends when that has not worked for long.
async fn follow(folder: &Path, config: &NtpConfig, state: &watch::Sender<TimeReport>) -> String {
    let mut failures = 0;
    let has_source = !config.sources.is_empty() || config.local.is_some();
    loop {
        let mut pause = SETTLED;
        match Tracking::read(folder).await {
            Ok(tracking) => {
                failures = 0;
                if has_source && !tracking.synchronised {
                    pause = EVERY;
                }
                tell(state, report(&tracking, config));
            }
            Err(error) if failures >= SILENT => return format!("chronyd does not say how it is: {error}"),
            Err(_) => {
                failures += 1;
                // It answers a moment after its start.
                pause = EVERY / 8;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

fn report(tracking: &Tracking, config: &NtpConfig) -> TimeReport {
    if !tracking.synchronised {
        let message = if config.sources.is_empty() {
            "no time server is set: name some in the setting `ntp_servers`".to_owned()
        } else {
            let sources: Vec<_> = config.sources.iter().map(String::as_str).collect();
            format!("none of {} has given the time", sources.join(", "))
        };
        return TimeReport::without(TimeState::Unsynchronised, message);
    }
    let source = if tracking.source.is_empty() { "this box's own clock" } else { &tracking.source };
    TimeReport::synchronised(tracking.stratum, source, tracking.offset)
}

fn tell(state: &watch::Sender<TimeReport>, now: TimeReport) {
    let mut news = false;
    state.send_if_modified(|before| {
        news = before.differs(&now);
        let changed = *before != now;
        *before = now.clone();
        changed
    });
    if news {
        tracing::info!(state = now.state.as_str(), why = now.message, "time");
    }
}

/// Those that are not this box itself: nobody has the time from himself.
pub fn others(sources: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    let own: BTreeSet<IpAddr> =
        nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(address).collect();
    let is_other = |host: &String| match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => !address.is_loopback() && !address.is_unspecified() && !own.contains(&address),
        Err(_) => host != "localhost",
    };
    sources.into_iter().filter(is_other).collect()
}

fn address(entry: nix::ifaddrs::InterfaceAddress) -> Option<IpAddr> {
    let address = entry.address?;
    let v4 = address.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::from(a.ip())))
}

#[cfg(test)]
mod tests;
