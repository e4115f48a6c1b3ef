//! What a request may do while there is no primary database, and what it did: kept beside the task that serves it, so
//! that no use case has to hand it on.

use super::DbError;
use sqlx::postgres::PgQueryResult;
use std::cell::Cell;

tokio::task_local! {
    static TRACE: Trace;
}

#[derive(Debug, Default)]
struct Trace {
    may_read: bool,
    has_read: Cell<bool>,
    has_committed: Cell<bool>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Something in its answer was read from a standby.
    pub read_from_standby: bool,
    /// A transaction got as far as its COMMIT, which may have been carried out: doing the request again could do it twice.
    pub reached_commit: bool,
}

/// Runs what serves a request. `may_read`: it changes nothing, so it may read from a standby.
pub async fn trace<T>(may_read: bool, run: impl Future<Output = T>) -> (T, Outcome) {
    let trace = Trace { may_read, ..Trace::default() };
    TRACE
        .scope(trace, async {
            let value = run.await;
            let outcome = TRACE.with(|trace| Outcome {
                read_from_standby: trace.has_read.get(),
                reached_commit: trace.has_committed.get(),
            });
            (value, outcome)
        })
        .await
}

pub(super) fn is_allowed() -> bool {
    TRACE.try_with(|trace| trace.may_read).unwrap_or(false)
}

pub(super) fn note_read() {
    // Outside a request there is nobody to tell.
    TRACE.try_with(|trace| trace.has_read.set(true)).unwrap_or_default();
}

pub(super) fn note_commit() {
    TRACE.try_with(|trace| trace.has_committed.set(true)).unwrap_or_default();
}

/// For a note beside a read, which a standby refuses and a primary takes the next time.
pub(super) fn unless_standby(noted: Result<PgQueryResult, sqlx::Error>) -> Result<(), DbError> {
    match noted.map_err(DbError::from) {
        Ok(_) => Ok(()),
        Err(error) if error.is_read_only() => Ok(()),
        Err(error) => Err(error),
    }
}
