//! The racks are told to give the machine the ephemeral environment; then it is switched on.

use super::power::{Answer, ask};
use super::{Look, StepName};
use crate::db::DbError;
use crate::lifecycle::decision::{Decision, Effect};
use rackwright_common::bmc::{BmcAction, BootDevice};
use serde_json::json;
use sqlx::PgConnection;

pub(super) async fn step(conn: &mut PgConnection, look: &Look<'_>) -> Result<Decision, DbError> {
    let decided = look.machine.boot == "ephemeral" && look.machine.boot_operation == Some(look.op.id);
    if !decided || look.remembered("boot_attempt").is_none() {
        let now = look.op.now.unix_timestamp();
        return Ok(Decision::stay("telling the racks what the machine boots")
            .with(Effect::BootEphemeral)
            .remembering(json!({ "boot_attempt": look.op.attempt, "network_boot_at": now, "boot_epoch": look.op.epoch })));
    }
    if look.machine.bmc_driver.is_none() {
        let message =
            "switch the machine off and on: it has no BMC; it must boot from the network".to_owned();
        return Ok(look.onward(StepName::NetworkBoot).with(Effect::Tell { level: "warning", message }));
    }
    // A BMC that cannot choose the boot device is no reason to stop: most machines boot from the network first.
    let device = BmcAction::SetBoot { device: BootDevice::Network, persistent: false, efi: look.machine.efi };
    let mut note = None;
    match ask(conn, look, "boot-device", device).await? {
        Answer::Wait(decision) => return Ok(decision),
        Answer::No(error) => note = Some(format!("the boot device could not be chosen: {error}")),
        Answer::Yes(_) | Answer::Person(_) => {}
    }
    let on = match ask(conn, look, "on", BmcAction::On).await? {
        Answer::Wait(decision) => return Ok(decision),
        Answer::No(error) => return Ok(Decision::fail(error.to_string())),
        Answer::Person(instruction) => {
            look.onward(StepName::NetworkBoot).with(Effect::Tell { level: "warning", message: instruction })
        }
        Answer::Yes(_) => look.onward(StepName::NetworkBoot),
    };
    Ok(on.with_all(note.map(|message| Effect::Tell { level: "warning", message })))
}
