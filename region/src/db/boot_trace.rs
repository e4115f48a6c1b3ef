//! What was seen of a machine's network boot, for people who wonder where it stopped.

use super::DbError;
use rackwright_common::link::BootStage;
use rackwright_common::{MachineId, OperationId};
use sqlx::PgConnection;

/// The furthest that a boot came.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    stage: Option<BootStage>,
    detail: String,
}

impl Trace {
    /// What was seen, in a clause.
    pub fn seen(&self) -> String {
        match self.stage {
            None => "it has not asked for an address".into(),
            Some(BootStage::Discover) => "it asked for an address and did not take one".into(),
            Some(BootStage::Ack) => "it has an address and fetched nothing".into(),
            Some(BootStage::Loader) => format!("it fetched its boot loader ({})", self.detail),
            Some(BootStage::Script) => format!("it was told what to boot ({})", self.detail),
            Some(BootStage::Kernel) => "it fetched the kernel".into(),
            Some(BootStage::Initrd) => "it fetched kernel and initrd".into(),
            Some(BootStage::Refused) => format!("it asked for something that is not there ({})", self.detail),
        }
    }

    /// What to look at, in a clause.
    pub fn advice(&self) -> &'static str {
        match self.stage {
            None => {
                "check that it is really on, that its firmware boots from the network first, its cable, and that its switch port is in a VLAN that a rack serves"
            }
            Some(BootStage::Discover) => "check that no other DHCP server answers and that replies reach it",
            Some(BootStage::Ack) => "check that its firmware can reach the rack's TFTP and HTTP ports",
            Some(BootStage::Loader) => {
                "check that the boot loader fits its architecture and its Secure Boot setting"
            }
            Some(BootStage::Script | BootStage::Kernel) => "check that it can reach the rack's HTTP port",
            Some(BootStage::Initrd) => {
                "look at its console: the kernel may lack a driver, or the machine memory"
            }
            Some(BootStage::Refused) => "check its firmware's boot settings",
        }
    }
}

/// The last boot event of a machine since an operation began.
pub async fn since(
    conn: &mut PgConnection,
    machine: &MachineId,
    operation: OperationId,
) -> Result<Trace, DbError> {
    let row = sqlx::query!(
        "SELECT e.data->>'stage' AS stage, e.message FROM event e, operation o
         WHERE o.id = $2 AND e.machine_id = $1 AND e.kind = 'machine.boot' AND e.at >= o.created_at ORDER BY e.id DESC LIMIT 1",
        machine.as_str(),
        operation.0
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(Trace::default()) };
    let stage = row.stage.and_then(|s| serde_json::from_value(serde_json::Value::String(s)).ok());
    Ok(Trace { stage, detail: row.message })
}
