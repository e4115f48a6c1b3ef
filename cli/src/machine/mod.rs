//! `rackwright machine …`

mod action;
mod bmc;
mod boot_device;
mod bulk;
mod changes;
mod console;
mod create;
mod datasheet;
mod delete;
mod deploy;
mod identify;
mod interface;
mod layout;
mod list;
mod log;
mod power;
mod reading;
mod results;
mod set;
mod show;
mod test;

use crate::console::{Console, path_part};
use anyhow::{Result, bail};
use rackwright_common::MachineId;
use rackwright_region::model::Page;
use rackwright_region::model::machine::MachineSummary;

/// What can be done with machines.
#[derive(Debug, clap::Subcommand)]
pub enum MachineCommand {
    /// List machines, by name.
    List(list::List),
    /// Show one: hardware, network, power, tests, what is under way.
    Show(show::Show),
    /// Enter one by hand, before it has booted.
    Create(create::Create),
    /// Change name, description, pool, zone or tags.
    Set(set::Set),
    /// Its network interfaces: addresses, bonds, bridges, VLANs, default routes.
    #[command(subcommand, visible_alias = "interfaces")]
    Interface(interface::InterfaceCommand),
    /// Remove one.
    Delete(delete::Delete),
    /// Read the hardware, set up the BMC, run commissioning scripts and tests.
    Commission(test::Commission),
    /// Run tests.
    Test(test::Test),
    /// Show the results of tests and commissioning scripts, with their history.
    Results(results::Results),
    /// Show what readings of its hardware found otherwise than the ones before.
    Changes(changes::Changes),
    /// Take a Ready machine for yourself.
    Allocate(action::Allocate),
    /// Install an operating system.
    Deploy(deploy::Deploy),
    /// Give it back.
    Release(deploy::Release),
    /// Switch it: on, off, soft, cycle, reset; or ask: status.
    Power(power::Power),
    /// Choose what it starts from: pxe, disk, bios.
    BootDevice(boot_device::BootDevice),
    /// Light its chassis, to find it in the room.
    Identify(identify::Identify),
    /// Read its BMC's system event log.
    Sel(reading::Sel),
    /// Read its BMC's sensors.
    Sensors(reading::Sensors),
    /// Read its BMC's inventory (FRU).
    Fru(reading::Fru),
    /// End what is under way.
    Abort(action::Abort),
    /// Boot the ephemeral system with SSH.
    Rescue(action::Rescue),
    /// Back from rescue mode.
    ExitRescue(action::ExitRescue),
    /// Protect it against changes.
    Lock(action::Lock),
    /// End the protection.
    Unlock(action::Unlock),
    /// Do one thing with many machines.
    Bulk(bulk::Bulk),
    /// End an action on many machines before its next machine.
    StopBulk(bulk::StopBulk),
    /// Say that it must not be used.
    MarkBroken(action::MarkBroken),
    /// Say that it is mended.
    MarkFixed(action::MarkFixed),
    /// Take it in spite of its failed tests.
    OverrideFailedTests(action::OverrideFailedTests),
    /// Set how its BMC is reached.
    Bmc(bmc::Bmc),
    /// Print what its latest operation wrote.
    Log(log::Log),
    /// Print what it wrote to its serial console.
    Console(console::ShowConsole),
}

impl MachineCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List(command) => command.run(console).await,
            Self::Show(command) => command.run(console).await,
            Self::Create(command) => command.run(console).await,
            Self::Set(command) => command.run(console).await,
            Self::Interface(command) => command.run(console).await,
            Self::Delete(command) => command.run(console).await,
            Self::Commission(command) => command.run(console).await,
            Self::Test(command) => command.run(console).await,
            Self::Results(command) => command.run(console).await,
            Self::Changes(command) => command.run(console).await,
            Self::Allocate(command) => command.run(console).await,
            Self::Deploy(command) => command.run(console).await,
            Self::Release(command) => command.run(console).await,
            Self::Power(command) => command.run(console).await,
            Self::BootDevice(command) => command.run(console).await,
            Self::Identify(command) => command.run(console).await,
            Self::Sel(command) => command.run(console).await,
            Self::Sensors(command) => command.run(console).await,
            Self::Fru(command) => command.run(console).await,
            Self::Abort(command) => command.run(console).await,
            Self::Rescue(command) => command.run(console).await,
            Self::ExitRescue(command) => command.run(console).await,
            Self::Lock(command) => command.run(console).await,
            Self::Unlock(command) => command.run(console).await,
            Self::Bulk(command) => command.run(console).await,
            Self::StopBulk(command) => command.run(console).await,
            Self::MarkBroken(command) => command.run(console).await,
            Self::MarkFixed(command) => command.run(console).await,
            Self::OverrideFailedTests(command) => command.run(console).await,
            Self::Bmc(command) => command.run(console).await,
            Self::Log(command) => command.run(console).await,
            Self::Console(command) => command.run(console).await,
        }
    }
}

/// A machine as people name it: by identifier or by host name.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// Identifier or host name.
    #[arg(value_name = "MACHINE")]
    machine: String,
}

impl Which {
    /// Its path in the API. A name that reads like an identifier is tried as a host name first: people choose names.
    async fn path(&self, console: &Console) -> Result<String> {
        Ok(format!("/machines/{}", self.id(console).await?))
    }

    /// Its identifier.
    async fn id(&self, console: &Console) -> Result<MachineId> {
        let name = self.machine.to_ascii_lowercase();
        let page: Page<MachineSummary> =
            console.client.get(&format!("/machines?limit=1000&q={}", path_part(&name))).await?;
        if let Some(found) = page.items.iter().find(|m| m.hostname.as_str() == name) {
            return Ok(found.id.clone());
        }
        match name.parse::<MachineId>() {
            Ok(id) => Ok(id),
            Err(_) => bail!("there is no machine `{}`; `rackwright machine list` shows all", self.machine),
        }
    }
}
