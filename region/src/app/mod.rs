//! Use cases: what a user may ask of Rackwright, whoever carries the question here (API, web pages).
//!
//! Every function takes the [`Actor`] and authorizes first; then it opens the transaction in which it reads, writes
//! and appends the event that tells of it. Nothing here knows HTTP, nothing here holds SQL.

mod access;
pub mod audit_log;
pub mod bmc;
pub mod bulk;
pub mod console;
pub mod controller;
pub mod controller_token;
pub mod device;
pub mod discovery;
pub mod dns_key;
pub mod domain;
pub mod error;
pub mod event;
pub mod group;
pub mod hardware_change;
pub mod image;
pub mod interface;
pub mod login_provider;
pub mod machine;
pub mod machine_action;
pub mod network;
pub mod network_plan;
pub mod notification;
pub mod once;
pub mod operation;
mod parameters;
pub mod rack_token;
pub mod region_token;
pub mod result_value;
pub mod script;
pub mod script_history;
pub mod secondary;
pub mod session;
pub mod setting;
pub mod space;
pub mod static_route;
pub mod subnet;
pub mod switch;
pub mod terminal;
pub mod user;

pub use error::{Describe, Error, Result};

use crate::auth::{Actor, openid};
use crate::db;
use crate::db::wakeups::Wakeups;
use crate::db::{Database, Transaction};
use crate::images::exchange::Exchange;
use crate::images::store::Store;
use crate::secrets::MasterKey;
use crate::standing::Standing;
use rackwright_common::{MachineId, OperationId};
use rackwright_link::Ca;
use serde_json::Value;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use std::sync::Arc;

/// What every use case needs. Cheap to clone.
#[derive(Clone)]
pub struct App {
    database: Database,
    keys: MasterKey,
    store: Store,
    wakeups: Wakeups,
    ca: Option<Arc<Ca>>,
    invitation: Option<Arc<region_token::Invitation>>,
    standing: Standing,
    exchange: Option<Exchange>,
    login: openid::Cache,
}

impl App {
    /// Over a database whose schema is up to date.
    pub fn new(database: impl Into<Database>, keys: MasterKey, store: Store) -> Self {
        Self {
            database: database.into(),
            keys,
            store,
            wakeups: Wakeups::default(),
            ca: None,
            invitation: None,
            standing: Standing::default(),
            exchange: None,
            login: openid::Cache::default(),
        }
    }

    /// Uses these wake-ups, so that streams and waits answer at once. Without them they look once a second.
    #[must_use]
    pub fn with_wakeups(self, wakeups: Wakeups) -> Self {
        Self { wakeups, ..self }
    }

    /// Enrols racks with this authority. Without one, no rack token is made and none is taken.
    #[must_use]
    pub fn with_ca(self, ca: Arc<Ca>) -> Self {
        Self { ca: Some(ca), ..self }
    }

    /// Lets further regions join with what this one has. Without it, no region token is made and none is taken.
    #[must_use]
    pub fn with_invitation(self, invitation: region_token::Invitation) -> Self {
        Self { invitation: Some(Arc::new(invitation)), ..self }
    }

    /// Is ready only while this says that the region may act.
    #[must_use]
    pub fn with_standing(self, standing: Standing) -> Self {
        Self { standing, ..self }
    }

    /// Fetches from other regions what an image needs. Without it, what is not in the store is not to be had.
    #[must_use]
    pub fn with_exchange(self, exchange: Exchange) -> Self {
        Self { exchange: Some(exchange), ..self }
    }

    /// Whether the region may act.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The content store of images.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The master key.
    pub fn keys(&self) -> &MasterKey {
        &self.keys
    }

    /// Wake-ups from the database.
    pub fn wakeups(&self) -> &Wakeups {
        &self.wakeups
    }

    /// A connection to read with; to a standby, when that is all there is and the request changes nothing.
    pub(crate) async fn read(&self) -> Result<PoolConnection<Postgres>> {
        Ok(self.database.read().await?)
    }

    /// A transaction to change with; rolled back unless it is committed. Of a request that is to be carried out once,
    /// see [`once`].
    pub(crate) async fn begin(&self) -> Result<Transaction> {
        let mut tx = self.database.begin().await?;
        once::begun(&mut tx).await?;
        Ok(tx)
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Connections to the server that takes writes, for the parts of the region that are not use cases.
    pub fn pool(&self) -> &PgPool {
        self.database.pool()
    }
}

/// What a change was about, for its event.
#[derive(Debug, Default)]
pub(crate) struct Change<'a> {
    /// Stable name, such as `user.created`.
    pub kind: &'a str,
    /// One sentence.
    pub message: String,
    /// About which machine.
    pub machine: Option<&'a MachineId>,
    /// Under which operation.
    pub operation: Option<OperationId>,
    /// How it was; nothing secret.
    pub before: Value,
    /// How it is; nothing secret.
    pub after: Value,
}

/// Appends the event of a change: who, from where, before, after.
pub(crate) async fn audit(conn: &mut PgConnection, actor: &Actor, change: Change<'_>) -> Result<()> {
    let mut data = serde_json::Map::new();
    if let Some(from) = actor.from {
        data.insert("from".into(), from.to_string().into());
    }
    for (name, value) in [("before", change.before), ("after", change.after)] {
        if !value.is_null() {
            data.insert(name.into(), value);
        }
    }
    let event = db::event::NewEvent {
        kind: change.kind,
        level: "info",
        machine: change.machine,
        operation: change.operation,
        actor: &actor.name,
        message: &change.message,
        data: data.into(),
    };
    Ok(db::event::append(conn, &event).await?)
}

/// A view as JSON, for an event's before and after.
pub(crate) fn json(view: &impl serde::Serialize) -> Value {
    serde_json::to_value(view).unwrap_or_default()
}
