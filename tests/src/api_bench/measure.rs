//! One kind of work, done often enough for percentiles.

use super::client::Client;
use super::statements;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// The first page as programs ask for it.
pub const FIRST_PAGE: &str = "/api/v1/machines?limit=100";

/// Requests whose statements are counted, apart from those whose time is taken.
const COUNTED: usize = 20;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The first 100 machines: one request.
    ListPage,
    /// The last page of 100: one request, from the cursor before it.
    LastPage,
    /// All machines, page after page of so many; the figures are of the whole walk.
    WholeList(u32),
    /// One machine in full, another one each time.
    Show,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ListPage => f.write_str("list, first 100"),
            Self::LastPage => f.write_str("list, last page of 100"),
            Self::WholeList(rows) => write!(f, "whole list, pages of {rows}"),
            Self::Show => f.write_str("show one"),
        }
    }
}

impl Serialize for Work {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What one kind of work took.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Which.
    pub work: Work,
    /// How often it was timed.
    pub samples: usize,
    /// Requests each time.
    pub requests: usize,
    /// Half took no longer, milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 took no longer, milliseconds.
    pub p99_ms: f64,
    /// Bytes of the bodies, together, the median.
    pub bytes: usize,
    /// Machines in them.
    pub machines: usize,
    /// SQL statements per request, the median.
    pub statements: u64,
    /// SQL statements of the request that took most; a token's use is noted once a minute, which is one more.
    pub statements_most: u64,
}

/// What is read of a page.
#[derive(Deserialize)]
struct Page {
    items: Vec<serde::de::IgnoredAny>,
    total: u32,
    next_cursor: Option<String>,
}

/// All requests of doing it once.
struct Sample {
    took: Duration,
    requests: usize,
    bytes: usize,
    machines: usize,
    statements: Vec<u64>,
}

/// Does `work` until at least `requests` requests were timed, ten times at least; then again, counting statements.
pub async fn measure(client: &mut Client, work: Work, machines: u32, requests: usize) -> Result<Figures> {
    let paths = Paths::of(client, work, machines).await?;
    let warm = once(client, work, &paths, 0).await?;
    let samples = requests.div_ceil(warm.requests).max(10);
    let mut taken = Vec::with_capacity(samples);
    for number in 0..samples {
        taken.push(once(client, work, &paths, number).await?);
    }
    statements::count(true);
    let mut counted = Vec::new();
    for number in 0..COUNTED.div_ceil(warm.requests).max(2) {
        counted.extend(once(client, work, &paths, number).await?.statements);
    }
    statements::count(false);
    counted.sort_unstable();
    let mut times: Vec<Duration> = taken.iter().map(|sample| sample.took).collect();
    times.sort_unstable();
    let mut bytes: Vec<usize> = taken.iter().map(|sample| sample.bytes).collect();
    bytes.sort_unstable();
    let ms = |percent| percentile(&times, percent).as_secs_f64() * 1e3;
    Ok(Figures {
        work,
        samples,
        requests: warm.requests,
        p50_ms: ms(50),
        p99_ms: ms(99),
        bytes: percentile(&bytes, 50),
        machines: warm.machines,
        statements: percentile(&counted, 50),
        statements_most: percentile(&counted, 100),
    })
}

/// Where the work is asked for.
struct Paths {
    machines: u32,
    last_page: String,
}

impl Paths {
    /// Walks to the last page when that is asked for.
    async fn of(client: &mut Client, work: Work, machines: u32) -> Result<Self> {
        let mut last_page = FIRST_PAGE.to_owned();
        if work != Work::LastPage {
            return Ok(Self { machines, last_page });
        }
        loop {
            let page: Page = serde_json::from_slice(&client.get(&last_page).await?.body)?;
            let Some(cursor) = page.next_cursor else { break };
            last_page = format!("{FIRST_PAGE}&cursor={cursor}");
        }
        Ok(Self { machines, last_page })
    }
}

async fn once(client: &mut Client, work: Work, paths: &Paths, number: usize) -> Result<Sample> {
    let mut sample =
        Sample { took: Duration::ZERO, requests: 0, bytes: 0, machines: 0, statements: Vec::new() };
    match work {
        Work::ListPage => {
            ask(client, &mut sample, FIRST_PAGE).await?;
            sample.machines = 100.min(usize::try_from(paths.machines)?);
        }
        Work::LastPage => {
            let body = ask(client, &mut sample, &paths.last_page).await?;
            let page: Page = serde_json::from_slice(&body)?;
            ensure!(page.next_cursor.is_none(), "the last page is not the last");
            sample.machines = page.items.len();
        }
        Work::WholeList(rows) => walk(client, &mut sample, rows, paths.machines).await?,
        Work::Show => {
            // A stride without a common divisor with the sizes visits machines of every kind.
            let machine = (number * 37) % usize::try_from(paths.machines)? + 1;
            ask(client, &mut sample, &format!("/api/v1/machines/m{machine:05}")).await?;
            sample.machines = 1;
        }
    }
    Ok(sample)
}

/// Reads all pages; every machine has to come.
async fn walk(client: &mut Client, sample: &mut Sample, rows: u32, machines: u32) -> Result<()> {
    let first = format!("/api/v1/machines?limit={rows}");
    let mut next = Some(first.clone());
    while let Some(path) = next {
        let body = ask(client, sample, &path).await?;
        let page: Page = serde_json::from_slice(&body)?;
        ensure!(page.total == machines, "the list says {} machines, {machines} were made", page.total);
        sample.machines += page.items.len();
        next = page.next_cursor.map(|cursor| format!("{first}&cursor={cursor}"));
    }
    ensure!(sample.machines == usize::try_from(machines)?, "{} machines were listed", sample.machines);
    Ok(())
}

async fn ask(client: &mut Client, sample: &mut Sample, path: &str) -> Result<Vec<u8>> {
    let before = statements::seen();
    let answer = client.get(path).await?;
    sample.statements.push(statements::seen() - before);
    sample.took += answer.took;
    sample.requests += 1;
    sample.bytes += answer.body.len();
    Ok(answer.body)
}

/// The smallest value that `percent` of all do not exceed (nearest rank); of sorted values, one at least.
fn percentile<T: Copy>(sorted: &[T], percent: usize) -> T {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// Resident memory of this process, MiB.
pub fn resident_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u32 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(f64::from(kib) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<u32> = (1..=200).collect();
        assert_eq!(
            (percentile(&sorted, 50), percentile(&sorted, 99), percentile(&sorted, 100)),
            (100, 198, 200)
        );
        assert_eq!((percentile(&[7], 50), percentile(&[7], 99)), (7, 7));
    }

    #[test]
    fn a_process_knows_its_memory() {
        assert!(resident_mib().unwrap() > 0.5);
    }
}
