//! Where interfaces are by what switches say, where they are by the model, and the faults that are known.

use super::DbError;
use crate::model::discovery::WiringFault;
use crate::network::wiring::Place;
use rackwright_common::MachineId;
use sqlx::PgConnection;

/// The interfaces of machines and racks whose other end has said in which VLAN they are, and that have a tagged VLAN in
/// the model. Of a rack only what was heard in the last half hour. Of a machine whose switch does not say it by LLDP,
/// what the switch says by SNMP.
pub async fn places(conn: &mut PgConnection) -> Result<Vec<Place>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT m.id AS "machine?", NULL::bigint AS rack, m.hostname AS "name!", i.name AS "interface!", i.details->'lldp' AS "lldp!", v.vid AS "vid!"
           FROM interface i JOIN machine m ON m.id = i.machine_id JOIN subnet s ON s.id = i.subnet_id JOIN vlan v ON v.id = s.vlan_id
           WHERE jsonb_typeof(i.details->'lldp') = 'object'
           UNION ALL
           SELECT NULL, heard.rack_id, r.name, heard.interface, heard.lldp, v.vid
           FROM (SELECT DISTINCT ON (rack_id, interface) rack_id, interface, lldp FROM discovery
                 WHERE lldp IS NOT NULL AND last_seen_at > now() - interval '30 minutes'
                 ORDER BY rack_id, interface, last_seen_at DESC) heard
           JOIN rack r ON r.id = heard.rack_id CROSS JOIN LATERAL jsonb_array_elements(r.addresses) a
           JOIN subnet s ON s.cidr >>= (a->>'network')::inet JOIN vlan v ON v.id = s.vlan_id
           WHERE a->>'interface' = heard.interface
           UNION ALL
           SELECT * FROM (
               SELECT DISTINCT ON (i.id) m.id, NULL::bigint, m.hostname, i.name,
                      jsonb_build_object('chassis', w.name, 'system', w.name, 'port', p.port, 'vlan', p.vid), v.vid
               FROM switch_place p JOIN switch w ON w.id = p.switch_id JOIN interface i ON i.mac = p.mac JOIN machine m ON m.id = i.machine_id
               JOIN subnet s ON s.id = i.subnet_id JOIN vlan v ON v.id = s.vlan_id
               WHERE i.details->'lldp'->>'vlan' IS NULL AND w.error IS NULL
               ORDER BY i.id, w.read_at DESC) by_switch"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|r| {
            Some(Place {
                machine: r.machine.and_then(|m| m.parse().ok()),
                rack: r.rack,
                name: r.name,
                interface: r.interface,
                lldp: serde_json::from_value(r.lldp).ok()?,
                model_vid: r.vid,
            })
        })
        .collect())
}

/// Faults, by name; of one machine when given. With `pools` those of racks and of the machines in them only.
pub async fn faults(
    conn: &mut PgConnection,
    machine: Option<&MachineId>,
    pools: Option<&[String]>,
) -> Result<Vec<WiringFault>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT f.machine_id, r.name AS "rack?", coalesce(m.hostname, r.name) AS "name!", f.interface, f.switch, f.port, f.seen_vid,
                  f.model_vid, f.message, f.since
           FROM wiring_fault f LEFT JOIN machine m ON m.id = f.machine_id LEFT JOIN rack r ON r.id = f.rack_id
           WHERE ($1::text IS NULL OR f.machine_id = $1) AND ($2::text[] IS NULL OR m.id IS NULL OR m.pool = ANY($2))
           ORDER BY 3, f.interface LIMIT 1000"#,
        machine.map(MachineId::as_str),
        pools
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| WiringFault {
            machine: r.machine_id.and_then(|m| m.parse().ok()),
            rack: r.rack,
            name: r.name,
            interface: r.interface,
            switch: r.switch,
            port: r.port,
            seen_vid: r.seen_vid,
            model_vid: r.model_vid,
            message: r.message,
            since: r.since.into(),
        })
        .collect())
}

/// Whether this transaction is the only one now that compares; until its end.
pub async fn lock(conn: &mut PgConnection) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar!("SELECT pg_try_advisory_xact_lock(hashtext('wiring')) AS \"mine!\"")
        .fetch_one(conn)
        .await?)
}

/// Notes a fault; whether it is new or another one than before.
pub async fn put(conn: &mut PgConnection, place: &Place, fault: &WiringFault) -> Result<bool, DbError> {
    let changed = sqlx::query!(
        "INSERT INTO wiring_fault (machine_id, rack_id, interface, switch, port, seen_vid, model_vid, message)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT ON CONSTRAINT wiring_fault_unique DO UPDATE SET switch = $4, port = $5, seen_vid = $6, model_vid = $7, message = $8, since = now()
         WHERE wiring_fault.message <> $8",
        place.machine.as_ref().map(MachineId::as_str),
        place.rack,
        place.interface,
        fault.switch,
        fault.port,
        fault.seen_vid,
        fault.model_vid,
        fault.message,
    )
    .execute(conn)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Removes the fault of an interface.
pub async fn remove(conn: &mut PgConnection, fault: &WiringFault) -> Result<(), DbError> {
    sqlx::query!(
        "DELETE FROM wiring_fault WHERE interface = $3 AND machine_id IS NOT DISTINCT FROM $1
         AND rack_id IS NOT DISTINCT FROM (SELECT id FROM rack WHERE name = $2)",
        fault.machine.as_ref().map(MachineId::as_str),
        fault.rack,
        fault.interface,
    )
    .execute(conn)
    .await?;
    Ok(())
}
