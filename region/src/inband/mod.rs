//! What machines ask, relayed by racks: the agent of the ephemeral environment, and cloud-init of installed
//! systems.
//!
//! Nothing here decides what happens next: requests record what was seen and done, and wake the operation whose
//! steps decide. So any region answers any request, and a repeat is harmless.

mod agent;
mod difference;
mod hello;
mod metadata;
mod report;
mod restarts;
mod work;

use crate::db::DbError;
use crate::db::wakeups::Wakeups;
use crate::secrets::MasterKey;
use rackwright_common::link::{Relay, RelayReply};
use sqlx::PgPool;

/// Answers machines.
#[derive(Debug, Clone)]
pub struct InBand {
    pool: PgPool,
    keys: MasterKey,
    wakeups: Wakeups,
}

/// Why a machine gets no answer.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// Credentials that are missing or wrong.
    #[error("credentials are missing or wrong")]
    Unauthorized,
    /// They were good once: the operation they belong to has ended, or the machine was booted again.
    #[error("{0}")]
    Gone(String),
    /// There is no such thing.
    #[error("not found")]
    NotFound,
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The database.
    #[error("the database does not answer")]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// A good answer: content type and body; nothing means 204.
type Answer = Result<Option<(&'static str, String)>, Refusal>;

impl InBand {
    /// With what it needs.
    pub fn new(pool: PgPool, keys: MasterKey, wakeups: Wakeups) -> Self {
        Self { pool, keys, wakeups }
    }

    /// Answers one request.
    pub async fn answer(&self, relay: Relay) -> RelayReply {
        let answer = self.route(&relay).await;
        let (status, content_type, body) = match answer {
            Ok(Some((content_type, body))) => (200, content_type, body),
            Ok(None) => (204, "text/plain", String::new()),
            Err(refusal) => {
                let status = match &refusal {
                    Refusal::Unauthorized => 401,
                    Refusal::Gone(_) => 410,
                    Refusal::NotFound => 404,
                    Refusal::Invalid(_) => 400,
                    Refusal::Db(error) => {
                        tracing::warn!(
                            path = relay.path,
                            error = error as &dyn std::error::Error,
                            "a machine could not be answered"
                        );
                        503
                    }
                };
                (status, "text/plain", format!("{refusal}\n"))
            }
        };
        tracing::debug!(method = relay.method, path = relay.path, peer = %relay.peer, status, "answered a machine");
        RelayReply { id: relay.id, status, content_type: content_type.to_owned(), body }
    }

    async fn route(&self, relay: &Relay) -> Answer {
        let path = relay.path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        match (relay.method.as_str(), &parts[..]) {
            ("POST", ["agent", "v1", "hello"]) => self.hello(relay).await,
            ("POST", ["agent", "v1", "next"]) => self.next(relay).await,
            ("POST", ["agent", "v1", "items", id, "progress"]) => self.progress(relay, number(id)?).await,
            ("POST", ["agent", "v1", "items", id, "result"]) => self.result(relay, number(id)?).await,
            ("POST" | "PUT", ["MAAS", "metadata", "status", machine]) => self.status(relay, machine).await,
            ("GET", ["MAAS", "metadata", _version, rest @ ..]) => self.metadata(relay, rest).await,
            _ => Err(Refusal::NotFound),
        }
    }
}

fn number(text: &str) -> Result<i64, Refusal> {
    text.parse().map_err(|_| Refusal::NotFound)
}

fn json<T: serde::Serialize>(value: &T) -> Answer {
    let body = serde_json::to_string(value).map_err(|_| Refusal::Db(DbError::Corrupt { what: "answer" }))?;
    Ok(Some(("application/json", body)))
}

fn parse<'a, T: serde::Deserialize<'a>>(relay: &'a Relay) -> Result<T, Refusal> {
    serde_json::from_str(&relay.body)
        .map_err(|e| Refusal::Invalid(format!("the request's body does not fit: {e}")))
}
