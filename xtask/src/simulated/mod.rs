//! Machines that are not there: a host of the lab with the machine's MAC plays firmware, agent and installed system, and a BMC
//! simulator switches it. They speak to real racks over the network of the machines: DHCP by udhcpc, boot script, kernel, image in
//! pieces, the agent's messages, cloud-init's report.
//!
//! Why: a whole life takes seconds and no processor, so that faults can be tried by the dozen. What holds: they are written
//! from the documents of the messages, not with the product's types, and they remember what happened to them.
//! Left out: firmware's own PXE and TFTP, scripts (each says that it passed), hardware (all have the same).

mod agent;
pub mod chassis;
mod firmware;
pub mod images;
pub mod life;

use anyhow::{Context, Result};
use rackwright_lab::{Bmc, BmcKind, Host, HostNic, Lab, LabPlan, Machine, forward};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

/// Adds a machine to a plan: its BMC, and the host that plays it. `last` is the last byte of its BMC's address.
pub fn add(plan: &mut LabPlan, name: &str, last: u8, bmc_simulator: &Path) -> Result<()> {
    let own = std::env::current_exe()?.to_str().context("the path of this program")?.to_owned();
    let mut machine = Machine::bios(name).with_rackwright_sim(last, bmc_simulator);
    if let Some(Bmc { kind: BmcKind::Program { args, .. }, .. }) = &mut machine.bmc {
        args.retain(|word| word != "--sol" && word != "{console}");
        for word in args {
            match word.as_str() {
                "{chassis_program}" => *word = own.clone(),
                "chassis" => *word = "sim-chassis".to_owned(),
                _ => {}
            }
        }
    }
    let nic = HostNic { name: "eth0".to_owned(), vlan: "boot".to_owned(), addresses: Vec::new() };
    plan.hosts.push(Host { name: host(name), nics: vec![nic] });
    plan.machines.push(machine);
    Ok(())
}

/// The host that plays a machine.
fn host(name: &str) -> String {
    format!("pc-{name}")
}

/// One thing that happened to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// It was switched on, restarted or restarted itself, and asked for an address.
    Booted,
    /// The agent was told to install, on behalf of this operation and epoch.
    Installing(i64, i64),
    /// All of the image arrived, as it was stored.
    Installed(i64),
    /// Its power went away while it installed.
    PowerLost(i64),
    /// What arrived is not what was stored.
    Damaged(String),
    /// Work of an epoch that was over, which it refused.
    Refused(i64, i64),
    /// The installed system has started and said so.
    Reported,
}

/// What happened, and when.
pub type Story = Vec<(SystemTime, Happened)>;

/// A machine that is played.
pub struct Simulated {
    stop: Arc<AtomicBool>,
    spoil: Arc<AtomicBool>,
    story: Arc<Mutex<Story>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread that plays a machine knows of it.
struct Played {
    mac: String,
    uuid: String,
    /// Where its chassis keeps the power.
    folder: PathBuf,
    /// Where DHCP's answer is written.
    lease: PathBuf,
    stop: Arc<AtomicBool>,
    /// The next image is damaged on its way to the disk.
    spoil: Arc<AtomicBool>,
    story: Arc<Mutex<Story>>,
    /// What an installation left on the disk.
    installed: Option<agent::Credentials>,
    /// The newest epoch of each operation.
    epochs: std::collections::BTreeMap<i64, i64>,
    /// Racks of the network, those that answered last first.
    racks: Vec<String>,
}

impl Simulated {
    /// Begins to play a machine that [`add`] added.
    pub fn start(lab: &Lab, name: &str) -> Result<Self> {
        let handle = lab.machine(name)?;
        let mac = handle.plan().nics.first().context("it has no interface")?.mac.clone();
        let namespace = lab.namespace(&host(name));
        rackwright_lab::ns::batch(
            &namespace,
            &["link set eth0 down".to_owned(), format!("link set eth0 address {mac} up")],
        )?;
        let (stop, story) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Story>>::default());
        let spoil = Arc::<AtomicBool>::default();
        let mut played = Played {
            mac,
            uuid: handle.plan().uuid.clone(),
            folder: handle.folder().to_owned(),
            lease: handle.folder().join("lease"),
            stop: stop.clone(),
            spoil: spoil.clone(),
            story: story.clone(),
            installed: None,
            epochs: std::collections::BTreeMap::new(),
            racks: Vec::new(),
        };
        firmware::write_script(&played.lease)?;
        let thread = thread::spawn(move || match forward::enter(&namespace) {
            Ok(()) => played.run(),
            Err(error) => eprintln!("{namespace}: {error:#}"),
        });
        Ok(Self { stop, spoil, story, thread: Some(thread) })
    }

    /// The next image that it writes is damaged on the way to its disk, which the machine itself does not notice.
    pub fn spoil(&self) {
        self.spoil.store(true, Ordering::SeqCst);
    }

    /// All that happened to it so far.
    pub fn story(&self) -> Story {
        self.story.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Played {
    fn tell(&self, happened: Happened) {
        let mut story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        story.push((SystemTime::now(), happened));
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Whether it is still on, and was not restarted from outside, since that power-on.
    fn lasts(&self, boot: u64) -> bool {
        !self.stopped() && chassis::read(&self.folder) == chassis::Power { on: true, boot }
    }

    fn run(&mut self) {
        let mut seen = 0;
        while !self.stopped() {
            let power = chassis::read(&self.folder);
            if power.on && power.boot != seen {
                seen = power.boot;
                self.boot(power.boot);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}
