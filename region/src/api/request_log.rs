//! One log line per request, and the counts behind `/metrics`.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Requests by the first digit of their status, and the time they took.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<[AtomicU64; 6]>, Arc<AtomicU64>);

impl Counters {
    fn count(&self, status: u16, microseconds: u64) {
        if let Some(counter) = self.0.get(usize::from(status / 100)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.1.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// As lines of the Prometheus text format.
    pub fn render(&self) -> String {
        let mut text = "# HELP rackwright_http_requests_total Requests answered, by class of status.\n\
                        # TYPE rackwright_http_requests_total counter\n"
            .to_owned();
        for (class, counter) in self.0.iter().enumerate().skip(1) {
            let count = counter.load(Ordering::Relaxed);
            text.push_str(&format!("rackwright_http_requests_total{{status=\"{class}xx\"}} {count}\n"));
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a sum of microseconds stays below 2^53 for centuries"
        )]
        let seconds = self.1.load(Ordering::Relaxed) as f64 / 1e6;
        text.push_str(&format!(
            "# HELP rackwright_http_request_seconds_total Time spent answering requests.\n\
             # TYPE rackwright_http_request_seconds_total counter\nrackwright_http_request_seconds_total {seconds}\n"
        ));
        text
    }
}

/// Logs and counts one request. The path is logged without its query, which may hold what somebody searched for.
pub async fn log(counters: Counters, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let quiet = path == "/healthz" || path == "/readyz" || path == "/metrics";
    let route = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
    let response = next.run(request).await;
    let took = began.elapsed();
    let status = response.status().as_u16();
    counters.count(status, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let ms = took.as_secs_f64() * 1e3;
    if quiet {
        tracing::debug!(%method, path, status, ms, "request");
    } else {
        tracing::info!(%method, path, route, status, ms, "request");
    }
    response
}
