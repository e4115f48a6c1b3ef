//! The database: free functions over a connection, one file per noun. Only this folder holds SQL.

pub mod address;
pub mod address_probe;
pub mod agent_boot;
pub mod audit;
pub mod bmc;
pub mod boot_trace;
pub mod bulk;
pub mod connector;
pub mod console;
pub mod console_seat;
pub mod controller_query;
pub mod device;
pub mod dhcp_seen;
pub mod discovery;
pub mod dns_key;
pub mod dns_record;
pub mod dns_zone;
pub mod domain;
pub mod error;
pub mod event;
pub mod event_query;
pub mod fabric;
pub mod group;
pub mod hardware_change;
pub mod idempotency;
pub mod image;
pub mod in_use;
pub mod interface;
pub mod ip_range;
pub mod lease;
pub mod lease_address;
pub mod lease_block;
pub mod lease_state;
pub mod login_provider;
pub mod login_try;
pub mod machine;
pub mod machine_edit;
pub mod machine_filter;
pub mod machine_query;
pub mod machine_sort;
pub mod name_source;
pub mod notification;
pub mod operation;
pub mod operation_query;
pub mod rack;
pub mod rack_task;
pub mod rack_token;
pub mod region;
pub mod reservation;
pub mod restored;
pub mod result_value;
pub mod script;
pub mod script_history;
pub mod script_run;
pub mod secondary;
pub mod session;
pub mod setting;
pub mod space;
pub mod ssh_key;
pub mod standby;
pub mod static_route;
pub mod subnet;
pub mod switch;
pub mod switch_task;
pub mod token;
pub mod transaction;
pub mod user;
pub mod utilisation;
pub mod virtual_interface;
pub mod vlan;
pub mod wakeups;
pub mod wiring;
pub mod work_item;
pub mod world;

pub use connector::{Database, Patience, root_certificate, with_root_certificate};
pub use error::DbError;
pub use transaction::Transaction;

use sqlx::PgPool;

/// Newer migrations than ours may be there already, while a site is being upgraded: [`compatible`] says whether that is good.
fn migrator() -> sqlx::migrate::Migrator {
    let mut migrator = sqlx::migrate!("../migrations");
    migrator.set_ignore_missing(true);
    migrator
}

/// The oldest server that will do, as servers number themselves: 15.4 is 150004.
const OLDEST: u32 = 150_000;

/// Connects to one server and brings the schema up to date. Safe to be called by several regions at once.
pub async fn connect(url: &str, connections: u32) -> Result<PgPool, DbError> {
    Ok(Database::open(url, connections, Patience::default()).await?.pool().clone())
}

/// Brings the schema up to date.
async fn prepare(pool: &PgPool) -> Result<(), DbError> {
    let mut conn = pool.acquire().await?;
    if let Some(number) = conn.server_version_num()
        && number < OLDEST
    {
        return Err(DbError::TooOld { found: number / 10_000 });
    }
    if !controller_query::is_writable(&mut conn).await? {
        return Err(DbError::ReadOnly);
    }
    drop(conn);
    let migrator = migrator();
    let newest = migrator.iter().map(|migration| migration.version).max().unwrap_or(0);
    compatible(pool, newest).await?;
    Ok(migrator.run(pool).await?)
}

/// Whether a program whose newest migration is this one may work with the schema that is there: what is newer in it only
/// adds to what the program knows.
async fn compatible(pool: &PgPool, newest: i64) -> Result<(), DbError> {
    let mut conn = pool.acquire().await?;
    let ruled: bool = sqlx::query_scalar!(r#"SELECT to_regclass('schema_rule') IS NOT NULL AS "ruled!""#)
        .fetch_one(&mut *conn)
        .await?;
    if !ruled {
        return Ok(());
    }
    let needs = sqlx::query_scalar!("SELECT needs FROM schema_rule").fetch_one(&mut *conn).await?;
    if needs > newest { Err(DbError::TooNew { needs, newest }) } else { Ok(()) }
}
