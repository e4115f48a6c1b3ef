//! Machines of a site: what they boot and install, and that Rackwright knows them and their BMCs.

use super::plan::rack;
use super::{CLIENT, Cluster};
use crate::build;
use crate::demo::{Programs, images};
use crate::http::Client;
use anyhow::{Context, Result, ensure};
use rackwright_lab::interrupt::Interrupt;
use rackwright_lab::{Machine, forward, ns, poll, state};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the images are, in the order in which they are loaded; those that are missing are built, which takes minutes.
pub fn images(program: &Path) -> Result<Vec<PathBuf>> {
    let cache = state::root().join("cache");
    let folders: Vec<_> = images::NAMES.iter().map(|name| cache.join(name)).collect();
    if folders.iter().all(|folder| folder.exists()) {
        return Ok(folders);
    }
    let programs = Programs { rackwright: program.to_owned(), agent: build::agent()? };
    images::build(&programs, &Interrupt::listen()?)
}

impl Cluster<'_> {
    /// Does something with the API of the first region that answers, as the administrator, from where people sit.
    pub fn ask<T: Send>(&self, does: impl FnOnce(&Client) -> Result<T> + Send) -> Result<T> {
        let (api, namespace) = (self.api()?, self.client_namespace());
        std::thread::scope(|scope| {
            let asking = scope.spawn(move || {
                forward::enter(&namespace)?;
                does(&api)
            });
            asking.join().map_err(|_| anyhow::anyhow!("the asking thread panicked"))?
        })
    }

    /// Gives the site images and the settings of emulated machines, and waits until every rack can boot machines.
    pub fn load_images(&self, folders: &[PathBuf]) -> Result<()> {
        for folder in folders {
            let mut load = self.rackwright(CLIENT, &["image", "load"]);
            load.arg(folder).arg("--url").arg(self.first_url()).arg("--token-file").arg(self.token_file());
            ns::run(&mut load)?;
        }
        let settings = json!({
            "ephemeral_kernel_arguments": "console=ttyS0 no_timer_check",
            "installed_kernel_arguments": "console=ttyS0 no_timer_check",
            "default_tests": [],
        });
        self.ask(|api| api.patch("/api/v1/settings", &settings))?;
        self.until_cached(folders)
    }

    /// Waits until every rack has what every boot needs of these images.
    pub fn until_cached(&self, folders: &[PathBuf]) -> Result<()> {
        let mut wanted = Vec::new();
        for folder in folders {
            let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json"))?)?;
            // Systems to install are fetched when they are asked for.
            let files = manifest["files"].as_array().into_iter().flatten();
            wanted.extend(files.filter_map(|file| file["sha256"].as_str().map(str::to_owned)));
        }
        poll::until(Duration::from_secs(120), "the racks to have what machines boot", || {
            for at in 0..self.size.racks {
                let blobs = self.folder(&rack(at)).join("data/blobs");
                let missing = wanted.iter().filter(|name| !blobs.join(name).exists()).count();
                ensure!(missing == 0, "{}: {missing} of {} are missing", rack(at), wanted.len());
            }
            Ok(Some(()))
        })
    }

    /// Enters every machine of the lab with its BMC, off; their identifiers.
    pub fn enter_machines(&self) -> Result<Vec<String>> {
        let bodies: Vec<Value> = self.lab.plan().machines.iter().map(machine_body).collect::<Result<_>>()?;
        self.ask(|api| {
            let enter = |body: &Value| {
                let made = api.post("/api/v1/machines", body)?;
                Ok(made["id"].as_str().context("a machine has an identifier")?.to_owned())
            };
            bodies.iter().map(enter).collect()
        })
    }
}

/// A machine of the lab as the API takes it.
fn machine_body(machine: &Machine) -> Result<Value> {
    let bmc = machine.bmc.as_ref().context("it has no BMC")?;
    let macs: Vec<_> = machine.nics.iter().map(|nic| nic.mac.clone()).collect();
    Ok(json!({
        "hostname": machine.name,
        "macs": macs,
        "bmc": {
            "driver": "ipmi",
            "address": bmc.address,
            "username": bmc.user,
            "password": bmc.password.0,
        },
    }))
}
