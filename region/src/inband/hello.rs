//! The agent's first word: who is this machine, and why was it booted?

use super::{Answer, InBand, Refusal, json, parse};
use crate::db::event::{self, NewEvent};
use crate::db::machine::{Machine, NewMachine};
use crate::db::{DbError, agent_boot, interface, machine, operation, setting};
use crate::lifecycle::request::{self, OperationRequest, StartError};
use crate::network;
use crate::secrets::AgentToken;
use rackwright_common::agent::{Hello, HelloReply};
use rackwright_common::id::Fence;
use rackwright_common::link::Relay;
use rackwright_common::{MachineId, OperationId, Status};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::net::Ipv4Addr;

impl InBand {
    pub(super) async fn hello(&self, relay: &Relay) -> Answer {
        let said: Hello = parse(relay)?;
        let mut conn = self.pool.acquire().await?;
        let mut tx = conn.begin().await?;
        let (machine, fence, token) = match self.bearer(relay)? {
            AgentToken::Enlist => match enlist(&mut tx, relay, &said).await? {
                Enlisted::Working(machine, fence) => (machine, fence, Some(fence)),
                Enlisted::Idle(why) => {
                    // What was learned of the machine is kept, though there is nothing for it to do.
                    tx.commit().await?;
                    return Err(Refusal::Gone(why));
                }
            },
            claim @ AgentToken::Operation { operation, epoch } => {
                let machine = self.check(&mut tx, claim).await?;
                (machine, Fence { operation, epoch }, None)
            }
        };
        if let Some(conflict) = conflict(&mut tx, &machine, &said).await? {
            // Nothing of what this boot said is kept, but that it happened.
            tx.rollback().await?;
            tell_of_conflict(&mut conn, &machine, fence.operation, &conflict).await?;
            return Err(Refusal::Gone(conflict));
        }
        welcome(&mut tx, &machine, fence.operation, &said).await?;
        tx.commit().await?;
        let token = token
            .map(|f| self.keys.agent_token(AgentToken::Operation { operation: f.operation, epoch: f.epoch }));
        json(&HelloReply { machine, token: token.map(|t| t.expose().clone()), fence: Some(fence) })
    }
}

/// Records the boot: evidence that the operation waits for.
async fn welcome(
    conn: &mut PgConnection,
    id: &MachineId,
    operation: OperationId,
    said: &Hello,
) -> Result<(), Refusal> {
    let new = agent_boot::hello(conn, id, operation, said).await?;
    machine::seen_alive(conn, id).await?;
    if let Some(mac) = said.boot_mac {
        interface::ensure(conn, id, mac, true).await?;
    }
    if new {
        let message = format!(
            "the ephemeral environment is up, {:.1} s after its kernel started",
            said.uptime_ms as f64 / 1000.0
        );
        let event = NewEvent {
            kind: "machine.agent",
            level: "info",
            machine: Some(id),
            operation: Some(operation),
            actor: "agent",
            message: &message,
            data: json!({ "boot_id": said.boot_id, "uptime_ms": said.uptime_ms, "version": said.version }),
        };
        event::append(conn, &event).await?;
    }
    operation::poke(conn, operation).await?;
    Ok(())
}

/// What becomes of a machine that no rack knew when it booted.
enum Enlisted {
    /// It has work to do.
    Working(MachineId, Fence),
    /// It is known now and has none; why.
    Idle(String),
}

/// A machine that no rack knew when it booted: it is entered, unless it became known meanwhile.
async fn enlist(conn: &mut PgConnection, relay: &Relay, said: &Hello) -> Result<Enlisted, Refusal> {
    let macs: Vec<_> = said.boot_mac.into_iter().chain(said.macs.iter().copied()).collect();
    if macs.is_empty() {
        return Err(Refusal::Invalid("a machine without network interfaces cannot be enlisted".into()));
    }
    let settings = setting::load(conn).await?;
    let id = match machine::find_by_macs(conn, &macs).await? {
        Some(known) => {
            if let Some(fence) = ephemeral_operation(conn, &known).await? {
                return Ok(Enlisted::Working(known, fence));
            }
            known
        }
        None if settings.enlist => enter(conn, relay, said).await?,
        None => {
            return Err(Refusal::Gone(
                "enlisting is off; enter the machine by hand or switch enlisting on".into(),
            ));
        }
    };
    let found = machine::get(conn, &id).await?;
    if found.status != Status::New || !settings.auto_commission {
        machine::set_boot(conn, &id, if found.status == Status::New { "off" } else { "local" }, None).await?;
        return Ok(Enlisted::Idle(format!("machine {id} is {}; it has nothing to do here", found.status)));
    }
    commission_in_place(conn, &found).await
}

/// Enters a new machine with its interfaces and its fixed address.
async fn enter(conn: &mut PgConnection, relay: &Relay, said: &Hello) -> Result<MachineId, Refusal> {
    let id = MachineId::random();
    let hostname = format!("node-{id}");
    let new = NewMachine {
        id: &id,
        hostname: &hostname,
        uuid: said.uuid,
        serial: said.serial.as_deref(),
        efi: said.efi,
        architecture: &said.architecture,
    };
    machine::create(conn, &new).await?;
    for mac in &said.macs {
        interface::ensure(conn, &id, *mac, Some(*mac) == said.boot_mac).await?;
    }
    if let Some(mac) = said.boot_mac {
        interface::ensure(conn, &id, mac, true).await?;
    }
    if let Some(rack) = local_address(relay) {
        network::allocate(conn, &id, rack).await?;
    }
    let event = NewEvent {
        kind: "machine.enlisted",
        level: "info",
        machine: Some(&id),
        operation: None,
        actor: "agent",
        message: &format!("a new machine was enlisted as {hostname}"),
        data: json!({ "serial": said.serial, "boot_mac": said.boot_mac }),
    };
    event::append(conn, &event).await?;
    Ok(id)
}

/// The rack's address that the machine reached.
pub(super) fn local_address(relay: &Relay) -> Option<Ipv4Addr> {
    relay.local.rsplit_once(':').and_then(|(host, _)| host.parse().ok())
}

/// Commissions a machine that is in the ephemeral environment already.
async fn commission_in_place(conn: &mut PgConnection, found: &Machine) -> Result<Enlisted, Refusal> {
    let request = OperationRequest::commission();
    let started = request::start_at(conn, &found.id, &request, "rackwright", "await-agent").await;
    let id = started.map_err(|error| match error {
        StartError::Db(error) => Refusal::Db(error),
        other => Refusal::Gone(other.to_string()),
    })?;
    machine::set_boot(conn, &found.id, "ephemeral", Some((id, 0))).await?;
    let state = json!({ "boot_epoch": 0, "boot_attempt": 0, "network_boot_at": 0 });
    operation::tell(conn, id, &state).await?;
    Ok(Enlisted::Working(found.id.clone(), Fence { operation: id, epoch: 0 }))
}

/// The operation for which a known machine is to be in the ephemeral environment.
async fn ephemeral_operation(conn: &mut PgConnection, id: &MachineId) -> Result<Option<Fence>, DbError> {
    let found = machine::get(conn, id).await?;
    Ok(found.boot_operation.zip(found.boot_epoch).map(|(operation, epoch)| Fence { operation, epoch }))
}

/// Two machines must not pass for one. What differs from the record stops a boot here, before anything of the machine
/// is touched: another system UUID behind its interface, or its UUID and none of its interfaces (some boards all
/// have one UUID).
async fn conflict(conn: &mut PgConnection, id: &MachineId, said: &Hello) -> Result<Option<String>, Refusal> {
    let known = machine::system_uuid(conn, id).await?;
    if let (Some(known), Some(said)) = (known, said.uuid)
        && known != said
    {
        return Ok(Some(format!(
            "a machine with system UUID {said} booted with an interface of machine {id}, whose UUID is {known}; \
             if the card was moved, delete the interface or commission {id} again, otherwise two machines claim one MAC"
        )));
    }
    let macs: Vec<_> = said.boot_mac.into_iter().chain(said.macs.iter().copied()).collect();
    let owned = interface::list_of_machine(conn, id).await?;
    let stranger = !macs.is_empty() && !owned.is_empty() && !owned.iter().any(|i| macs.contains(&i.mac));
    Ok(stranger.then(|| {
        let shown: Vec<_> = macs.iter().map(ToString::to_string).collect();
        format!(
            "a machine with {} booted as machine {id} and has none of its interfaces; if its cards were replaced, \
             delete {id} and let it enlist again, otherwise two machines claim one UUID: enter the other by hand with \
             `rackwright machine create --mac`",
            shown.join(", ")
        )
    }))
}

async fn tell_of_conflict(
    conn: &mut PgConnection,
    id: &MachineId,
    operation: OperationId,
    text: &str,
) -> Result<(), DbError> {
    tracing::warn!(machine.id = %id, "{text}");
    let event = NewEvent {
        kind: "machine.conflict",
        level: "error",
        machine: Some(id),
        operation: Some(operation),
        actor: "agent",
        message: text,
        data: json!({}),
    };
    event::append(conn, &event).await
}
