//! The loop of the agent's life: say hello, ask for an item, do it, tell the result, ask again.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::inventory::ipmi;
use crate::inventory::lldp::Listener;
use crate::inventory::smbios::Smbios;
use crate::link::{Link, LinkError};
use crate::network::Network;
use crate::power::Ending;
use crate::report::Report;
use crate::{erase, identity, install, inventory, rescue, script};
use rackwright_common::agent::{Hello, HelloReply, ItemResult, Next, NextReply, Work, WorkItem};
use rackwright_common::id::Fence;
use rackwright_common::inventory::Inventory;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a region may keep a request for work waiting, seconds.
const WAIT_SECONDS: u32 = 20;
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
    last: Option<(i64, Fence, ItemResult)>,
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
    let mut session =
        Session { config, link, lldp, virtual_machine, has_bmc: smbios.has_bmc, highest: None, last: None };
    match session.live(&smbios) {
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
            let next = Next { boot_id: self.link.boot_id, wait_seconds: WAIT_SECONDS };
            let patience = Duration::from_secs(u64::from(WAIT_SECONDS));
            let asked = Instant::now();
            let reply: NextReply = self.link.ask("/agent/v1/next", &next, patience)?;
            match reply.item {
                Some(item) => {
                    if let Some(ending) = self.take(item)? {
                        return Ok(ending);
                    }
                }
                // A region that does not wait is not asked more than once a second.
                None => std::thread::sleep(Duration::from_secs(1).saturating_sub(asked.elapsed())),
            }
        }
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

    /// Does one item and tells its result until it is heard.
    fn take(&mut self, item: WorkItem) -> std::result::Result<Option<Ending>, LinkError> {
        let path = format!("/agent/v1/items/{}/result", item.id);
        if let Some(highest) = self.highest.filter(|highest| item.fence < *highest) {
            let error = format!(
                "operation {} epoch {} is older than operation {} epoch {}, which this machine has seen",
                item.fence.operation, item.fence.epoch, highest.operation, highest.epoch
            );
            println!("rackwright-agent: item {} refused: {error}", item.id);
            self.forgive(self.link.tell(&path, &self.result(Err(Error::refused(error)), Duration::ZERO)))?;
            return Ok(None);
        }
        self.highest = Some(item.fence);
        // Given again although it was done: the result got lost on its way. Only a failure under a new epoch is a
        // wish to try again.
        let repeat = self
            .last
            .as_ref()
            .filter(|(id, fence, told)| *id == item.id && (told.ok || *fence == item.fence));
        if let Some((_, _, result)) = repeat {
            self.forgive(self.link.tell(&path, result))?;
            return Ok(ending(&item.work));
        }
        let result = self.perform(&item);
        if self.link.is_withdrawn() {
            return Err(LinkError::Withdrawn);
        }
        self.last = Some((item.id, item.fence, result.clone()));
        let told = self.forgive(self.link.tell(&path, &result));
        match ending(&item.work) {
            // A token that is withdrawn now changes nothing about how this boot ends.
            Some(ending) => Ok(Some(ending)),
            None => told.map(|()| None),
        }
    }

    /// A result that the region will not have is no reason to stop: it knows what it wants next.
    fn forgive(&self, told: std::result::Result<(), LinkError>) -> std::result::Result<(), LinkError> {
        match told {
            Err(LinkError::Refused(status)) => {
                eprintln!("rackwright-agent: the region refuses the result (status {status})");
                Ok(())
            }
            other => other,
        }
    }

    fn perform(&self, item: &WorkItem) -> ItemResult {
        let started = Instant::now();
        println!("rackwright-agent: item {}: {}", item.id, name(&item.work));
        let (report, sender) = Report::start(self.link.clone(), item.id);
        let done = self.dispatch(item, &report);
        if let Err(error) = &done {
            report.log(&format!("error: {}\n", error.sentence()));
        }
        report.finish(sender);
        let result = self.result(done, started.elapsed());
        let word = if result.ok { "done" } else { result.error.as_str() };
        println!("rackwright-agent: item {}: {word} ({} ms)", item.id, result.duration_ms);
        result
    }

    fn dispatch(&self, item: &WorkItem, report: &Report) -> Result<ItemResult> {
        let root = &self.config.root;
        let mut result = self.blank();
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
                let outcome = script::run(work, item.id, &self.config.work, report)?;
                if let Some(verdict) = script::verdict(&outcome, work) {
                    (result.ok, result.error) = (false, verdict);
                }
                result.script = Some(outcome);
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

    fn blank(&self) -> ItemResult {
        ItemResult {
            boot_id: self.link.boot_id,
            ok: true,
            error: String::new(),
            inventory: None,
            bmc: None,
            script: None,
            duration_ms: 0,
        }
    }

    fn result(&self, done: Result<ItemResult>, took: Duration) -> ItemResult {
        let result =
            done.unwrap_or_else(|error| ItemResult { ok: false, error: error.sentence(), ..self.blank() });
        ItemResult { duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX), ..result }
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

fn name(work: &Work) -> &str {
    match work {
        Work::Inventory => "inventory",
        Work::SetupBmc { .. } => "set up the BMC",
        Work::Script(script) => &script.name,
        Work::Install(_) => "install",
        Work::Erase { .. } => "erase",
        Work::Rescue { .. } => "rescue",
        Work::Reboot => "reboot",
        Work::PowerOff => "power off",
    }
}

/// Makes the folder for scripts and blobs.
pub fn prepare(config: &Config) -> Result<()> {
    fs::create_dir_all(&config.work).map_err(crate::error::io("create", &config.work))
}
