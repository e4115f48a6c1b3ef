//! The machines' way through the life cycle, driven by the REST API and watched from outside.
//!
//! A thread per machine goes through [`run_machine`]; the calling thread draws the table.

use super::controller::Controller;
use super::result::{Machine, Phase};
use super::table;
use crate::lab as lab_commands;
use anyhow::{Context, Result, bail, ensure};
use rackwright_lab::interrupt::Interrupt;
use rackwright_lab::poll;
use rackwright_lab::{Lab, MachineHandle};
use serde_json::{Value, json};
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Until when a part has to be done; generous, because everything is emulated.
const LIMIT: Duration = Duration::from_secs(900);

/// All machines' progress, written by their threads and read by the table.
#[derive(Clone)]
pub struct Board(Arc<Mutex<Vec<Machine>>>);

impl Board {
    fn of(lab: &Lab) -> Self {
        let machine =
            |plan: &rackwright_lab::Machine| Machine { name: plan.name.clone(), ..Machine::default() };
        Self(Arc::new(Mutex::new(lab.plan().machines.iter().map(machine).collect())))
    }

    /// The machines as they are now.
    pub fn look(&self) -> Vec<Machine> {
        self.lock().clone()
    }

    fn change(&self, at: usize, change: impl FnOnce(&mut Machine)) {
        if let Some(machine) = self.lock().get_mut(at) {
            change(machine);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Machine>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes every machine of the lab the whole way; an error of one does not stop the others.
pub fn run(lab: &Lab, controller: &Controller, interrupt: &Interrupt) -> Result<Vec<Machine>> {
    add_ssh_key(lab, controller)?;
    let settings = json!({
        "ephemeral_kernel_arguments": "console=ttyS0 no_timer_check",
        "installed_kernel_arguments": "console=ttyS0 no_timer_check",
    });
    controller.api.patch("/api/v1/settings", &settings)?;
    let board = Board::of(lab);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..lab.plan().machines.len())
            .map(|at| {
                let way = Way { lab, controller, interrupt, board: board.clone(), at };
                scope.spawn(move || way.run())
            })
            .collect();
        table::draw_until(&board, || threads.iter().all(std::thread::ScopedJoinHandle::is_finished));
    });
    Ok(board.look())
}

/// The key with which the demo logs in to installed systems.
fn add_ssh_key(lab: &Lab, controller: &Controller) -> Result<()> {
    let file = lab_commands::key(lab).with_extension("pub");
    let key = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    controller.api.post("/api/v1/ssh-keys", &json!({ "public_key": key.trim() })).map(drop)
}

/// One machine on its way.
struct Way<'a> {
    lab: &'a Lab,
    controller: &'a Controller,
    interrupt: &'a Interrupt,
    board: Board,
    at: usize,
}

impl Way<'_> {
    fn run(&self) {
        let outcome = self.whole_way();
        self.board.change(self.at, |machine| match outcome {
            Ok(()) => machine.through = true,
            Err(error) => machine.error = Some(format!("{error:#}")),
        });
    }

    fn whole_way(&self) -> Result<()> {
        let machine = self.lab.machine(&self.lab.plan().machines[self.at].name)?;
        let id = self.part("enlist", || self.enlist(&machine))?;
        self.board.change(self.at, |machine| machine.id = Some(id.clone()));
        self.describe(&id, &machine)?;
        // Both follow by themselves.
        self.part("commission", || self.reaches(&id, &["testing", "ready"]))?;
        self.part("test", || self.reaches(&id, &["ready"]))?;
        self.part("deploy", || self.act(&id, "deploy", &json!({ "image": "debian-12" }), "deployed"))?;
        self.part("ssh", || self.ssh_answers(&machine))?;
        self.part("release", || self.act(&id, "release", &json!({ "erase": "quick" }), "ready"))
    }

    /// Tells Rackwright the machine's name and how its BMC is reached.
    fn describe(&self, id: &str, machine: &MachineHandle) -> Result<()> {
        let api = &self.controller.api;
        api.patch(&format!("/api/v1/machines/{id}"), &json!({ "hostname": machine.plan().name }))?;
        api.put(&format!("/api/v1/machines/{id}/bmc"), &bmc_settings(machine)?).map(drop)
    }

    /// Runs a part, shows it, notes its time.
    fn part<T>(&self, name: &'static str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        self.interrupt.check()?;
        self.board.change(self.at, |machine| machine.now = name.to_owned());
        let started = Instant::now();
        let outcome = run().with_context(|| name)?;
        let seconds = started.elapsed().as_secs_f64();
        self.board.change(self.at, |machine| machine.phases.push(Phase { name, seconds }));
        Ok(outcome)
    }

    /// Powers the machine on by its BMC, as a person with ipmitool would, and waits until it is known.
    fn enlist(&self, machine: &MachineHandle) -> Result<String> {
        let mut power = self.lab.ipmitool(&machine.plan().name)?;
        rackwright_lab::ns::run(power.args(["chassis", "power", "on"]))?;
        let mac = &machine.plan().nics.first().context("it has no interface")?.mac;
        poll::until(LIMIT, "the machine to be enlisted", || {
            self.end_on_interrupt(|| {
                let page = self.controller.api.get(&format!("/api/v1/machines?q={mac}"))?;
                let Some(found) = page["items"].as_array().and_then(|items| items.first()) else {
                    return Ok(None);
                };
                let status = found["status"].as_str().unwrap_or("unknown");
                self.board.change(self.at, |machine| machine.now = format!("enlist: {status}"));
                Ok(found["id"].as_str().map(str::to_owned))
            })
        })?
    }

    /// Waits for one of these statuses, and for the end of what runs when it is a resting one.
    fn reaches(&self, id: &str, goals: &[&str]) -> Result<()> {
        poll::until(LIMIT, &format!("the machine to be {}", goals.join(" or ")), || {
            self.end_on_interrupt(|| {
                let machine = self.controller.api.get(&format!("/api/v1/machines/{id}"))?;
                let text = |key: &str| machine[key].as_str().unwrap_or_default().to_owned();
                let (status, message) = (text("status"), text("status_message"));
                let step = machine["operation"]["message"].as_str().unwrap_or_default();
                self.board.change(self.at, |machine| machine.now = format!("{status}: {step}"));
                if status.starts_with("failed") {
                    return Ok(Some(Err(anyhow::anyhow!("the machine is {status}: {message}"))));
                }
                ensure!(goals.contains(&status.as_str()), "it is {status} ({step})");
                Ok(Some(Ok(())))
            })
        })??
    }

    /// Asks for an action and waits for the status that it leads to.
    fn act(&self, id: &str, action: &str, body: &Value, goal: &str) -> Result<()> {
        let operation = self.controller.api.post(&format!("/api/v1/machines/{id}/{action}"), body)?;
        let operation = operation["id"].as_i64().context("the answer names no operation")?;
        poll::until(LIMIT, &format!("{action} to end in {goal}"), || {
            self.end_on_interrupt(|| {
                let state = self.controller.api.get(&format!("/api/v1/operations/{operation}"))?;
                let machine = self.controller.api.get(&format!("/api/v1/machines/{id}"))?;
                let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
                let (status, message) = (text(&machine, "status"), text(&state, "message"));
                self.board.change(self.at, |machine| machine.now = format!("{action}: {message} ({status})"));
                match state["status"].as_str() {
                    Some("done") if status == goal => Ok(Some(Ok(()))),
                    Some("running" | "done") => bail!("{status}: {message}"),
                    _ => {
                        let why = text(&state, "error");
                        let error = anyhow::anyhow!("the operation ended, the machine is {status}: {why}");
                        Ok(Some(Err(error)))
                    }
                }
            })
        })??
    }

    /// Logs in to the installed system.
    fn ssh_answers(&self, machine: &MachineHandle) -> Result<()> {
        poll::until(Duration::from_secs(180), "SSH to answer", || {
            self.end_on_interrupt(|| {
                let address = lab_commands::address_of(self.lab, machine)?;
                let mut ssh = lab_commands::ssh_command(self.lab, "debian", &address);
                let system = rackwright_lab::ns::run_for_text(ssh.args(["uname", "-sr"]))?;
                self.board.change(self.at, |machine| machine.now = format!("ssh: {}", system.trim()));
                Ok(Some(()))
            })
        })?
    }

    /// A poll's look that ends the poll when Ctrl-C was pressed.
    fn end_on_interrupt<T>(&self, look: impl FnOnce() -> Result<Option<T>>) -> Result<Option<Result<T>>> {
        if let Err(interrupted) = self.interrupt.check() {
            return Ok(Some(Err(interrupted)));
        }
        Ok(look()?.map(Ok))
    }
}

/// How Rackwright reaches the machine's BMC.
fn bmc_settings(machine: &MachineHandle) -> Result<Value> {
    let bmc = machine.plan().bmc.as_ref().context("it has no BMC")?;
    Ok(json!({
        "driver": "ipmi",
        "address": bmc.address,
        "username": bmc.user,
        "password": bmc.password.0,
    }))
}
