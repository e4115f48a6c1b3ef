//! What a machine wrote to its serial console before an operation failed: goes with the failure, beside the reason.

use crate::db::operation::Operation;
use crate::db::{DbError, console};
use rackwright_common::console::{last_lines, plain};
use sqlx::PgConnection;

/// Bytes as written in which readable lines are looked for: colours and cursor movements take their part.
const WRITTEN: i64 = 16 * 1024;
/// Bytes and lines that go with a failure.
const SHOWN: usize = 2048;
const LINES: usize = 40;

/// The last lines written since the operation began; none when nothing was recorded.
pub(super) async fn last(conn: &mut PgConnection, op: &Operation) -> Result<Vec<String>, DbError> {
    let written = console::tail_of(conn, &op.machine, op.id, WRITTEN).await?;
    Ok(last_lines(&plain(&String::from_utf8_lossy(&written)), SHOWN, LINES))
}
