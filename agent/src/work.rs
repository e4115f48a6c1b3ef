//! The loop of the agent's life: say hello, ask for work, do it, tell the result, ask again.
//!
//! Scripts may be under way together when the region gives several; everything else is alone.

use crate::batch::Batch;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::inventory::ipmi;
use crate::inventory::lldp::Listener;
use crate::inventory::smbios::Smbios;
use crate::link::{Link, LinkError};
use crate::network::Network;
use crate::power::Ending;
use crate::report::Report;
use crate::{erase, identity, install, inventory, item, rescue};
use rackwright_common::agent::{Hello, HelloReply, ItemResult, Next, NextReply, Work, WorkItem};
use rackwright_common::id::Fence;
use rackwright_common::inventory::Inventory;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a region may keep a request for work waiting, seconds.
const WAIT_SECONDS: u32 = 20;
/// Scripts under way together. Each keeps some MiB of output in memory.
const AT_ONCE: u32 = 8;
/// For the kernel's IPMI driver to find the BMC that the firmware speaks of.
const BMC_DRIVER: Duration = Duration::from_secs(10);
/// Between learning that the token is no longer good and restarting, so that a person can read why.
const BEFORE_RESTART: Duration = Duration::from_secs(10);

/// The agent at work.
pub struct Session {
    config: Config,
    link: Arc<Link>,
    lldp: Listener,
    virtual_machine: bool,
    has_bmc: bool,
    highest: Option<Fence>,
    /// Results that were told, of items that the region may still give again.
    told: BTreeMap<i64, (Fence, ItemResult)>,
    scripts: Batch<Done>,
}

/// How a script ended.
struct Done {
    item: i64,
    fence: Fence,
    result: ItemResult,
    told: std::result::Result<(), LinkError>,
}

/// Works until the machine is to restart or to be switched off.
pub fn run(config: Config) -> Ending {
    let network = Network::new(config.is_real());
    let boot_id = identity::boot_id(&config.root);
    let link = Arc::new(Link::new(config.racks.clone(), config.token.clone(), boot_id, network));
    let smbios = Smbios::read(&config.root);
    let virtual_machine = inventory::virtualization(&config.root, &smbios).is_some();
    let lldp = if config.is_real() {
        let interfaces = inventory::nics::physical(&config.root);
        let listener = Listener::start(&interfaces);
        // The hello does not wait for links that come up.
        std::thread::spawn(move || network.bring_up(&interfaces));
        listener
    } else {
        Listener::silent()
    };
    let mut session = Session {
        config,
        link,
        lldp,
        virtual_machine,
        has_bmc: smbios.has_bmc,
        highest: None,
        told: BTreeMap::new(),
        scripts: Batch::new(),
    };
    let ended = session.live(&smbios);
    // A token that is withdrawn ends the scripts; nothing restarts while one still runs.
    while session.scripts.wait().is_some() {}
    match ended {
        Ok(ending) => ending,
        Err(error) => {
            eprintln!("rackwright-agent: {error}; restarting in {} seconds", BEFORE_RESTART.as_secs());
            if !session.config.simulate_power {
                std::thread::sleep(BEFORE_RESTART);
            }
            Ending::Reboot
        }
    }
}

impl Session {
    /// Until an item says how it ends, or the token is withdrawn.
    fn live(&mut self, smbios: &Smbios) -> std::result::Result<Ending, LinkError> {
        let hello = self.hello(smbios);
        let reply: HelloReply = self.link.ask("/agent/v1/hello", &hello, Duration::ZERO)?;
        println!("rackwright-agent: this is machine {}", reply.machine);
        if let Some(token) = reply.token {
            self.link.set_token(token);
        }
        self.highest = reply.fence;
        loop {
            let asked = Instant::now();
            // While scripts run, the answer is wanted now: whether there is more for the places that are free.
            let wait_seconds = if self.scripts.is_empty() { WAIT_SECONDS } else { 0 };
            let next = Next { boot_id: self.link.boot_id, wait_seconds, at_once: AT_ONCE };
            let patience = Duration::from_secs(u64::from(wait_seconds));
            let reply: NextReply = self.link.ask("/agent/v1/next", &next, patience)?;
            let items: Vec<WorkItem> = reply.item.into_iter().chain(reply.beside).collect();
            let nothing = items.is_empty();
            self.told.retain(|id, _| items.iter().any(|item| item.id == *id));
            for item in items {
                if let Some(ending) = self.take(item)? {
                    return Ok(ending);
                }
            }
            if !self.settle_one()? && nothing {
                // A region that does not wait is not asked more than once a second.
                std::thread::sleep(Duration::from_secs(1).saturating_sub(asked.elapsed()));
            }
        }
    }

    /// Waits until one of the scripts under way has ended; `false` when there is none.
    fn settle_one(&mut self) -> std::result::Result<bool, LinkError> {
        let Some(done) = self.scripts.wait() else { return Ok(false) };
        self.told.insert(done.item, (done.fence, done.result));
        done.told.map(|()| true)
    }

    fn hello(&self, smbios: &Smbios) -> Hello {
        let root = &self.config.root;
        let interfaces = inventory::nics::read(root, self.config.boot_mac);
        let uptime = inventory::text(&root.join("proc/uptime"));
        let seconds = uptime.and_then(|text| text.split(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0);
        Hello {
            boot_id: self.link.boot_id,
            uuid: smbios.system.uuid,
            serial: smbios.system.serial.clone(),
            boot_mac: self.config.boot_mac,
            macs: interfaces.iter().map(|interface| interface.mac).collect(),
            efi: inventory::is_efi(root),
            uptime_ms: (seconds * 1000.0) as u64,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
        }
    }

    /// Does one item and tells its result until it is heard; a script is only begun.
    fn take(&mut self, item: WorkItem) -> std::result::Result<Option<Ending>, LinkError> {
        if self.scripts.has(item.id) {
            return Ok(None);
        }
        if let Some(highest) = self.highest.filter(|highest| item.fence < *highest) {
            let error = format!(
                "operation {} epoch {} is older than operation {} epoch {}, which this machine has seen",
                item.fence.operation, item.fence.epoch, highest.operation, highest.epoch
            );
            println!("rackwright-agent: item {} refused: {error}", item.id);
            let refused = Err(Error::refused(error));
            item::tell(&self.link, item.id, &item::result(self.link.boot_id, refused, Duration::ZERO))?;
            return Ok(None);
        }
        self.highest = Some(item.fence);
        // Given again although it was done: the result got lost on its way. Only a failure under a new epoch is a
        // wish to try again.
        let repeat = self.told.get(&item.id).filter(|(fence, told)| told.ok || *fence == item.fence);
        if let Some((_, result)) = repeat {
            item::tell(&self.link, item.id, result)?;
            return Ok(ending(&item.work));
        }
        if matches!(item.work, Work::Script(_)) {
            self.begin(item);
            return Ok(None);
        }
        while self.settle_one()? {}
        let result = item::perform(&self.link, &item, |report| self.dispatch(&item, report));
        if self.link.is_withdrawn() {
            return Err(LinkError::Withdrawn);
        }
        self.told.insert(item.id, (item.fence, result.clone()));
        let told = item::tell(&self.link, item.id, &result);
        match ending(&item.work) {
            // A token that is withdrawn now changes nothing about how this boot ends.
            Some(ending) => Ok(Some(ending)),
            None => told.map(|()| None),
        }
    }

    /// Begins a script, if there is a place for it; else it is given again when there is.
    fn begin(&mut self, item: WorkItem) {
        if self.scripts.len() >= AT_ONCE as usize {
            return;
        }
        let (link, config) = (self.link.clone(), self.config.clone());
        self.scripts.start(item.id, move || {
            let result = item::perform(&link, &item, |report| match &item.work {
                Work::Script(work) => item::run_script(&config, link.boot_id, item.id, work, report),
                _ => Ok(item::blank(link.boot_id)),
            });
            let told = if link.is_withdrawn() {
                Err(LinkError::Withdrawn)
            } else {
                item::tell(&link, item.id, &result)
            };
            Done { item: item.id, fence: item.fence, result, told }
        });
    }

    fn dispatch(&self, item: &WorkItem, report: &Report) -> Result<ItemResult> {
        let root = &self.config.root;
        let mut result = item::blank(self.link.boot_id);
        match &item.work {
            Work::Inventory => result.inventory = Some(Box::new(self.inventory(report))),
            Work::SetupBmc { username, password } => {
                self.wait_for_bmc();
                result.bmc = match ipmi::Device::open(root) {
                    Some(mut bmc) => ipmi::set_up(&mut bmc, username, password)?,
                    None => None,
                };
            }
            Work::Script(work) => {
                return item::run_script(&self.config, self.link.boot_id, item.id, work, report);
            }
            Work::Install(work) => install::run(work, &self.config, report)?,
            Work::Erase { mode } => erase::run(root, *mode, report)?,
            Work::Rescue { authorized_keys } => rescue::run(authorized_keys, report)?,
            Work::Reboot | Work::PowerOff => nix::unistd::sync(),
        }
        Ok(result)
    }

    fn inventory(&self, report: &Report) -> Inventory {
        report.step("reading the hardware");
        let root = &self.config.root;
        // A virtual machine has no switch that would speak, and its links are up at once.
        let waited = if self.virtual_machine { Vec::new() } else { inventory::nics::physical(root) };
        let mut neighbours = self.lldp.neighbours(&waited);
        let mut found = inventory::read(root, self.config.boot_mac);
        self.wait_for_bmc();
        found.bmc = inventory::read_bmc(root);
        for interface in &mut found.interfaces {
            interface.lldp = neighbours.remove(&interface.name);
        }
        found
    }

    /// The kernel's IPMI driver takes its time; the firmware says whether it is worth waiting for.
    fn wait_for_bmc(&self) {
        let deadline = Instant::now() + BMC_DRIVER;
        while self.has_bmc && !ipmi::is_there(&self.config.root) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn ending(work: &Work) -> Option<Ending> {
    match work {
        Work::Reboot => Some(Ending::Reboot),
        Work::PowerOff => Some(Ending::PowerOff),
        Work::Inventory
        | Work::SetupBmc { .. }
        | Work::Script(_)
        | Work::Install(_)
        | Work::Erase { .. }
        | Work::Rescue { .. } => None,
    }
}

/// Makes the folder for scripts and blobs.
pub fn prepare(config: &Config) -> Result<()> {
    fs::create_dir_all(&config.work).map_err(crate::error::io("create", &config.work))
}
