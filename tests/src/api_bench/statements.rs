//! Counts SQL statements by the events that sqlx writes for each (`sqlx::query`).
//!
//! Seen: every statement that a query runs, authentication included. Not seen: BEGIN and COMMIT, which reading
//! does not use, and the pool's empty round trip that checks a connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

const TARGET: &str = "sqlx::query";

static COUNTING: AtomicBool = AtomicBool::new(false);
static SEEN: AtomicU64 = AtomicU64::new(0);

struct Count;

impl<S: tracing::Subscriber> Layer<S> for Count {
    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
        SEEN.fetch_add(1, Ordering::SeqCst);
    }
}

/// Installs the counter, and beside it a log at the level of production, formatted and thrown away.
pub fn install() -> Result<(), TryInitError> {
    let wanted =
        dynamic_filter_fn(|metadata, _: &Context<'_, _>| {
            metadata.target() == TARGET && COUNTING.load(Ordering::SeqCst)
        })
        .with_callsite_filter(|metadata| {
            if metadata.target() == TARGET { Interest::sometimes() } else { Interest::never() }
        })
        .with_max_level_hint(LevelFilter::DEBUG);
    let log = tracing_subscriber::fmt::layer().json().with_writer(std::io::sink);
    tracing_subscriber::registry()
        .with(Count.with_filter(wanted))
        .with(log.with_filter(LevelFilter::INFO))
        .try_init()
}

/// Switches counting on or off; off, a statement costs what it costs in production.
pub fn count(on: bool) {
    COUNTING.store(on, Ordering::SeqCst);
}

/// Statements seen since the process began, while counting was on.
pub fn seen() -> u64 {
    SEEN.load(Ordering::SeqCst)
}
