//! `bench-seed MACHINES`: fills a region's database with the machines of `bench api`, all of them at rest, for `cargo
//! xtask bench memory`.
//!
//! `DATABASE_URL` names a database in which a region has started once.

use anyhow::{Context, Result};
use rackwright_tests::api_bench;

#[tokio::main]
async fn main() -> Result<()> {
    let machines = std::env::args().nth(1).context("bench-seed MACHINES")?;
    let machines: u32 = machines.parse().with_context(|| format!("bench-seed {machines}"))?;
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL; `cargo xtask bench memory` sets it")?;
    api_bench::seed_at_rest(&url, machines).await
}
