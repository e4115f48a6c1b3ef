//! How long the web pages take on the server of a site with many machines, how many SQL statements each needs, and how much a
//! browser loads the first time.
//!
//! The region's own router with the pages, a real PostgreSQL, a real session; no socket between, so times are the server's. What
//! must not grow with the number of machines is compared with a site that has a tenth of them.

use crate::api_bench::site::Site;
use crate::api_bench::statements;
use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde::Serialize;
use std::fmt::Write;
use std::time::{Duration, Instant};
use tower::ServiceExt;

/// Requests behind a percentile.
const REQUESTS: usize = 100;
/// Requests whose statements are counted.
const COUNTED: usize = 5;
/// A page's time on the server, milliseconds: 99 of 100 requests.
const GOAL_MS: f64 = 50.0;
/// A page, its style sheet and its script, bytes.
const GOAL_BYTES: usize = 150_000;

/// What people open; `{machine}` and `{operation}` are some of the site's.
const PAGES: &[&str] = &[
    "/",
    "/start",
    "/machines",
    "/machines?status=ready",
    "/machines?q=example+r740",
    "/machines?sort=-memory",
    "/machines/{machine}",
    "/machines/{machine}/edit",
    "/machines/{machine}/network",
    "/operations",
    "/operations/{operation}",
    "/events",
    "/events?actor=admin",
    "/images",
    "/networks",
    "/names",
    "/switches",
    "/discoveries",
    "/notifications",
    "/groups",
    "/controllers",
    "/scripts",
    "/users",
    "/audit",
    "/account",
    "/settings",
];

/// One page.
#[derive(Debug, Serialize)]
pub struct Page {
    /// Its address.
    pub address: &'static str,
    /// Half of the requests took no longer, milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 took no longer, milliseconds.
    pub p99_ms: f64,
    /// Bytes of the page.
    pub bytes: usize,
    /// SQL statements, the median.
    pub statements: u64,
    /// The same with a tenth of the machines.
    pub statements_with_a_tenth: u64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `release` or `debug`.
    pub build: &'static str,
    /// Machines.
    pub machines: u32,
    /// Bytes of style sheet, script and icon.
    pub files: usize,
    /// The pages.
    pub pages: Vec<Page>,
}

/// Measures with so many machines, and counts statements with a tenth of them.
pub async fn run(url: &str, machines: u32) -> Result<Report> {
    statements::install()?;
    let (few, _) = measure(url, machines / 10, COUNTED).await?;
    let (mut pages, files) = measure(url, machines, REQUESTS).await?;
    for (page, small) in pages.iter_mut().zip(&few) {
        page.statements_with_a_tenth = small.statements;
    }
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    Ok(Report { build, machines, files, pages })
}

async fn measure(url: &str, machines: u32, requests: usize) -> Result<(Vec<Page>, usize)> {
    eprintln!("{machines} machines: seeding");
    let site = Site::open(url, machines).await?;
    let measured = measure_site(&site, requests).await;
    site.close().await?;
    measured
}

async fn measure_site(site: &Site, requests: usize) -> Result<(Vec<Page>, usize)> {
    let browser = Browser::log_in(site).await?;
    let machine = browser.first("/api/v1/machines?limit=1").await?;
    let operation = browser.first("/api/v1/operations?limit=1").await?;
    let mut pages = Vec::new();
    for address in PAGES {
        let path = address.replace("{machine}", &machine).replace("{operation}", &operation);
        pages.push(browser.measure(address, &path, requests).await?);
    }
    let mut files = 0;
    for file in ["/static/app.css", "/static/app.js", "/static/icon.svg"] {
        files += browser.get(file).await?.1.len();
    }
    Ok((pages, files))
}

struct Browser {
    router: Router,
    cookie: String,
}

impl Browser {
    async fn log_in(site: &Site) -> Result<Self> {
        let router = rackwright_web_ui::site(site.app.clone());
        let body = serde_json::json!({ "name": "admin", "password": site.password }).to_string();
        let request = Request::post("/api/v1/session")
            .header("content-type", "application/json")
            .body(Body::from(body))?;
        let (status, headers, text) = send(&router, request).await?;
        ensure!(status == StatusCode::OK, "logging in: {status} {text}");
        let cookie = headers.get("set-cookie").context("logging in sets no cookie")?.to_str()?;
        Ok(Self { cookie: cookie.split(';').next().unwrap_or_default().to_owned(), router })
    }

    async fn get(&self, path: &str) -> Result<(HeaderMap, String)> {
        let request = Request::get(path).header("cookie", &self.cookie).body(Body::empty())?;
        let (status, headers, text) = send(&self.router, request).await?;
        ensure!(status == StatusCode::OK, "{path}: {status}");
        Ok((headers, text))
    }

    /// The identifier of the first of a list.
    async fn first(&self, path: &str) -> Result<String> {
        let list: serde_json::Value = serde_json::from_str(&self.get(path).await?.1)?;
        let id = &list["items"][0]["id"];
        Ok(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
    }

    async fn measure(&self, address: &'static str, path: &str, requests: usize) -> Result<Page> {
        let mut counts = Vec::new();
        statements::count(true);
        for _ in 0..COUNTED {
            let before = statements::seen();
            self.get(path).await?;
            counts.push(statements::seen() - before);
        }
        statements::count(false);
        counts.sort_unstable();
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..requests {
            let began = Instant::now();
            bytes = self.get(path).await?.1.len();
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let at = |share: usize| {
            milliseconds(times.get((times.len() - 1) * share / 100).copied().unwrap_or_default())
        };
        let statements = counts.get(COUNTED / 2).copied().unwrap_or_default();
        eprintln!("{address}: {:.1} ms, {statements} statements", at(99));
        Ok(Page { address, p50_ms: at(50), p99_ms: at(99), bytes, statements, statements_with_a_tenth: 0 })
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

async fn send(router: &Router, request: Request<Body>) -> Result<(StatusCode, HeaderMap, String)> {
    let (parts, body) = router.clone().oneshot(request).await?.into_parts();
    let bytes = to_bytes(body, 64 << 20).await?;
    Ok((parts.status, parts.headers, String::from_utf8_lossy(&bytes).into_owned()))
}

impl Report {
    /// For people.
    pub fn table(&self) -> String {
        let mut out = format!("{} machines, {} build\n\n", self.machines, self.build);
        out.push_str("| Page | p50 ms | p99 ms | Statements | with a tenth | First load kB |\n|---|---|---|---|---|---|\n");
        for p in &self.pages {
            let load = (p.bytes + self.files) as f64 / 1000.0;
            let line = writeln!(
                out,
                "| `{}` | {:.1} | {:.1} | {} | {} | {load:.0} |",
                p.address, p.p50_ms, p.p99_ms, p.statements, p.statements_with_a_tenth
            );
            line.expect("writing to a string does not fail");
        }
        out
    }

    /// Goals that were missed.
    pub fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for p in &self.pages {
            if p.p99_ms > GOAL_MS {
                missed.push(format!("{} took {:.1} ms (p99); the goal is {GOAL_MS} ms", p.address, p.p99_ms));
            }
            if p.statements > p.statements_with_a_tenth {
                let (now, before) = (p.statements, p.statements_with_a_tenth);
                missed.push(format!(
                    "{} takes {now} statements, and {before} with a tenth of the machines",
                    p.address
                ));
            }
            if p.bytes + self.files > GOAL_BYTES {
                missed.push(format!(
                    "{} loads {} bytes; the goal is {GOAL_BYTES}",
                    p.address,
                    p.bytes + self.files
                ));
            }
        }
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(p99_ms: f64, bytes: usize, statements: u64) -> Page {
        Page { address: "/x", p50_ms: 1.0, p99_ms, bytes, statements, statements_with_a_tenth: 3 }
    }

    #[test]
    fn each_goal_is_missed_by_itself() {
        let report = |page| Report { build: "debug", machines: 10, files: 50_000, pages: vec![page] };
        assert_eq!(report(page(49.0, 90_000, 3)).missed(), Vec::<String>::new());
        assert!(report(page(51.0, 90_000, 3)).missed()[0].contains("51.0 ms"));
        assert!(report(page(49.0, 110_000, 3)).missed()[0].contains("160000 bytes"));
        assert!(report(page(49.0, 90_000, 4)).missed()[0].contains("4 statements"));
        assert!(report(page(49.0, 90_000, 3)).table().contains("| `/x` | 1.0 | 49.0 | 3 | 3 | 140 |"));
    }
}
