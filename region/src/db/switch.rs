//! Switches, what they said the last time, and where they have heard whom. How racks are let in is stored sealed.

use super::DbError;
use crate::model::switch::Switch;
use rackwright_common::switch::SwitchReading;
use rackwright_common::{Mac, MachineId};
use sqlx::PgConnection;
use std::collections::HashMap;

/// A switch as it is stored.
#[derive(Debug)]
pub struct Stored<'a> {
    /// Its name here.
    pub name: &'a str,
    /// Host name or address.
    pub address: &'a str,
    /// UDP port.
    pub port: u16,
    /// Seconds from one reading to the next.
    pub poll_seconds: i32,
}

/// How one is let in.
#[derive(Debug)]
pub struct Access {
    /// For people.
    pub shown: String,
    /// Sealed.
    pub sealed: Vec<u8>,
}

/// All switches, by name; one when `id` is given.
pub async fn list(conn: &mut PgConnection, id: Option<i64>) -> Result<Vec<Switch>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.name, s.address, s.port, s.access, s.poll_seconds, s.read_at, s.error, s.created_at, r.name AS "rack?",
                  coalesce(s.reading->>'name', '') AS "system!", coalesce(s.reading->>'description', '') AS "description!",
                  coalesce(jsonb_array_length(s.reading->'ports'), 0)::bigint AS "ports!"
           FROM switch s LEFT JOIN rack r ON r.id = s.rack_id WHERE $1::bigint IS NULL OR s.id = $1 ORDER BY s.name"#,
        id
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Switch {
                id: r.id,
                name: r.name,
                address: r.address,
                port: r.port.try_into().map_err(|_| DbError::Corrupt { what: "port" })?,
                access: r.access,
                poll_seconds: r.poll_seconds,
                system: r.system,
                description: r.description,
                port_count: r.ports,
                read_at: r.read_at.map(Into::into),
                rack: r.rack,
                error: r.error,
                created_at: r.created_at.into(),
            })
        })
        .collect()
}

/// One switch.
pub async fn get(conn: &mut PgConnection, id: i64) -> Result<Switch, DbError> {
    list(conn, Some(id)).await?.pop().ok_or(DbError::NotFound)
}

/// What a switch said the last time; nothing of one that was never read.
pub async fn reading(conn: &mut PgConnection, id: i64) -> Result<SwitchReading, DbError> {
    let stored = sqlx::query_scalar!("SELECT reading FROM switch WHERE id = $1", id).fetch_one(conn).await?;
    let Some(stored) = stored else { return Ok(SwitchReading::default()) };
    serde_json::from_value(stored).map_err(|_| DbError::Corrupt { what: "reading of a switch" })
}

/// Address, port, and how one is let in, sealed.
pub async fn endpoint(conn: &mut PgConnection, id: i64) -> Result<(String, i32, Vec<u8>), DbError> {
    let row =
        sqlx::query!("SELECT address, port, secret FROM switch WHERE id = $1", id).fetch_one(conn).await?;
    Ok((row.address, row.port, row.secret))
}

/// Enters a switch; its number. It is read at once.
pub async fn insert(conn: &mut PgConnection, new: &Stored<'_>, access: &Access) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO switch (name, address, port, access, secret, poll_seconds) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        new.name,
        new.address,
        i32::from(new.port),
        access.shown,
        access.sealed,
        new.poll_seconds,
    )
    .fetch_one(conn)
    .await?)
}

/// Changes a switch; without `access`, the stored one stays. It is read at once.
pub async fn update(
    conn: &mut PgConnection,
    id: i64,
    new: &Stored<'_>,
    access: Option<&Access>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE switch SET name = $2, address = $3, port = $4, access = coalesce($5, access), secret = coalesce($6, secret),
                poll_seconds = $7, next_poll_at = now() WHERE id = $1",
        id,
        new.name,
        new.address,
        i32::from(new.port),
        access.map(|a| a.shown.as_str()),
        access.map(|a| a.sealed.as_slice()),
        new.poll_seconds,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a switch.
pub async fn delete(conn: &mut PgConnection, id: i64) -> Result<bool, DbError> {
    Ok(sqlx::query!("DELETE FROM switch WHERE id = $1", id).execute(conn).await?.rows_affected() == 1)
}

/// Stores what a switch has said to a rack. Returns why it could not be read the time before, if that was so.
pub async fn store_reading(
    conn: &mut PgConnection,
    id: i64,
    rack: Option<i64>,
    reading: &SwitchReading,
) -> Result<Option<String>, DbError> {
    let stored =
        serde_json::to_value(reading).map_err(|_| DbError::Corrupt { what: "reading of a switch" })?;
    let before = sqlx::query_scalar!("SELECT error FROM switch WHERE id = $1 FOR UPDATE", id)
        .fetch_one(&mut *conn)
        .await?;
    sqlx::query!(
        "UPDATE switch SET reading = $2, read_at = now(), rack_id = $3, error = NULL WHERE id = $1",
        id,
        stored,
        rack
    )
    .execute(&mut *conn)
    .await?;
    store_places(conn, id, reading).await?;
    Ok(before)
}

/// Where this switch has heard interfaces of machines and racks: at access ports, whose one VLAN they are in.
async fn store_places(conn: &mut PgConnection, id: i64, reading: &SwitchReading) -> Result<(), DbError> {
    let ports: HashMap<u32, &str> =
        reading.ports.iter().filter(|p| p.is_access()).map(|p| (p.number, p.name.as_str())).collect();
    let (mut macs, mut names, mut vids) = (Vec::new(), Vec::new(), Vec::new());
    for heard in &reading.macs {
        let (Some(port), Some(vid)) = (ports.get(&heard.port), heard.vid) else { continue };
        macs.push(heard.mac.to_string());
        names.push((*port).to_owned());
        vids.push(i32::from(vid));
    }
    sqlx::query!("DELETE FROM switch_place WHERE switch_id = $1", id).execute(&mut *conn).await?;
    sqlx::query!(
        "INSERT INTO switch_place (mac, switch_id, port, vid)
         SELECT DISTINCT ON (h.mac) h.mac, $1::bigint, h.port, h.vid FROM unnest($2::text[], $3::text[], $4::int[]) AS h (mac, port, vid)
         JOIN interface i ON i.mac = h.mac ORDER BY h.mac",
        id,
        &macs,
        &names,
        &vids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes why a switch could not be read. Whether it could the time before.
pub async fn store_error(
    conn: &mut PgConnection,
    id: i64,
    rack: Option<i64>,
    error: &str,
) -> Result<bool, DbError> {
    let before = sqlx::query_scalar!("SELECT error FROM switch WHERE id = $1 FOR UPDATE", id)
        .fetch_one(&mut *conn)
        .await?;
    sqlx::query!("UPDATE switch SET error = $2, rack_id = $3 WHERE id = $1", id, error, rack)
        .execute(conn)
        .await?;
    Ok(before.is_none())
}

/// A machine's interface.
#[derive(Debug, Clone)]
pub struct Known {
    /// The machine.
    pub machine: MachineId,
    /// Its name.
    pub name: String,
    /// The interface.
    pub interface: String,
}

/// Whose the hardware addresses are, as far as they are machines' of these pools (all when none are named).
pub async fn known(
    conn: &mut PgConnection,
    macs: &[String],
    pools: Option<&[String]>,
) -> Result<HashMap<Mac, Known>, DbError> {
    let rows = sqlx::query!(
        "SELECT i.mac, i.name AS interface, m.id, m.hostname FROM interface i JOIN machine m ON m.id = i.machine_id
         WHERE i.mac = ANY($1) AND ($2::text[] IS NULL OR m.pool = ANY($2))",
        macs,
        pools,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|r| {
            let known = Known { machine: r.id.parse().ok()?, name: r.hostname, interface: r.interface };
            Some((r.mac.parse().ok()?, known))
        })
        .collect())
}
