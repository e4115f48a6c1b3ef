//! What users ask for: requests write intent, workers change the world.

use super::steps::first_step;
use crate::db::machine::Machine;
use crate::db::{DbError, event, machine, operation, world};
use crate::network::plan;
use rackwright_common::bmc::BmcAction;
use rackwright_common::lifecycle::{self, Event, Illegal};
use rackwright_common::storage::{EraseMode, LayoutKind, StorageLayout};
use rackwright_common::{MachineId, OperationId, Status};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::time::Duration;

/// The name under which the ephemeral environment is registered.
pub const EPHEMERAL_IMAGE: &str = "ephemeral";

/// A long action on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum OperationRequest {
    /// Read the hardware, set up the BMC, then run commissioning scripts and tests.
    Commission {
        /// Commissioning scripts by name or tag; all that are meant for the machine when absent, none when empty.
        #[serde(default)]
        commissioning_scripts: Option<Vec<String>>,
        /// Test scripts by name or tag; the default set when absent, none when empty.
        #[serde(default)]
        tests: Option<Vec<String>>,
        /// Script name to parameter name to value, checked; passwords sealed.
        #[serde(default)]
        parameters: serde_json::Map<String, serde_json::Value>,
    },
    /// Run test scripts.
    Test {
        /// By name or tag; the default set when absent.
        #[serde(default)]
        scripts: Option<Vec<String>>,
        /// As of a commissioning.
        #[serde(default)]
        parameters: serde_json::Map<String, serde_json::Value>,
    },
    /// Install an operating system.
    Deploy {
        /// Image name, as `name` or `name@version`.
        image: String,
        /// Disk layout.
        #[serde(default)]
        layout: StorageLayout,
        /// cloud-init user data.
        #[serde(default)]
        user_data: Option<String>,
        /// `authorized_keys` lines.
        #[serde(default)]
        ssh_keys: Vec<String>,
    },
    /// Give the machine back.
    Release {
        /// What happens to its disks.
        #[serde(default)]
        erase: EraseMode,
    },
    /// Boot the ephemeral system with SSH.
    EnterRescue {
        /// `authorized_keys` lines.
        #[serde(default)]
        ssh_keys: Vec<String>,
    },
    /// Back to where it was.
    ExitRescue,
    /// A power command by a person.
    Power {
        /// Which.
        action: BmcAction,
    },
}

/// Why a request was not taken. The texts are for the user who asked.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such machine.
    #[error("there is no machine {0}")]
    NoMachine(MachineId),
    /// The machine's status does not allow it.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// Something else is under way.
    #[error("{} is under way on machine {machine} (operation {}, asked for by {}); wait for it or abort it",
        running.kind, running.id, running.requested_by)]
    Busy {
        /// The machine.
        machine: MachineId,
        /// What runs.
        running: operation::Running,
    },
    /// The machine is locked.
    #[error("machine {0} is locked; unlock it first")]
    Locked(MachineId),
    /// Something the action needs is not there.
    #[error("{0}")]
    Precondition(String),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl OperationRequest {
    /// A commissioning with the site's scripts and tests.
    pub fn commission() -> Self {
        Self::Commission { commissioning_scripts: None, tests: None, parameters: serde_json::Map::new() }
    }

    /// As stored in `operation.kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Commission { .. } => "commission",
            Self::Test { .. } => "test",
            Self::Deploy { .. } => "deploy",
            Self::Release { .. } => "release",
            Self::EnterRescue { .. } => "enter-rescue",
            Self::ExitRescue => "exit-rescue",
            Self::Power { .. } => "power",
        }
    }

    /// What it does to the machine's status when it begins; nothing for power commands.
    fn first_event(&self) -> Option<Event> {
        match self {
            Self::Commission { .. } => Some(Event::StartCommission),
            Self::Test { .. } => Some(Event::StartTest),
            Self::Deploy { .. } => Some(Event::StartDeploy),
            Self::Release { erase: EraseMode::None } => Some(Event::StartRelease),
            Self::Release { erase: EraseMode::Quick | EraseMode::Full } => Some(Event::StartErase),
            Self::EnterRescue { .. } => Some(Event::EnterRescue),
            Self::ExitRescue => Some(Event::ExitRescue),
            Self::Power { .. } => None,
        }
    }

    /// Changes a machine that is locked against changes.
    fn disturbs(&self) -> bool {
        !matches!(self, Self::Power { action } if action.only_reads())
    }
}

/// Takes a request: checks that it is possible now, writes the operation and the machine's new status. The caller
/// has authorized it and commits the transaction.
pub async fn start(
    conn: &mut PgConnection,
    machine: &MachineId,
    request: &OperationRequest,
    actor: &str,
) -> Result<OperationId, StartError> {
    start_at(conn, machine, request, actor, first_step(request)).await
}

/// As [`start`], for a machine that is already where `step` begins.
pub async fn start_at(
    conn: &mut PgConnection,
    machine: &MachineId,
    request: &OperationRequest,
    actor: &str,
    step: &str,
) -> Result<OperationId, StartError> {
    let found = lock_machine(conn, machine).await?;
    if found.locked && request.disturbs() {
        return Err(StartError::Locked(machine.clone()));
    }
    if let Some(running) = operation::find_running(conn, machine).await? {
        return Err(StartError::Busy { machine: machine.clone(), running });
    }
    preconditions(conn, &found, request).await?;
    let status = match request.first_event() {
        Some(event) => Some(lifecycle::next(found.status, event)?),
        None => None,
    };
    let params = serde_json::to_value(request).map_err(|_| DbError::Corrupt { what: "request" })?;
    let deadline = status.and_then(Status::deadline).unwrap_or(Duration::from_secs(600));
    let new = operation::NewOperation {
        kind: request.kind(),
        machine,
        step,
        params: &params,
        deadline_seconds: deadline.as_secs_f64(),
        requested_by: actor,
    };
    let id = operation::create(conn, &new).await?;
    if let OperationRequest::Deploy { image, layout, user_data, ssh_keys } = request {
        let image = world::find_image(conn, image).await?.ok_or(DbError::NotFound)?;
        let layout = serde_json::to_value(layout).map_err(|_| DbError::Corrupt { what: "layout" })?;
        let deployment = machine::Deployment {
            image: image.id,
            user_data: user_data.as_deref(),
            ssh_keys,
            layout: &layout,
            operation: id,
        };
        machine::set_deployment(conn, &found.id, &deployment).await?;
        choose_network(conn, machine, id).await?;
    }
    if let Some(status) = status {
        machine::set_status(conn, machine, status, "").await?;
    }
    let message = match status {
        Some(status) => format!("{} → {status}", found.status),
        None => format!("{} asked for", request.kind()),
    };
    record(conn, machine, Some(id), "machine.status", "info", &message, actor).await?;
    Ok(id)
}

/// Chooses the addresses that the installed system wants; what cannot work is said before anything happens.
async fn choose_network(
    conn: &mut PgConnection,
    machine: &MachineId,
    operation: OperationId,
) -> Result<(), StartError> {
    let mut problems = plan::choose_addresses(conn, machine, Some(operation)).await?;
    problems.extend(plan::Stored::load(conn, machine).await?.problems());
    match problems.is_empty() {
        true => Ok(()),
        false => Err(StartError::Precondition(format!("its network cannot work: {}", problems.join("; ")))),
    }
}

/// Asks the running operation of a machine to end. Its worker does it.
pub async fn abort(
    conn: &mut PgConnection,
    machine: &MachineId,
    actor: &str,
) -> Result<OperationId, StartError> {
    lock_machine(conn, machine).await?;
    let id = operation::request_abort(conn, machine, actor).await?;
    let id =
        id.ok_or_else(|| StartError::Precondition(format!("nothing is running on machine {machine}")))?;
    record(conn, machine, Some(id), "operation.abort", "info", "abort asked for", actor).await?;
    Ok(id)
}

/// Applies an event that takes effect at once, such as marking a machine broken.
pub async fn apply(
    conn: &mut PgConnection,
    machine: &MachineId,
    event: Event,
    message: &str,
    actor: &str,
) -> Result<Status, StartError> {
    let found = lock_machine(conn, machine).await?;
    if found.locked {
        return Err(StartError::Locked(machine.clone()));
    }
    if let Some(running) = operation::find_running(conn, machine).await? {
        return Err(StartError::Busy { machine: machine.clone(), running });
    }
    let status = lifecycle::next(found.status, event)?;
    machine::set_status(conn, machine, status, message).await?;
    let text = if message.is_empty() {
        format!("{} → {status}", found.status)
    } else {
        format!("{} → {status}: {message}", found.status)
    };
    record(conn, machine, None, "machine.status", "info", &text, actor).await?;
    Ok(status)
}

async fn lock_machine(conn: &mut PgConnection, machine: &MachineId) -> Result<Machine, StartError> {
    match machine::lock(conn, machine).await {
        Err(DbError::NotFound) => Err(StartError::NoMachine(machine.clone())),
        other => Ok(other?),
    }?;
    Ok(machine::get(conn, machine).await?)
}

/// What must be there before the work can succeed; said now rather than minutes later.
async fn preconditions(
    conn: &mut PgConnection,
    found: &Machine,
    request: &OperationRequest,
) -> Result<(), StartError> {
    let missing = |text: String| Err(StartError::Precondition(text));
    let needs_ephemeral = match request {
        OperationRequest::Commission { .. }
        | OperationRequest::Test { .. }
        | OperationRequest::Deploy { .. }
        | OperationRequest::EnterRescue { .. } => true,
        OperationRequest::Release { erase } => *erase != EraseMode::None,
        OperationRequest::ExitRescue | OperationRequest::Power { .. } => false,
    };
    if needs_ephemeral && world::find_image(conn, EPHEMERAL_IMAGE).await?.is_none() {
        return missing(
            "there is no ephemeral environment yet; build it with `rackwright image build-ephemeral`".into(),
        );
    }
    match request {
        OperationRequest::Deploy { image, user_data, layout, .. } => {
            let Some(found_image) = world::find_image(conn, image).await?.filter(|i| i.kind == "os") else {
                return missing(format!("there is no image `{image}`; see `rackwright image list`"));
            };
            let needed = match layout.kind {
                LayoutKind::Image => "disk",
                LayoutKind::Flat | LayoutKind::Lvm => "rootfs",
            };
            if !found_image.files.contains_key(needed) {
                return missing(format!(
                    "image `{image}` has no {needed} file, which layout {} needs",
                    layout.kind.as_str()
                ));
            }
            check_user_data(user_data.as_deref())?;
            fits(found, &found_image, layout)
        }
        OperationRequest::Power { .. } if found.bmc_driver.is_none() => {
            missing(format!("machine {} has no BMC; set one with `rackwright machine bmc`", found.id))
        }
        OperationRequest::Commission { .. }
        | OperationRequest::Test { .. }
        | OperationRequest::Release { .. }
        | OperationRequest::EnterRescue { .. }
        | OperationRequest::ExitRescue
        | OperationRequest::Power { .. } => Ok(()),
    }
}

/// cloud-init ignores user data that it does not understand, and then the machine is up without what it was asked
/// for; better to refuse it here.
fn check_user_data(user_data: Option<&str>) -> Result<(), StartError> {
    let Some(text) = user_data.filter(|t| !t.is_empty()) else { return Ok(()) };
    let refuse = |why: String| Err(StartError::Precondition(format!("user data: {why}")));
    if text.starts_with("#!")
        || text.starts_with("## template")
        || text.starts_with("Content-Type:")
        || text.starts_with("MIME-Version:")
    {
        return Ok(());
    }
    if text.starts_with("#include")
        || text.starts_with("#cloud-boothook")
        || text.starts_with("#cloud-config-archive")
    {
        return Ok(());
    }
    if !text.starts_with("#cloud-config") {
        return refuse("it must begin with `#cloud-config`, `#!` or a MIME header".into());
    }
    match serde_yaml_ng::from_str::<serde_yaml_ng::Value>(text) {
        Ok(serde_yaml_ng::Value::Mapping(_) | serde_yaml_ng::Value::Null) => Ok(()),
        Ok(_) => refuse("#cloud-config must be a YAML mapping".into()),
        Err(error) => refuse(format!("not valid YAML: {error}")),
    }
}

/// Whether some disk of the machine takes the image.
fn fits(found: &Machine, image: &world::Image, layout: &StorageLayout) -> Result<(), StartError> {
    let Some(inventory) = &found.inventory else { return Ok(()) };
    let refuse = |why: String| Err(StartError::Precondition(why));
    let usable: Vec<_> = inventory.disks.iter().filter(|d| !d.read_only && !d.removable).collect();
    let chosen: Vec<_> = match &layout.disk_serial {
        Some(serial) => usable.iter().filter(|d| d.serial.as_ref() == Some(serial)).copied().collect(),
        None => usable,
    };
    let size = image
        .files
        .get("disk")
        .filter(|_| layout.kind == LayoutKind::Image)
        .map_or(0, |f| f.uncompressed_size);
    match (chosen.iter().map(|d| d.size_bytes).max(), &layout.disk_serial) {
        (None, Some(serial)) => {
            refuse(format!("machine {} has no usable disk with serial {serial}", found.id))
        }
        (None, None) => refuse(format!("machine {} has no disk to install to", found.id)),
        (Some(largest), _) if largest < size => refuse(format!(
            "the image needs {} MiB; the largest usable disk of machine {} has {} MiB",
            size >> 20,
            found.id,
            largest >> 20
        )),
        (Some(_), _) => Ok(()),
    }
}

/// Appends an event about a machine.
pub(crate) async fn record(
    conn: &mut PgConnection,
    machine: &MachineId,
    operation: Option<OperationId>,
    kind: &str,
    level: &str,
    message: &str,
    actor: &str,
) -> Result<(), DbError> {
    let new = event::NewEvent {
        kind,
        level,
        machine: Some(machine),
        operation,
        actor,
        message,
        data: serde_json::json!({}),
    };
    event::append(conn, &new).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_checked_before_anything_happens() {
        for good in [
            None,
            Some(""),
            Some("#cloud-config\npackages: [htop]\n"),
            Some("#cloud-config\n"),
            Some("#!/bin/sh\ntrue\n"),
        ] {
            assert!(check_user_data(good).is_ok(), "{good:?}");
        }
        for bad in ["packages: [htop]", "#cloud-config\npackages: [htop", "#cloud-config\n- a\n- b\n"] {
            assert!(check_user_data(Some(bad)).unwrap_err().to_string().starts_with("user data: "), "{bad}");
        }
    }

    #[test]
    fn a_request_survives_storage() {
        let request = OperationRequest::Release { erase: EraseMode::Full };
        let json = serde_json::to_value(&request).unwrap();
        assert_eq!(json["kind"], "release");
        assert_eq!(serde_json::from_value::<OperationRequest>(json).unwrap(), request);
    }
}
