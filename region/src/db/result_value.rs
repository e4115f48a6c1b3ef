//! Result values of a machine beside those of the other machines of its model: one statement for all values, over a
//! bounded number of machines, so that it costs the same on a large site.

use super::DbError;
use crate::model::result_value::{Comparison, OwnValue, ResultValue};
use rackwright_common::MachineId;
use sqlx::PgConnection;

/// Other machines of its model that a machine is compared with at most: the latest commissioned.
const OTHERS: i64 = 99;

/// The latest value of each script, target and name that is a number, over machines with the machine's vendor and
/// product. Runs that were suppressed or were not carried out do not count, and neither do disks and cards that are
/// no longer in their machine. Values that this machine does not have are left out.
pub async fn compare(conn: &mut PgConnection, machine: &MachineId) -> Result<Comparison, DbError> {
    let rows = sqlx::query!(
        r#"WITH peer AS MATERIALIZED (
             SELECT id, inventory FROM machine WHERE id = $1
             UNION ALL
             SELECT other.id, other.inventory FROM machine self CROSS JOIN LATERAL (
               SELECT m.id, m.inventory FROM machine m
               WHERE m.vendor = self.vendor AND m.product = self.product AND m.id <> self.id
               ORDER BY m.commissioned_at DESC NULLS LAST, m.id LIMIT $2) other
             WHERE self.id = $1),
           part AS (
             SELECT DISTINCT ON (id, target) id, target, name FROM (
               SELECT p.id, coalesce(d ->> 'serial', d ->> 'name') AS target, d ->> 'model' AS name FROM peer p,
                 jsonb_array_elements(CASE jsonb_typeof(p.inventory -> 'disks') WHEN 'array' THEN p.inventory -> 'disks' END) d
               UNION ALL
               SELECT p.id, n ->> 'mac', n ->> 'product' FROM peer p,
                 jsonb_array_elements(CASE jsonb_typeof(p.inventory -> 'interfaces') WHEN 'array' THEN p.inventory -> 'interfaces' END) n) parts
             ORDER BY id, target, name),
           latest AS (
             SELECT peer.id AS machine_id, l.* FROM peer CROSS JOIN LATERAL (
               SELECT DISTINCT ON (r.name, r.target) r.id, r.script_id, r.name, r.hardware_type, r.target,
                      CASE jsonb_typeof(r.results) WHEN 'object' THEN r.results ELSE '{}' END AS results
               FROM script_run r
               WHERE r.machine_id = peer.id AND r.status IN ('passed', 'failed', 'degraded') AND NOT r.suppressed AND r.results <> '{}'
                 AND r.name IN (SELECT mine.name FROM script_run mine WHERE mine.machine_id = $1)
               ORDER BY r.name, r.target, r.id DESC) l)
           SELECT l.name AS "script!", l.hardware_type AS "hardware_type!", coalesce(part.name, '') AS "part!", v.key AS "name!",
                  coalesce(max(s.metadata -> 'results' -> v.key ->> 'title') FILTER (WHERE l.machine_id = $1), '') AS "title!",
                  coalesce(max(s.metadata -> 'results' -> v.key ->> 'description') FILTER (WHERE l.machine_id = $1), '') AS "description!",
                  array_agg(v.value::float8 ORDER BY v.value::float8) AS "values!",
                  array_agg(l.target ORDER BY l.target) FILTER (WHERE l.machine_id = $1) AS "own_targets!",
                  array_agg(l.id ORDER BY l.target) FILTER (WHERE l.machine_id = $1) AS "own_runs!",
                  array_agg(v.value::float8 ORDER BY l.target) FILTER (WHERE l.machine_id = $1) AS "own_values!",
                  (SELECT count(*) FROM peer) AS "machines!"
           FROM latest l JOIN script s ON s.id = l.script_id LEFT JOIN part ON part.id = l.machine_id AND part.target = l.target
                CROSS JOIN LATERAL jsonb_each(l.results) v
           WHERE jsonb_typeof(v.value) = 'number' AND (l.target = '' OR part.id IS NOT NULL)
           GROUP BY 1, 2, 3, 4 HAVING bool_or(l.machine_id = $1) ORDER BY 2, 1, 3, 4"#,
        machine.as_str(),
        OTHERS
    )
    .fetch_all(conn)
    .await?;
    let machines = rows.first().map_or(0, |r| r.machines);
    let values = rows
        .into_iter()
        .map(|r| ResultValue {
            script: r.script,
            hardware_type: r.hardware_type,
            part: r.part,
            name: r.name,
            title: r.title,
            description: r.description,
            values: r.values,
            own: own(r.own_targets, &r.own_runs, &r.own_values),
        })
        .collect();
    Ok(Comparison { machines, values })
}

/// Three columns in the same order, as rows.
fn own(targets: Vec<String>, runs: &[i64], values: &[f64]) -> Vec<OwnValue> {
    let rows = targets.into_iter().zip(runs).zip(values);
    rows.map(|((target, run), value)| OwnValue { target, run: *run, value: *value }).collect()
}
