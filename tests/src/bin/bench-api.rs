//! `cargo xtask bench api [--json] [--machines N[,N]]`: see `rackwright_tests::api_bench`.
//!
//! `DATABASE_URL` names any database of a PostgreSQL that this may make databases in; they are dropped again.
//! Ends with 1 when the number of SQL statements depends on the number of machines, never for a time.

use anyhow::{Context, Result, bail};
use rackwright_tests::api_bench;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let (mut json, mut sizes) = (false, vec![100, 1000, 10_000]);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = true,
            "--machines" => sizes = numbers(&arguments.next().context("--machines needs numbers")?)?,
            other => bail!("unknown argument {other:?}; --json, --machines N[,N]"),
        }
    }
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL; `cargo xtask bench api` sets it")?;
    let report = api_bench::run(&url, &sizes).await?;
    if json {
        // The last line of the output, whatever a build has written before.
        eprint!("{}", report.table());
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.table());
    }
    let missed = report.missed_counts();
    for goal in &missed {
        eprintln!("MISSED: {goal}");
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Numbers of machines; their identifiers have five digits.
fn numbers(text: &str) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for word in text.split(',') {
        let number: u32 = word.parse().with_context(|| format!("--machines {word}"))?;
        anyhow::ensure!((1..=60_000).contains(&number), "--machines {word}: 1 to 60000");
        numbers.push(number);
    }
    Ok(numbers)
}
