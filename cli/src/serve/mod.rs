//! The daemons: `up`, `region`, `rack`.

mod check;
mod notify;
mod postgres;
mod rack;
mod region;
mod up;

pub use check::ConfigCommand;
pub use postgres::{ADOPTED, Postgres, programs as postgres_programs};
pub use rack::RackArgs;
pub use region::{RegionArgs, load as load_region};
pub use up::{UpArgs, host_name, take_folder};

use anyhow::{Context, Result};
use axum::Router;
use rackwright_rack::daemon::RackError;
use rackwright_region::app::App;
use rackwright_region::daemon::RegionError;
use serde::de::DeserializeOwned;
use std::io::IsTerminal;
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Everything that a region serves over HTTP.
fn router(app: &App) -> Router {
    rackwright_web_ui::site(app.clone())
}

/// Logs go to standard error; `RUST_LOG` chooses what.
pub fn start_logging() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx::postgres::notice=warn"));
    // Colours are for people; a journal would keep them as rubbish.
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}

/// A token that is cancelled by SIGTERM or Ctrl-C.
fn until_signalled() -> Result<CancellationToken> {
    let cancel = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = cancel.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        token.cancel();
    });
    Ok(cancel)
}

/// The settings are at fault: what is wrong follows as the cause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongSettings(String);

/// The exit code of a daemon's error, when it means more than "failed": 2 for wrong settings, 3 when the database
/// cannot be reached.
pub fn exit_code(error: &anyhow::Error) -> Option<u8> {
    if error.downcast_ref::<WrongSettings>().is_some() {
        return Some(2);
    }
    match (error.downcast_ref::<RackError>(), error.downcast_ref::<RegionError>()) {
        (Some(RackError::Config(_)), _) => Some(2),
        (_, Some(RegionError::Db(error))) if error.is_outage() => Some(3),
        _ => None,
    }
}

/// Reads a configuration file, with `PREFIX_KEY` variables over its top-level keys. No file means defaults.
fn load_config<T: DeserializeOwned>(path: Option<&Path>, prefix: &str) -> Result<T> {
    let mut table = match path {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let wrong = || WrongSettings(format!("{} is not valid TOML", path.display()));
            text.parse::<toml::Table>().with_context(wrong)?
        }
        None => toml::Table::new(),
    };
    for (name, value) in std::env::vars() {
        if let Some(key) = name.strip_prefix(prefix) {
            // A value that reads as TOML is taken so (numbers, lists); anything else is text.
            let parsed = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("v"));
            table.insert(key.to_ascii_lowercase(), parsed.unwrap_or(toml::Value::String(value)));
        }
    }
    let shown = path.map_or_else(|| "the environment".to_owned(), |p| p.display().to_string());
    table.try_into().with_context(|| WrongSettings(format!("a setting in {shown} is wrong")))
}

/// Runs the async part of a daemon.
fn block_on(run: impl Future<Output = Result<()>>) -> Result<()> {
    start_logging();
    block_on_threads(run)
}

/// The same for what says what it does itself.
pub fn block_on_threads(run: impl Future<Output = Result<()>>) -> Result<()> {
    // Two versions of the TLS library's back end may be linked; ours is ring. A second call changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run)
}

#[cfg(test)]
mod tests {
    use rackwright_rack::config::RackConfig;
    use rackwright_region::config::RegionConfig;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use std::collections::BTreeSet;

    /// The example with every key in force: those that stand behind `#` without a space.
    fn example<T: DeserializeOwned>(name: &str) -> (toml::Table, T) {
        let path = format!("{}/../packaging/examples/{name}", env!("CARGO_MANIFEST_DIR"));
        let text: String = std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(key) if !key.is_empty() && !key.starts_with(' ') => format!("{key}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let table: toml::Table = text.parse().unwrap();
        (table.clone(), table.try_into().unwrap())
    }

    fn keys(value: &serde_json::Value) -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    }

    /// Every key is there, and says its default where it has one.
    fn complete<T: Serialize + DeserializeOwned + Default>(name: &str, examples: &[&str]) {
        let (table, read) = example::<T>(name);
        let defaults = serde_json::to_value(T::default()).unwrap();
        let read = serde_json::to_value(&read).unwrap();
        assert_eq!(keys(&read), keys(&defaults));
        let written: BTreeSet<String> = table.keys().cloned().collect();
        assert_eq!(written, keys(&defaults), "{name} names every key");
        for key in written.iter().filter(|key| !examples.contains(&key.as_str())) {
            assert_eq!(read[key], defaults[key], "{name}: {key}");
        }
    }

    #[test]
    fn the_packaged_examples_name_every_setting_with_its_default() {
        complete::<RegionConfig>("region.toml", &["tls", "stream_address"]);
        complete::<RackConfig>("rack.toml", &["name", "interfaces", "regions", "local_store"]);
    }
}
