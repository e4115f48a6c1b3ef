//! Machines as lists and pages show them. A page is one statement, and costs the same whatever the number of machines.

use super::DbError;
use super::interface::named;
use super::machine_filter::{Filter, filtered};
use super::virtual_interface::{self, Owner};
use crate::model::machine::{BmcView, InterfaceView, Machine, MachineSummary, RunningOperation};
use rackwright_common::bmc::{BmcSettings, PowerState};
use rackwright_common::{MachineId, OperationId};
use sqlx::PgConnection;
use time::OffsetDateTime;

struct Row {
    id: String,
    hostname: String,
    status: String,
    status_message: String,
    status_since: OffsetDateTime,
    locked: bool,
    owner: Option<String>,
    pool: String,
    zone: String,
    tags: Vec<String>,
    architecture: String,
    vendor: Option<String>,
    product: Option<String>,
    cpu_cores: i32,
    memory_mib: i64,
    storage_bytes: i64,
    power_state: String,
    power_driver: Option<String>,
    addresses: Vec<String>,
    image: Option<String>,
    operation_id: Option<i64>,
    operation_kind: Option<String>,
    operation_step: Option<String>,
    operation_message: Option<String>,
    last_seen_at: Option<OffsetDateTime>,
    version: i64,
}

/// Reads a stored power state; an unknown word is unknown.
fn power(text: &str) -> PowerState {
    match text {
        "on" => PowerState::On,
        "off" => PowerState::Off,
        _ => PowerState::Unknown,
    }
}

impl TryFrom<Row> for MachineSummary {
    type Error = DbError;

    fn try_from(r: Row) -> Result<Self, DbError> {
        let corrupt = |what| move |_| DbError::Corrupt { what };
        let operation = r.operation_id.map(|id| RunningOperation {
            id: OperationId(id),
            kind: r.operation_kind.unwrap_or_default(),
            step: r.operation_step.unwrap_or_default(),
            message: r.operation_message.unwrap_or_default(),
        });
        Ok(Self {
            id: r.id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?,
            hostname: r.hostname.parse().map_err(|_| DbError::Corrupt { what: "host name" })?,
            status: r.status.parse().map_err(corrupt("status"))?,
            status_message: r.status_message,
            status_since: r.status_since.into(),
            locked: r.locked,
            owner: r.owner,
            pool: r.pool,
            zone: r.zone,
            tags: r.tags,
            architecture: r.architecture,
            vendor: r.vendor,
            product: r.product,
            cpu_cores: r.cpu_cores,
            memory_mib: r.memory_mib,
            storage_bytes: r.storage_bytes,
            power_state: power(&r.power_state),
            power_driver: r.power_driver.and_then(|d| d.parse().ok()),
            addresses: r.addresses.iter().filter_map(|a| a.parse().ok()).collect(),
            image: r.image,
            operation,
            last_seen_at: r.last_seen_at.map(Into::into),
            version: r.version,
        })
    }
}

/// Rows of machines. The columns are said once; `$tail` says which machines, and joins them as `m`.
macro_rules! summaries {
    ($tail:tt $(+ $more:tt)*, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT m.id, m.hostname, m.status, m.status_message, m.status_since, m.locked, u.name AS "owner?", m.pool, m.zone,
                      m.tags, m.architecture, m.vendor, m.product, m.cpu_cores, m.memory_mib, m.storage_bytes, m.power_state,
                      b.driver AS "power_driver?",
                      ARRAY(SELECT host(i.address) FROM interface i WHERE i.machine_id = m.id AND i.address IS NOT NULL
                            ORDER BY i.boot DESC, i.id) AS "addresses!",
                      g.name || '@' || g.version AS image,
                      o.id AS "operation_id?", o.kind AS "operation_kind?", o.step AS "operation_step?",
                      o.message AS "operation_message?", m.last_seen_at, m.version
               FROM machine m LEFT JOIN "user" u ON u.id = m.owner_id
                    LEFT JOIN bmc b ON b.machine_id = m.id LEFT JOIN image g ON g.id = m.image_id
                    LEFT JOIN operation o ON o.machine_id = m.id AND o.status = 'running' "# + $tail $(+ $more)*,
            $($argument),*
        )
    };
}

/// A page of machines by name.
///
/// The page is found first, by the index in its order, and only its rows are joined: its cost does not grow with the
/// number of machines.
pub async fn list(
    conn: &mut PgConnection,
    f: &Filter<'_>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<MachineSummary>, DbError> {
    let rows = filtered!(
        summaries!(
            r#"WHERE m.id = ANY(ARRAY(
                 SELECT m.id FROM machine m WHERE m.hostname COLLATE "C" > coalesce($7, '') AND "#,
            r#" ORDER BY m.hostname COLLATE "C" LIMIT $8)) ORDER BY m.hostname COLLATE "C""#
        ),
        f,
        after,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(MachineSummary::try_from).collect()
}

/// Some machines, by name.
pub async fn some(conn: &mut PgConnection, ids: &[String]) -> Result<Vec<MachineSummary>, DbError> {
    let rows = summaries!(
        r#"WHERE m.id = ANY(ARRAY(SELECT m.id FROM machine m WHERE m.id = ANY($1))) ORDER BY m.hostname COLLATE "C""#,
        ids
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(MachineSummary::try_from).collect()
}

/// How many machines the filter lets through.
pub async fn count(conn: &mut PgConnection, f: &Filter<'_>) -> Result<i64, DbError> {
    Ok(filtered!(sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM machine m WHERE "#, ""), f)
        .fetch_one(conn)
        .await?)
}

/// One machine in full.
pub async fn get(conn: &mut PgConnection, id: &MachineId) -> Result<Machine, DbError> {
    let row = summaries!("WHERE m.id = $1", id.as_str()).fetch_optional(&mut *conn).await?;
    let summary = MachineSummary::try_from(row.ok_or(DbError::NotFound)?)?;
    let interfaces = interfaces(&mut *conn, id).await?;
    let virtual_interfaces = virtual_interface::list(&mut *conn, id).await?;
    let default_gateways = virtual_interface::gateways(&mut *conn, id).await?;
    let failed_tests = failed_tests(&mut *conn, id).await?;
    let r = sqlx::query!(
        r#"SELECT m.description, m.system_uuid, m.system_serial, m.efi, m.secure_boot, m.boot, m.power_seen_at, m.commissioned_at,
                  m.deployed_at, m.storage_layout, m.ssh_keys, m.inventory, m.created_at, m.updated_at,
                  b.driver AS "driver?", b.address AS "bmc_address?", b.port, b.username AS "username?",
                  b.secret IS NOT NULL AS "has_password!", b.settings AS "settings?", b.source AS "source?", b.error
           FROM machine m LEFT JOIN bmc b ON b.machine_id = m.id WHERE m.id = $1"#,
        id.as_str()
    )
    .fetch_one(conn)
    .await?;
    let bmc = r.driver.and_then(|driver| {
        Some(BmcView {
            driver: driver.parse().ok()?,
            address: r.bmc_address.unwrap_or_default(),
            port: r.port.and_then(|p| u16::try_from(p).ok()),
            username: r.username.unwrap_or_default(),
            has_password: r.has_password,
            settings: r
                .settings
                .and_then(|s| serde_json::from_value(s).ok())
                .unwrap_or_else(BmcSettings::default),
            source: r.source.unwrap_or_default(),
            error: r.error,
        })
    });
    Ok(Machine {
        summary,
        description: r.description,
        system_uuid: r.system_uuid,
        system_serial: r.system_serial,
        efi: r.efi,
        secure_boot: r.secure_boot,
        boot: r.boot,
        power_seen_at: r.power_seen_at.map(Into::into),
        commissioned_at: r.commissioned_at.map(Into::into),
        deployed_at: r.deployed_at.map(Into::into),
        storage_layout: serde_json::from_value(r.storage_layout).unwrap_or_default(),
        ssh_keys: r.ssh_keys,
        interfaces,
        virtual_interfaces,
        default_gateways,
        bmc,
        inventory: r.inventory.and_then(|v| serde_json::from_value(v).ok()),
        failed_tests,
        created_at: r.created_at.into(),
        updated_at: r.updated_at.into(),
    })
}

async fn interfaces(conn: &mut PgConnection, id: &MachineId) -> Result<Vec<InterfaceView>, DbError> {
    let rows = sqlx::query!(
        "SELECT id, mac, name, boot, link, subnet_id, host(address) AS address, mtu,
                CASE WHEN mode = 'auto' AND address_source = 'person' THEN 'static' ELSE mode END AS \"mode!\"
         FROM interface WHERE machine_id = $1 ORDER BY boot DESC, interface.id",
        id.as_str()
    )
    .fetch_all(&mut *conn)
    .await?;
    let more = virtual_interface::addresses(conn, id).await?;
    let of = |id: i64| more.iter().filter(move |a| a.owner == Owner::Physical(id));
    rows.into_iter()
        .enumerate()
        .map(|(at, r)| {
            Ok(InterfaceView {
                id: r.id,
                mac: r.mac.parse().map_err(|_| DbError::Corrupt { what: "MAC address" })?,
                name: named(r.name, at),
                boot: r.boot,
                link: r.link,
                subnet: r.subnet_id,
                address: r.address.and_then(|a| a.parse().ok()),
                mode: r.mode,
                mtu: r.mtu,
                more: of(r.id).map(|a| a.view.clone()).collect(),
            })
        })
        .collect()
}

/// Tests whose last run failed and is not suppressed, with their target where they have one.
async fn failed_tests(conn: &mut PgConnection, id: &MachineId) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT name || CASE WHEN target = '' THEN '' ELSE ' (' || target || ')' END AS "name!" FROM (
             SELECT DISTINCT ON (name, target) name, target, status, suppressed FROM script_run
             WHERE machine_id = $1 AND script_type = 'testing' ORDER BY name, target, id DESC) latest
           WHERE status IN ('failed', 'timed-out') AND NOT suppressed ORDER BY 1"#,
        id.as_str()
    )
    .fetch_all(conn)
    .await?)
}

/// The pool of a machine.
pub async fn pool(conn: &mut PgConnection, id: &MachineId) -> Result<String, DbError> {
    let found = sqlx::query_scalar!("SELECT pool FROM machine WHERE id = $1", id.as_str());
    found.fetch_optional(conn).await?.ok_or(DbError::NotFound)
}

/// Number of machines by status; in some pools when given.
pub async fn count_by_status(
    conn: &mut PgConnection,
    pools: Option<&[String]>,
) -> Result<Vec<(String, i64)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT status, count(*) AS "n!" FROM machine WHERE ($1::text[] IS NULL OR pool = ANY($1))
           GROUP BY status ORDER BY status"#,
        pools
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.status, r.n)).collect())
}
