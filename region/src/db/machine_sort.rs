//! Machines in another order than by name. Orders that few ask for have no index: all machines that fit are looked at,
//! one column of each, and only the page's rows are joined afterwards.

use super::DbError;
use super::machine_filter::{Filter, filtered};
use crate::model::machine_sort::MachineSort;
use sqlx::PgConnection;

/// A machine's place in an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Identifier.
    pub id: String,
    /// What it is ordered by, as text that sorts; machines with the same are ordered by name.
    pub key: String,
}

/// The machines of a page in an order, after the one with this key and name.
pub async fn list(
    conn: &mut PgConnection,
    f: &Filter<'_>,
    sort: MachineSort,
    after: Option<(&str, &str)>,
    limit: i64,
) -> Result<Vec<Place>, DbError> {
    let (key, hostname) = after.unzip();
    Ok(filtered!(
        sqlx::query_as!(
            Place,
            r#"SELECT id, key AS "key!" FROM (
                 SELECT m.id, m.hostname, (CASE $7
                          WHEN 'name' THEN m.hostname
                          WHEN 'status' THEN m.status
                          WHEN 'since' THEN to_char(m.status_since AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')
                          WHEN 'power' THEN m.power_state
                          WHEN 'owner' THEN coalesce((SELECT u.name FROM "user" u WHERE u.id = m.owner_id), '')
                          WHEN 'cores' THEN lpad(m.cpu_cores::text, 20, '0')
                          WHEN 'memory' THEN lpad(m.memory_mib::text, 20, '0')
                          WHEN 'disks' THEN lpad(m.storage_bytes::text, 20, '0')
                          WHEN 'pool' THEN m.pool || '/' || m.zone
                          ELSE m.zone END) COLLATE "C" AS key
                 FROM machine m WHERE "#,
            r#") fit
               WHERE $9::text IS NULL OR (key = $9 AND hostname COLLATE "C" > $10::text)
                  OR CASE WHEN $8 THEN key < $9 ELSE key > $9 END
               ORDER BY CASE WHEN $8 THEN key END DESC, CASE WHEN NOT $8 THEN key END, hostname COLLATE "C" LIMIT $11"#
        ),
        f,
        sort.column,
        sort.descending,
        key,
        hostname,
        limit
    )
    .fetch_all(conn)
    .await?)
}
