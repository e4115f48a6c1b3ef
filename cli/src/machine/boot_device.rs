//! `rackwright machine boot-device`

use super::Which;
use crate::console::Console;
use crate::operation::wait::WaitOptions;
use anyhow::Result;
use rackwright_common::bmc::{self, BmcAction};
use rackwright_region::model::action::PowerRequest;
use rackwright_region::model::machine::Machine;

/// From what.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Device {
    /// The network.
    #[value(alias = "network")]
    Pxe,
    /// The first disk.
    Disk,
    /// The firmware's set-up.
    #[value(alias = "setup")]
    Bios,
}

/// How the machine boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Firmware {
    /// UEFI.
    Uefi,
    /// Legacy.
    Bios,
}

/// Choose what a machine starts from: the next time only, or until it is changed.
///
/// Rackwright chooses by itself whenever it deploys, tests or releases; this is for what people do in between.
#[derive(Debug, clap::Args)]
pub struct BootDevice {
    #[command(flatten)]
    which: Which,
    /// From what.
    #[arg(value_enum)]
    device: Device,
    /// Until it is changed, rather than once.
    #[arg(long)]
    persistent: bool,
    /// What the boot flags say of the firmware; as the machine booted last when absent.
    #[arg(long, value_enum)]
    firmware: Option<Firmware>,
    #[command(flatten)]
    wait: WaitOptions,
}

impl BootDevice {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let efi = match self.firmware {
            Some(firmware) => firmware == Firmware::Uefi,
            None => console.client.get::<Machine>(&path).await?.efi,
        };
        let device = match self.device {
            Device::Pxe => bmc::BootDevice::Network,
            Device::Disk => bmc::BootDevice::Disk,
            Device::Bios => bmc::BootDevice::Setup,
        };
        let action = BmcAction::SetBoot { device, persistent: self.persistent, efi };
        let begun = console.client.post(&format!("{path}/power"), &PowerRequest { action }).await?;
        self.wait.conclude(console, begun).await
    }
}
