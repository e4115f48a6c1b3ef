//! `rackwright up`: everything on one box.

use super::postgres::{ADOPTED, Postgres};
use super::{block_on, notify, router, until_signalled};
use anyhow::{Context, Result, bail};
use rackwright_rack::config::RackConfig;
use rackwright_region::config::RegionConfig;
use rackwright_region::daemon::Region;
use rackwright_region::door::{Own, TlsFiles, TlsSetting};
use rackwright_region::lifecycle::Timing;
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Runs a private PostgreSQL, a region and a rack on this box.
#[derive(Debug, clap::Args)]
pub struct UpArgs {
    /// Interface that machines are on; it must have an IPv4 address. May be given several times; in the variable
    /// separated by commas.
    #[arg(long = "interface", required = true, env = "RACKWRIGHT_UP_INTERFACES", value_delimiter = ',')]
    interfaces: Vec<String>,
    /// Folder for everything that is kept.
    #[arg(long, default_value = "/var/lib/rackwright")]
    data: PathBuf,
    /// Where REST API and web pages are served.
    #[arg(long, default_value = "0.0.0.0:5240")]
    listen: SocketAddr,
    /// Certificate for HTTPS at the same port, PEM; one of the site's own authority (`ca/ca.pem` in the data folder) when
    /// absent.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Answer nothing in plain HTTP.
    #[arg(long)]
    https_only: bool,
    /// Where racks on other boxes connect.
    #[arg(long, default_value = "0.0.0.0:5241")]
    stream_listen: SocketAddr,
    /// Seconds from power-on until a machine that shows no sign of life is switched off and on.
    #[arg(long, default_value_t = 600)]
    boot_seconds: u64,
    /// Seconds until an installed system must have reported.
    #[arg(long, default_value_t = 1800)]
    system_seconds: u64,
    /// Seconds without a word from the ephemeral environment until its machine counts as gone and is booted again.
    #[arg(long, default_value_t = 90)]
    agent_silence_seconds: u64,
    /// Seconds for which a BMC that does not answer is asked again.
    #[arg(long, default_value_t = 300)]
    bmc_patience_seconds: u64,
}

impl UpArgs {
    /// Until it is told to stop.
    pub fn run(self) -> Result<()> {
        block_on(self.serve())
    }

    async fn serve(self) -> Result<()> {
        let started = Instant::now();
        check_interfaces(&self.interfaces)?;
        let cancel = until_signalled()?;
        let (data, _only) = take_folder(&self.data)?;
        if data.join("postgres").join(ADOPTED).exists() {
            bail!(
                "the database of {} was moved into a cluster; run `rackwright region` and `rackwright rack`",
                data.display()
            );
        }
        let postgres = Postgres::start(&data.join("postgres")).await?;
        let served = self.serve_over(&postgres, &data, started, &cancel).await;
        cancel.cancel();
        let stopped = postgres.stop().await;
        // Why it does not serve matters more than a database that does not stop.
        served.and(stopped)
    }

    async fn serve_over(
        &self,
        postgres: &Postgres,
        data: &Path,
        started: Instant,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let region = Region::open(self.region(postgres, data)).await?;
        let rack = self.rack(data);
        region.ca().issue_rack(&rack.name)?.save(&rack.certificates)?;
        let pages = router(region.app());
        let address = notify::local(self.listen);
        tokio::spawn(notify::tell(move || vec![address], cancel.clone()));
        tokio::spawn(announce(address, self.https_only, data.to_owned(), started, cancel.clone()));
        let (stop_region, stop_rack) = (cancel.child_token(), cancel.child_token());
        // What ends first ends all: the supervisor starts a clean whole. PostgreSQL alone may end and come back.
        tokio::select! {
            ended = region.run(pages, stop_region) => ended.context("the region has stopped"),
            ended = rackwright_rack::daemon::run(rack, stop_rack) => ended.context("the rack has stopped"),
            ended = postgres.keep_running() => ended,
        }
    }

    fn region(&self, postgres: &Postgres, data: &Path) -> RegionConfig {
        RegionConfig {
            name: host_name(),
            data: data.to_owned(),
            database_url: postgres.url("rackwright"),
            listen: self.listen,
            tls: Some(self.tls()),
            plain_http: !self.https_only,
            stream_listen: self.stream_listen,
            serve_new_networks: true,
            // The rack of this box has the port, and asks the site's time servers itself.
            ntp: false,
            timing: Timing {
                boot_seconds: self.boot_seconds,
                agent_silence_seconds: self.agent_silence_seconds,
                system_seconds: self.system_seconds,
                bmc_patience_seconds: self.bmc_patience_seconds,
            },
            ..RegionConfig::default()
        }
    }

    fn tls(&self) -> TlsSetting {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                TlsSetting::Files(TlsFiles { certificate: certificate.clone(), key: key.clone() })
            }
            _ => TlsSetting::Own(Own::Own),
        }
    }

    fn rack(&self, data: &Path) -> RackConfig {
        RackConfig {
            name: host_name(),
            data: data.join("rack"),
            certificates: data.join("rack/certificates"),
            interfaces: self.interfaces.clone(),
            regions: vec![format!("127.0.0.1:{}", self.stream_listen.port())],
            local_store: Some(data.join("images")),
            ..RackConfig::default()
        }
    }
}

/// How long a predecessor that was killed may take to be gone: a supervisor starts the next one at once.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(3);

/// Makes the data folder at the first start and takes it for this process alone: a second `up` would stop the
/// first one's database, and two racks would give out the same addresses.
pub fn take_folder(data: &Path) -> Result<(PathBuf, File)> {
    let shown = data.display();
    let cure = "run as the user whose folder it is, or name another one with `--data`";
    std::fs::create_dir_all(data)
        .with_context(|| format!("the data folder {shown} cannot be made; {cure}"))?;
    let data = data.canonicalize()?;
    let lock = File::options().create(true).append(true).mode(0o600).open(data.join("up.lock"));
    let lock = lock.with_context(|| format!("the data folder {shown} cannot be written; {cure}"))?;
    let asked = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok((data, lock)),
            Err(TryLockError::WouldBlock) if asked.elapsed() < PREDECESSOR_PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another `rackwright up` runs on the data folder {shown}; stop it, or name another folder with `--data`"
                )
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("the data folder {shown} cannot be locked"));
            }
        }
    }
}

/// The box's name, as controllers are called.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    if name.is_empty() { "rackwright".into() } else { name.to_ascii_lowercase() }
}

/// Says once where everything is, as soon as it is served.
async fn announce(
    address: SocketAddr,
    https_only: bool,
    data: PathBuf,
    started: Instant,
    cancel: CancellationToken,
) {
    tokio::select! {
        () = cancel.cancelled() => return,
        () = notify::until_served(|| vec![address]) => {}
    }
    let scheme = if https_only { "https" } else { "http" };
    let in_data = |name: &str| data.join(name).display().to_string();
    println!("Rackwright is ready after {:.1} s.", started.elapsed().as_secs_f64());
    println!("  web page  {scheme}://{address}/   (user admin, password in {})", in_data("admin.password"));
    println!("  API token {}", in_data("admin.token"));
    if !https_only {
        println!("  https     at the same port; the authority's certificate is {}", in_data("ca/ca.pem"));
    }
}

/// Refuses early what would fail late.
fn check_interfaces(interfaces: &[String]) -> Result<()> {
    for name in interfaces {
        if !Path::new("/sys/class/net").join(name).exists() {
            bail!("there is no interface {name}; `ip link` lists those that are");
        }
    }
    Ok(())
}
