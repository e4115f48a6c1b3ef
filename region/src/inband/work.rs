//! Turns a stored item into work for an agent. Secrets enter here, derived from the master key.

use crate::db::work_item::Item;
use crate::db::{DbError, interface, machine, rack, script_run, setting, world};
use crate::lifecycle::steps::target_environment;
use crate::network::plan::Stored;
use crate::scripts::parameters;
use crate::secrets::MasterKey;
use rackwright_common::Secret;
use rackwright_common::agent::{
    ImageKind, InstallWork, MetadataSeed, ScriptParameter, ScriptTarget, ScriptWork, Work, WorkItem,
};
use rackwright_common::id::{Fence, MachineId};
use rackwright_common::inventory::Inventory;
use rackwright_common::link::Relay;
use rackwright_common::ntp::TimeState;
use rackwright_common::script::{HardwareType, ScriptMetadata};
use rackwright_common::snapshot::BlobRef;
use rackwright_common::storage::{EraseMode, LayoutKind, StorageLayout};
use serde::Deserialize;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The user that Rackwright makes on BMCs it finds.
const BMC_USER: &str = "rackwright";

const UNKNOWN_ITEM: DbError = DbError::Corrupt { what: "work item" };

/// The work of an item.
pub(super) async fn of(
    conn: &mut PgConnection,
    keys: &MasterKey,
    relay: &Relay,
    item: &Item,
) -> Result<WorkItem, DbError> {
    let work = match item.kind.as_str() {
        "inventory" => Work::Inventory,
        "setup-bmc" => {
            Work::SetupBmc { username: BMC_USER.into(), password: keys.bmc_password(&item.machine) }
        }
        "script" => Work::Script(script(conn, keys, relay, item).await?),
        "install" => Work::Install(Box::new(install(conn, keys, relay, item).await?)),
        "erase" => Work::Erase { mode: field::<EraseMode>(&item.payload, "mode")? },
        "rescue" => Work::Rescue { authorized_keys: field(&item.payload, "authorized_keys")? },
        "reboot" => Work::Reboot,
        "power-off" => Work::PowerOff,
        _ => return Err(UNKNOWN_ITEM),
    };
    Ok(WorkItem { id: item.id, fence: Fence { operation: item.operation, epoch: item.epoch }, work })
}

fn field<T: for<'a> Deserialize<'a>>(payload: &Value, name: &str) -> Result<T, DbError> {
    payload.get(name).and_then(|v| serde_json::from_value(v.clone()).ok()).ok_or(UNKNOWN_ITEM)
}

async fn script(
    conn: &mut PgConnection,
    keys: &MasterKey,
    relay: &Relay,
    item: &Item,
) -> Result<ScriptWork, DbError> {
    let stored = script_run::script(conn, field(&item.payload, "script")?).await?;
    let target: String = field(&item.payload, "target")?;
    // Items of older regions have no values.
    let values: Map<String, Value> = field(&item.payload, "parameters").unwrap_or_default();
    let metadata: ScriptMetadata =
        serde_json::from_value(stored.metadata).map_err(|_| DbError::Corrupt { what: "script" })?;
    let found = machine::get(conn, &item.machine).await?;
    let hardware = parameters::hardware(&metadata);
    let mut environment: BTreeMap<String, String> =
        target_environment(hardware, &target, found.inventory.as_ref()).into_iter().collect();
    environment.insert("RACKWRIGHT_RACKS".into(), relay.local.clone());
    let time_servers = setting::load(conn).await?.ntp_servers;
    if !time_servers.is_empty() {
        environment.insert("RACKWRIGHT_NTP".into(), time_servers.join(","));
    }
    let toolbox =
        if metadata.toolbox { newest_file(conn, "toolbox", "toolbox.squashfs").await? } else { None };
    Ok(ScriptWork {
        parameters: script_parameters(keys, &metadata, &values)?,
        target: script_target(hardware, &target, found.inventory.as_ref()),
        timeout_seconds: parameters::timeout(&metadata, &values),
        name: stored.name,
        body: stored.body,
        arguments: Vec::new(),
        environment,
        toolbox,
        may_reboot: metadata.may_reboot,
        has_started: item.attempt > 1,
        boots: item.attempt.unsigned_abs(),
    })
}

/// What the script is told, in the order of its header. Passwords are opened here.
fn script_parameters(
    keys: &MasterKey,
    metadata: &ScriptMetadata,
    values: &Map<String, Value>,
) -> Result<Vec<ScriptParameter>, DbError> {
    let corrupt = || DbError::Corrupt { what: "script parameter" };
    let mut told = Vec::new();
    for declared in parameters::declared(metadata).map_err(|_| corrupt())? {
        let value = match values.get(&declared.name) {
            Some(Value::String(text)) => text.clone(),
            Some(sealed) => {
                let sealed =
                    sealed["sealed"].as_str().and_then(|t| hex::decode(t).ok()).ok_or_else(corrupt)?;
                let open = keys.open(&sealed).map_err(|_| corrupt())?;
                String::from_utf8(open.expose().clone()).map_err(|_| corrupt())?
            }
            None => match &declared.default {
                Some(default) => default.clone(),
                None => continue,
            },
        };
        told.push(ScriptParameter {
            format: declared.argument_format(&value),
            is_target: declared.is_target(),
            name: declared.name,
            value: Secret::new(value),
        });
    }
    Ok(told)
}

/// The disk or interface, by what does not change between boots. One that nobody knows is named as it was asked for.
fn script_target(
    hardware: HardwareType,
    target: &str,
    inventory: Option<&Inventory>,
) -> Option<ScriptTarget> {
    match hardware {
        HardwareType::Storage => {
            let disk = inventory.and_then(|i| i.disks.iter().find(|d| parameters::disk_target(d) == target));
            Some(match disk {
                Some(disk) => ScriptTarget::Disk { name: disk.name.clone(), serial: disk.serial.clone() },
                None => ScriptTarget::Disk { name: target.to_owned(), serial: None },
            })
        }
        HardwareType::Network => target.parse().ok().map(|mac| ScriptTarget::Interface { mac }),
        HardwareType::Node | HardwareType::Cpu | HardwareType::Memory | HardwareType::Gpu => None,
    }
}

async fn newest_file(conn: &mut PgConnection, image: &str, file: &str) -> Result<Option<BlobRef>, DbError> {
    let found = world::find_image(conn, image).await?;
    let file = found.and_then(|i| i.files.get(file).cloned().or_else(|| i.files.into_values().next()));
    Ok(file.map(|f| BlobRef { sha256: f.sha256, size: f.size }))
}

async fn install(
    conn: &mut PgConnection,
    keys: &MasterKey,
    relay: &Relay,
    item: &Item,
) -> Result<InstallWork, DbError> {
    let found = machine::get(conn, &item.machine).await?;
    let (image, layout) = machine::deployment(conn, &item.machine).await?.ok_or(DbError::NotFound)?;
    let image = world::get_image(conn, image).await?;
    let layout: StorageLayout =
        serde_json::from_value(layout).map_err(|_| DbError::Corrupt { what: "layout" })?;
    let image_kind = match layout.kind {
        LayoutKind::Image => ImageKind::Disk,
        LayoutKind::Flat | LayoutKind::Lvm => ImageKind::Rootfs,
    };
    let file = image.files.get(image_kind.as_str()).ok_or(DbError::NotFound)?;
    let settings = setting::load(conn).await?;
    Ok(InstallWork {
        image: BlobRef { sha256: file.sha256.clone(), size: file.size },
        image_kind,
        uncompressed_size: file.uncompressed_size,
        layout,
        network: Stored::load(conn, &found.id).await?.plan(),
        metadata: seed(keys, relay, item),
        hostname: found.hostname,
        kernel_arguments: settings.installed_kernel_arguments,
        ntp_servers: clocks(conn, &item.machine).await?,
    })
}

fn seed(keys: &MasterKey, relay: &Relay, item: &Item) -> MetadataSeed {
    let base = format!("http://{}/MAAS/metadata", relay.local);
    MetadataSeed {
        metadata_url: format!("{base}/"),
        status_url: format!("{base}/status/{}", item.machine),
        consumer_key: Secret::new(item.machine.to_string()),
        token_key: Secret::new(item.operation.to_string()),
        token_secret: keys.metadata_secret(&item.machine, item.operation),
    }
}

/// The racks in the machine's networks that serve time, those that have it first.
async fn clocks(conn: &mut PgConnection, machine: &MachineId) -> Result<Vec<IpAddr>, DbError> {
    let interfaces = interface::list_of_machine(conn, machine).await?;
    let near = |a: &IpAddr| match a {
        IpAddr::V4(a) => interfaces.iter().any(|i| i.cidr.is_some_and(|net| net.contains(a))),
        IpAddr::V6(_) => false,
    };
    let racks = rack::list(conn).await?;
    let serves = |state: TimeState| !matches!(state, TimeState::Off | TimeState::Failed);
    let mut serving: Vec<_> = racks
        .iter()
        .filter_map(|r| Some((r.time.as_ref()?.state, &r.addresses)))
        .filter(|(s, _)| serves(*s))
        .collect();
    serving.sort_by_key(|(state, _)| *state != TimeState::Synchronised);
    let addresses =
        serving.iter().flat_map(|(_, addresses)| *addresses).map(|a| IpAddr::V4(a.network.addr()));
    Ok(addresses.filter(near).collect())
}
