//! The short verbs of `rackwright machine`: allocate, abort, rescue, lock, mark broken and fixed.

use super::Which;
use super::deploy::keys;
use crate::console::Console;
use crate::operation::wait::WaitOptions;
use anyhow::Result;
use rackwright_region::model::action::{ReasonRequest, RescueRequest};
use rackwright_region::model::machine::Machine;
use serde::Serialize;
use std::path::PathBuf;

/// An action that takes effect at once; says where the machine is then.
async fn at_once(
    console: &Console,
    which: &Which,
    action: &str,
    body: &(impl Serialize + Sync),
) -> Result<()> {
    let path = which.path(console).await?;
    let machine: Machine = console.client.post(&format!("{path}/{action}"), body).await?;
    console.show(&machine, |m| {
        let lock = if m.summary.locked { ", locked" } else { "" };
        format!("{} is {}{lock}", m.summary.hostname, m.summary.status)
    })
}

/// End what is under way on a machine.
#[derive(Debug, clap::Args)]
pub struct Abort {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Abort {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let begun = console.client.post(&format!("{path}/abort"), &()).await?;
        self.wait.conclude_as(console, begun, "aborted").await
    }
}

/// Take a machine back from rescue mode to where it was.
#[derive(Debug, clap::Args)]
pub struct ExitRescue {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    wait: WaitOptions,
}

impl ExitRescue {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let begun = console.client.post(&format!("{path}/exit-rescue"), &()).await?;
        self.wait.conclude(console, begun).await
    }
}

/// Boot the ephemeral system of a machine with SSH.
#[derive(Debug, clap::Args)]
pub struct Rescue {
    #[command(flatten)]
    which: Which,
    /// File with SSH public keys, besides those of your account; may be given several times.
    #[arg(long = "ssh-key-file")]
    ssh_key_files: Vec<PathBuf>,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Rescue {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let path = self.which.path(console).await?;
        let body = RescueRequest { ssh_keys: keys(&self.ssh_key_files)? };
        let begun = console.client.post(&format!("{path}/enter-rescue"), &body).await?;
        self.wait.conclude(console, begun).await
    }
}

/// Take a Ready machine for yourself.
#[derive(Debug, clap::Args)]
pub struct Allocate {
    #[command(flatten)]
    which: Which,
}

impl Allocate {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        at_once(console, &self.which, "allocate", &()).await
    }
}

/// Protect a machine against everything that changes it.
#[derive(Debug, clap::Args)]
pub struct Lock {
    #[command(flatten)]
    which: Which,
}

impl Lock {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        at_once(console, &self.which, "lock", &()).await
    }
}

/// End the protection of a machine.
#[derive(Debug, clap::Args)]
pub struct Unlock {
    #[command(flatten)]
    which: Which,
}

impl Unlock {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        at_once(console, &self.which, "unlock", &()).await
    }
}

/// Say that a machine must not be used.
#[derive(Debug, clap::Args)]
pub struct MarkBroken {
    #[command(flatten)]
    which: Which,
    /// Why, for whoever looks later.
    #[arg(long, short, default_value = "")]
    message: String,
}

impl MarkBroken {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        at_once(console, &self.which, "mark-broken", &ReasonRequest { message: self.message }).await
    }
}

/// Say that a machine is mended.
#[derive(Debug, clap::Args)]
pub struct MarkFixed {
    #[command(flatten)]
    which: Which,
    /// Why, for whoever looks later.
    #[arg(long, short, default_value = "")]
    message: String,
}

impl MarkFixed {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        at_once(console, &self.which, "mark-fixed", &ReasonRequest { message: self.message }).await
    }
}

/// Take a machine in spite of its failed tests.
#[derive(Debug, clap::Args)]
pub struct OverrideFailedTests {
    #[command(flatten)]
    which: Which,
    /// Why, for whoever looks later.
    #[arg(long, short, default_value = "")]
    message: String,
}

impl OverrideFailedTests {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        at_once(console, &self.which, "override-failed-tests", &ReasonRequest { message: self.message }).await
    }
}
