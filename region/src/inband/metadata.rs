//! cloud-init's MAAS datasource: metadata for installed systems, and their reports.
//!
//! Requests are signed with OAuth 1.0 PLAINTEXT (RFC 5849 §3.4.4), consumer secret empty.

use super::{Answer, InBand, Refusal, parse};
use crate::db::event::{self, NewEvent};
use crate::db::machine::{self, Machine};
use crate::db::{DbError, operation};
use rackwright_common::link::Relay;
use rackwright_common::{MachineId, OperationId};
use serde::Deserialize;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use subtle::ConstantTimeEq;

/// A message of cloud-init's webhook reporter.
#[derive(Debug, Deserialize)]
struct Message {
    name: String,
    event_type: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    result: Option<String>,
    /// Seconds since 1970; tells a report that is repeated from the same one of another boot.
    #[serde(default)]
    timestamp: Option<f64>,
}

/// Who signs a request.
#[derive(Debug, PartialEq)]
struct Signature {
    machine: MachineId,
    operation: OperationId,
    secret: String,
}

impl InBand {
    async fn signed_by(
        &self,
        conn: &mut PgConnection,
        relay: &Relay,
    ) -> Result<(Machine, OperationId), Refusal> {
        let signature = relay.authorization.as_deref().and_then(parse_oauth).ok_or(Refusal::Unauthorized)?;
        let genuine = self.keys.metadata_secret(&signature.machine, signature.operation);
        if !bool::from(genuine.expose().as_bytes().ct_eq(signature.secret.as_bytes())) {
            return Err(Refusal::Unauthorized);
        }
        let found = machine::find(conn, &signature.machine).await?.ok_or(Refusal::Unauthorized)?;
        if found.metadata_operation == Some(signature.operation) {
            Ok((found, signature.operation))
        } else {
            Err(Refusal::Unauthorized)
        }
    }

    pub(super) async fn metadata(&self, relay: &Relay, path: &[&str]) -> Answer {
        let mut conn = self.pool.acquire().await?;
        let (found, operation) = self.signed_by(&mut conn, relay).await?;
        let text = |body: String| Ok(Some(("text/plain; charset=utf-8", body)));
        match path {
            ["meta-data"] => text("instance-id\nlocal-hostname\npublic-keys\nvendor-data".into()),
            ["meta-data", "instance-id"] => text(format!("{}-{operation}", found.id)),
            ["meta-data", "local-hostname"] => text(found.hostname),
            ["meta-data", "public-keys"] if found.ssh_keys.is_empty() => Err(Refusal::NotFound),
            ["meta-data", "public-keys"] => text(found.ssh_keys.join("\n") + "\n"),
            ["user-data"] => found.user_data.map_or(Err(Refusal::NotFound), text),
            _ => Err(Refusal::NotFound),
        }
    }

    pub(super) async fn status(&self, relay: &Relay, machine: &str) -> Answer {
        let said: Message = parse(relay)?;
        let mut conn = self.pool.acquire().await?;
        let (found, operation) = self.signed_by(&mut conn, relay).await?;
        if found.id.as_str() != machine {
            return Err(Refusal::Unauthorized);
        }
        let mut tx = conn.begin().await?;
        machine::seen_alive(&mut tx, &found.id).await?;
        take(&mut tx, &found, operation, &said).await?;
        tx.commit().await?;
        Ok(Some(("application/json", "{}".into())))
    }
}

/// Keeps a report, once however often it comes, and tells the deployment that waits for it.
async fn take(
    conn: &mut PgConnection,
    found: &Machine,
    id: OperationId,
    said: &Message,
) -> Result<(), DbError> {
    let failed = said.result.as_deref() == Some("FAIL");
    let line = match &said.result {
        Some(result) => format!("{} {}: {} ({result})", said.name, said.event_type, said.description),
        None => format!("{} {}: {}", said.name, said.event_type, said.description),
    };
    // The last stage of a boot; a failure of an earlier one shows in its result as well.
    let last = said.name == "modules-final" && said.event_type == "finish";
    let outcome = match (last, failed) {
        (true, true) => Some("failed"),
        (true, false) => Some("done"),
        (false, _) => None,
    };
    let patch = match outcome {
        Some(outcome) => json!({ "cloud_init": outcome, "cloud_init_message": line }),
        None => json!({ "cloud_init_message": line }),
    };
    const KIND: &str = "machine.cloud-init";
    let data = json!({ "name": said.name, "event_type": said.event_type, "result": said.result, "timestamp": said.timestamp });
    // The row of the machine is locked here, so a repeat that comes meanwhile waits.
    if said.timestamp.is_some() && event::is_told(conn, id, KIND, &data).await? {
        return Ok(());
    }
    operation::tell(conn, id, &patch).await?;
    let event = NewEvent {
        kind: KIND,
        level: if failed { "warning" } else { "debug" },
        machine: Some(&found.id),
        operation: Some(id),
        actor: "cloud-init",
        message: &line,
        data,
    };
    event::append(conn, &event).await
}

/// Reads an `Authorization: OAuth …` header of method PLAINTEXT.
fn parse_oauth(header: &str) -> Option<Signature> {
    let parameters = header.strip_prefix("OAuth ")?;
    let value = |name: &str| {
        let found = parameters.split(',').filter_map(|p| p.trim().split_once('=')).find(|(n, _)| *n == name);
        found.map(|(_, v)| v.trim_matches('"'))
    };
    (value("oauth_signature_method")? == "PLAINTEXT").then_some(())?;
    Some(Signature {
        machine: value("oauth_consumer_key")?.parse().ok()?,
        operation: OperationId(value("oauth_token")?.parse().ok()?),
        secret: value("oauth_signature")?.strip_prefix("%26")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloud_inits_header_is_read() {
        let header = "OAuth oauth_nonce=\"1\", oauth_timestamp=\"2\", oauth_version=\"1.0\", \
                      oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"abc123\", oauth_token=\"7\", oauth_signature=\"%26s3cret\"";
        let signature = parse_oauth(header).unwrap();
        assert_eq!(signature.machine.as_str(), "abc123");
        assert_eq!(signature.operation, OperationId(7));
        assert_eq!(signature.secret, "s3cret");
    }

    #[test]
    fn other_headers_are_refused() {
        for header in [
            "",
            "OAuth ",
            "Bearer x",
            "OAuth oauth_token=\"7\"",
            "OAuth oauth_signature_method=\"HMAC-SHA1\"",
        ] {
            assert_eq!(parse_oauth(header), None, "{header}");
        }
    }
}
