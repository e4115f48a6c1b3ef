//! `cargo xtask bench pages [--json] [--machines N]`: see `rackwright_tests::page_bench`.
//!
//! `DATABASE_URL` names any database of a PostgreSQL that this may make databases in; they are dropped again. Ends with 1
//! when a goal is missed.

use anyhow::{Context, Result, bail};
use rackwright_tests::page_bench;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let (mut json, mut machines) = (false, 5000);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = true,
            "--machines" => {
                let word = arguments.next().context("--machines needs a number")?;
                machines = word.parse().with_context(|| format!("--machines {word}"))?;
                anyhow::ensure!((100..=60_000).contains(&machines), "--machines {word}: 100 to 60000");
            }
            other => bail!("unknown argument {other:?}; --json, --machines N"),
        }
    }
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL; `cargo xtask bench pages` sets it")?;
    let report = page_bench::run(&url, machines).await?;
    if json {
        eprint!("{}", report.table());
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.table());
    }
    let missed = report.missed();
    for goal in &missed {
        eprintln!("MISSED: {goal}");
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
