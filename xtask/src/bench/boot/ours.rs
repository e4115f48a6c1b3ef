//! A machine booted by `rackwright up`: unknown at power-on, enlisted, its inventory stored; then deployed.
//!
//! What holds: before each run the machine is forgotten, so that every run is the same way. Tests are switched off:
//! they take as long as one lets them.

use super::capture::Capture;
use super::deploy::{self, Phases};
use super::stages::{Files, Stage, Times};
use super::{Boot, KERNEL_ARGUMENTS, Place, floor};
use crate::bench::figures::{moment, written_at};
use crate::demo::controller::Controller;
use crate::demo::{Programs, images};
use anyhow::{Context, Result, ensure};
use rackwright_lab::{MachineHandle, ns};
use serde_json::{Value, json};
use std::path::Path;

/// A controller on the lab's host.
pub struct Ours<'a> {
    place: &'a Place<'a>,
    controller: Controller,
    files: Files,
}

impl<'a> Ours<'a> {
    /// Starts `rackwright up` and loads the images of this folder.
    pub fn start(place: &'a Place<'a>, programs: &Programs, cache: &Path) -> Result<Self> {
        let controller = Controller::start_at(place.lab, programs, 0)?;
        let built: Vec<_> =
            ["ephemeral", "bootloaders", "debian-12"].iter().map(|name| cache.join(name)).collect();
        images::load(&controller, &built, place.interrupt)?;
        let settings = json!({
            "ephemeral_kernel_arguments": KERNEL_ARGUMENTS,
            "installed_kernel_arguments": KERNEL_ARGUMENTS,
            "default_tests": [],
        });
        controller.api.patch("/api/v1/settings", &settings)?;
        Ok(Self { place, controller, files: floor::files(&cache.join("ephemeral"))? })
    }

    /// Power-on to the inventory, and to the deployed system when that is asked for.
    pub fn boot(&self, name: &str, deploy: bool) -> Result<Boot> {
        let machine = self.place.lab.machine(name)?;
        self.place.renew(&machine)?;
        self.forget(&machine)?;
        let (stages, id) = self.enlist(&machine)?;
        let phases = if deploy { Some(self.deploy(&machine, &id)?) } else { None };
        machine.stop()?;
        Ok(Boot { stages, deploy: phases })
    }

    fn enlist(&self, machine: &MachineHandle) -> Result<(Times, String)> {
        let mac = self.place.mac(machine)?;
        let capture = Capture::start(self.place.lab, mac)?;
        self.place.power_on(machine)?;
        let on = written_at(&machine.power_record())?;
        let mut stages = self.place.until("the agent's hello", || floor::hello(&capture, on, &self.files))?;
        drop(capture);
        let (id, stored) = self.place.until("the inventory", || self.inventory(mac))?;
        stages.insert(Stage::Inventory, stored - on);
        Ok((stages, id))
    }

    /// The machine with this MAC, and when its inventory was stored.
    fn inventory(&self, mac: &str) -> Result<Option<(String, f64)>> {
        let Some(found) = self.find(mac)? else { return Ok(None) };
        let id = found["id"].as_str().context("a machine without identifier")?.to_owned();
        let events = self.controller.api.get(&format!("/api/v1/events?machine={id}&limit=1000"))?;
        let list = events["items"].as_array().or(events.as_array()).context("no list of events")?;
        let stored = list.iter().find(|event| event["kind"] == "machine.inventory");
        let Some(at) = stored.and_then(|event| event["at"].as_str()) else { return Ok(None) };
        Ok(Some((id, moment(at)?)))
    }

    fn find(&self, mac: &str) -> Result<Option<Value>> {
        let page = self.controller.api.get(&format!("/api/v1/machines?q={mac}"))?;
        Ok(page["items"].as_array().and_then(|items| items.first()).cloned())
    }

    /// Removes the machine from Rackwright and waits until the rack takes it for a stranger again.
    fn forget(&self, machine: &MachineHandle) -> Result<()> {
        let mac = self.place.mac(machine)?;
        if let Some(found) = self.find(mac)? {
            let id = found["id"].as_str().context("a machine without identifier")?;
            self.controller.api.delete(&format!("/api/v1/machines/{id}?force=true"))?;
        }
        let url = format!("http://10.77.0.1:5248/boot/ipxe?mac={mac}&uuid={}", machine.plan().uuid);
        self.place.until("the rack to enlist the machine", || {
            let script = ns::run_for_text(self.place.lab.exec("ctl", "curl").args(["-sS", &url]))?;
            let ready = script.contains("unknown machine") && script.contains(&self.files.kernel);
            ensure!(ready, "{script}");
            Ok(Some(()))
        })
    }

    fn deploy(&self, machine: &MachineHandle, id: &str) -> Result<Phases> {
        let api = &self.controller.api;
        let bmc = machine.plan().bmc.as_ref().context("it has no BMC")?;
        let settings = json!({
            "driver": "ipmi",
            "address": bmc.address,
            "username": bmc.user,
            "password": bmc.password.0,
        });
        self.place.until("the machine to be ready", || {
            let found = api.get(&format!("/api/v1/machines/{id}"))?;
            let (status, running) = (&found["status"], &found["operation"]);
            ensure!(status == "ready" && running.is_null(), "it is {status}, under way: {running}");
            Ok(Some(()))
        })?;
        api.put(&format!("/api/v1/machines/{id}/bmc"), &settings)?;
        let capture = Capture::start(self.place.lab, self.place.mac(machine)?)?;
        let console = deploy::Console::watch(machine);
        let asked = api.post(&format!("/api/v1/machines/{id}/deploy"), &json!({ "image": "debian-12" }))?;
        let number = asked["id"].as_i64().context("the answer names no operation")?;
        let done = self.place.until("the deployment", || {
            let operation = api.get(&format!("/api/v1/operations/{number}?wait=5"))?;
            ensure!(operation["status"] != "running", "{} {}", operation["step"], operation["message"]);
            Ok(Some(operation))
        })?;
        ensure!(done["status"] == "done", "the deployment {}: {}", done["status"], done["error"]);
        let on = written_at(&machine.power_record())?;
        let seen = deploy::Seen { operation: &done, packets: &capture.seen()?, lines: &console.lines(), on };
        deploy::phases(&seen, &self.files)
    }
}
