//! How fast the REST API lists and shows machines, as the number of machines grows.
//!
//! Real HTTP over loopback, a real PostgreSQL, the region's own router with authentication on each request. Client
//! and server share a process, so its resident memory holds both. What must hold whatever the box is how many SQL
//! statements a request takes; times are told, never judged.

mod client;
mod measure;
pub mod peer;
pub mod report;
pub(crate) mod site;
pub(crate) mod statements;

pub use site::seed_at_rest;

use anyhow::Result;
use client::Client;
use measure::{Figures, Work};
use serde::Serialize;
use site::Site;

/// Requests behind a percentile.
const REQUESTS: usize = 200;
/// Readings at once, and how many lists each of them reads.
const PARALLEL: (usize, usize) = (4, 100);

/// What was measured with one number of machines.
#[derive(Debug, Serialize)]
pub struct Size {
    /// Machines in the database.
    pub machines: u32,
    /// Each kind of work.
    pub work: Vec<Figures>,
    /// Lists of 100 per second, four clients at once.
    pub parallel_lists_per_second: f64,
    /// Resident memory of this process (client and server) afterwards, MiB.
    pub resident_mib: f64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `release` or `debug`.
    pub build: &'static str,
    /// Processors that this process may use.
    pub processors: usize,
    /// Resident memory before the first database was opened, MiB.
    pub resident_before_mib: f64,
    /// By number of machines, rising.
    pub sizes: Vec<Size>,
}

/// Measures each number of machines in a database of its own.
pub async fn run(url: &str, sizes: &[u32]) -> Result<Report> {
    statements::install()?;
    let mut report = Report {
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        resident_before_mib: measure::resident_mib()?,
        sizes: Vec::new(),
    };
    for &machines in sizes {
        eprintln!("{machines} machines: seeding");
        let site = Site::open(url, machines).await?;
        let measured = measure_site(&site, machines).await;
        site.close().await?;
        report.sizes.push(measured?);
    }
    Ok(report)
}

async fn measure_site(site: &Site, machines: u32) -> Result<Size> {
    let mut client = Client::connect(site.address, &site.token).await?;
    let mut work = Vec::new();
    for kind in [Work::ListPage, Work::LastPage, Work::WholeList(100), Work::WholeList(1000), Work::Show] {
        eprintln!("{machines} machines: {kind}");
        work.push(measure::measure(&mut client, kind, machines, REQUESTS).await?);
    }
    let parallel_lists_per_second = parallel(site).await?;
    Ok(Size { machines, work, parallel_lists_per_second, resident_mib: measure::resident_mib()? })
}

/// Lists of 100 per second that several clients get together.
async fn parallel(site: &Site) -> Result<f64> {
    let (clients, lists) = PARALLEL;
    let began = std::time::Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let (address, token) = (site.address, site.token.clone());
        running.spawn(async move {
            let mut client = Client::connect(address, &token).await?;
            for _ in 0..lists {
                client.get(measure::FIRST_PAGE).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    let total = u32::try_from(clients * lists)?;
    Ok(f64::from(total) / began.elapsed().as_secs_f64())
}
