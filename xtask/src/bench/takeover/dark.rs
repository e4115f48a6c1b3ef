//! All regions and all databases are without power for a while; racks go on.
//!
//! What holds: machines do meanwhile what the row names, by programs that nobody here wrote: a client keeps its address,
//! new ones come, others boot by iPXE's steps, a QEMU machine whose boot decision is its disk is reset again and again (its
//! real iPXE has to be told the disk), names are asked for, and a whole image is read at a disk's pace and its hash compared.

use super::dhcp::{DhcpClient, Manner, mac_of, racks};
use super::report::Figure;
use super::site::Site;
use super::traffic::{KEEPING, NEW, READING, Repeating, Served, Traffic, blob_url, rack_address};
use anyhow::{Context, Result, ensure};
use rackwright_lab::process::ProcessId;
use rackwright_lab::qemu::BootOrder;
use rackwright_lab::{MachineHandle, ns, poll};
use serde_json::json;
use std::fs;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What the row is called.
pub const TELLS: &str = "all regions and databases without power: DHCP, DNS, reboots, an image being written";
/// A machine that boots its disk.
const MACHINE: &str = "bios-1";
/// A name that somebody entered, and what it leads to. The machine itself has no address before it is commissioned.
const NAME: (&str, &str) = ("www.rackwright.internal", "10.77.0.9");
/// Its firmware and iPXE are emulated, and the box may be busy.
const REBOOT: Duration = Duration::from_secs(90);
/// How long the site may take once there is power.
const LIGHT: Duration = Duration::from_secs(180);
/// The client's process.
const CLIENT: &str = "keeps-its-address";

/// Once, for as long as it was asked for.
pub fn all_regions(site: &Site<'_>, _run: &str) -> Result<Vec<Figure>> {
    let dark = Dark::begin(site)?;
    for at in 0..site.cluster.nodes() {
        site.cluster.kill(at, true)?;
    }
    let began = Instant::now();
    while began.elapsed() < site.dead && !site.interrupt.is_seen() {
        thread::sleep(Duration::from_millis(200));
    }
    let figures = dark.end();
    let light = Instant::now();
    for at in 0..site.cluster.nodes() {
        site.cluster.revive(at)?;
    }
    let mut figures = figures?;
    until_well(site).context("the power came back")?;
    figures.push(Figure::told("power is back: until all is well again, s", light.elapsed().as_secs_f64()));
    Ok(figures)
}

/// A region that starts before there is a database says so and ends; on a real box systemd starts it again.
fn until_well(site: &Site<'_>) -> Result<()> {
    let began = Instant::now();
    loop {
        site.interrupt.check()?;
        site.put_back();
        match site.settle() {
            Ok(()) => return Ok(()),
            Err(error) if began.elapsed() > LIGHT => return Err(error),
            Err(_) => thread::sleep(Duration::from_secs(1)),
        }
    }
}

/// What machines do meanwhile.
struct Dark<'a> {
    site: &'a Site<'a>,
    traffic: Traffic,
    client: ProcessId,
    renewals: Repeating,
    strangers: Repeating,
    reboots: Repeating,
    names: Repeating,
    writing: JoinHandle<Result<String>>,
    machine: MachineHandle,
}

impl<'a> Dark<'a> {
    fn begin(site: &'a Site<'a>) -> Result<Self> {
        let racks = racks(site)?;
        let traffic = Traffic::start(site)?;
        let keeping = DhcpClient::new(site, KEEPING, mac_of(racks[0], &racks, 3, 1)?)?;
        let had = keeping.start(site.lab, CLIENT)?.address;
        let client = site.lab.process(CLIENT).context("the client has ended")?;
        let machine = known_machine(site)?;
        let logs = (0..racks.len()).map(|at| site.lab.process_log(&site.cluster.rack_name(at)));
        let rebooted = Rebooted { machine: site.lab.machine(MACHINE)?, logs: logs.collect() };
        // A first time while there are regions, as it was when it was deployed: it has an address and a name from then on.
        rebooted.once()?;
        until_named(site)?;
        let writing = write_image(site);
        let running = client.clone();
        let renewals = Repeating::start("renewals", Duration::from_secs(5), move || {
            let told = keeping.renew(&running)?;
            ensure!(told.address == had, "it had {had} and was told {told:?}");
            Ok(())
        });
        let (mut stranger, mut member, known) =
            (DhcpClient::new(site, NEW, mac_of(racks[0], &racks, 4, 0)?)?, 0, racks.clone());
        let strangers = Repeating::start("new clients", Duration::from_secs(20), move || {
            member += 1;
            stranger.mac = mac_of(known[usize::from(member) % known.len()], &known, 4, member)?;
            stranger.take_over()?;
            stranger.exchange(Manner::Stock).map(drop)
        });
        let reboots = Repeating::start("reboots", Duration::from_secs(20), move || rebooted.once());
        let (namespace, mut asked) = (site.cluster.client_namespace(), 0);
        let names = Repeating::start("names", Duration::from_secs(1), move || {
            asked += 1;
            look_up(&namespace, &rack_address(asked % racks.len()))
        });
        Ok(Self { site, traffic, client, renewals, strangers, reboots, names, writing, machine })
    }

    fn end(self) -> Result<Vec<Figure>> {
        let image = &self.site.image;
        // It ends by itself a little before the power is back; until then it still counts.
        let written = match self.writing.join() {
            Ok(Ok(hash)) if hash == image.sha256 => 0.0,
            Ok(outcome) => {
                eprintln!("  the image that was written: {outcome:?}");
                1.0
            }
            Err(_) => 1.0,
        };
        let renewals = self.renewals.stop()?;
        let strangers = self.strangers.stop()?;
        let reboots = self.reboots.stop()?;
        let names = self.names.stop()?;
        let served: Served = self.traffic.stop()?;
        self.client.stop(Duration::from_secs(5))?;
        self.machine.stop()?;
        let failed = |samples: &[super::client::Sample]| samples.iter().filter(|s| !s.ok).count() as f64;
        let slowest = |samples: &[super::client::Sample]| {
            samples.iter().map(|s| (s.ended - s.began).as_secs_f64()).fold(0.0, f64::max)
        };
        eprintln!(
            "  {} renewals, {} new clients, {} reboots, {} names",
            renewals.len(),
            strangers.len(),
            reboots.len(),
            names.len()
        );
        ensure!(!renewals.is_empty() && !strangers.is_empty(), "nothing was asked for");
        let mut figures = vec![
            Figure::told("minutes without any region", self.site.dead.as_secs_f64() / 60.0),
            Figure::at_most(0.0, "renewals that failed, or changed the address", failed(&renewals)),
            // No limit: udhcpc loses an answer that comes before it has closed the socket it asked by, and asks again after 3 s.
            Figure::told("slowest renewal, s", slowest(&renewals)),
            Figure::at_most(0.0, "new clients without an address", failed(&strangers)),
            Figure::at_most(0.0, "reboots to the local disk that failed", failed(&reboots)),
            Figure::told("reboots", reboots.len() as f64),
            Figure::at_most(0.0, "names that racks did not resolve", failed(&names)),
            Figure::at_most(0.0, "images that were not written whole", written),
        ];
        figures.extend(served.figures()?.into_iter().map(|figure| figure.under(TELLS)));
        Ok(figures)
    }
}

/// The QEMU machine, entered unless it is, off.
fn known_machine(site: &Site<'_>) -> Result<MachineHandle> {
    let machines = site.ask_until("/api/v1/machines")?;
    let known =
        machines["items"].as_array().is_some_and(|items| items.iter().any(|m| m["hostname"] == MACHINE));
    if !known {
        site.cluster.enter_machines()?;
        // Racks are told of it.
        thread::sleep(Duration::from_secs(3));
        site.cluster.until_racks_serve(Duration::from_secs(60))?;
    }
    site.lab.machine(MACHINE)
}

/// Resets the machine, and finds in the racks' logs that it was told its disk.
struct Rebooted {
    machine: MachineHandle,
    logs: Vec<std::path::PathBuf>,
}

impl Rebooted {
    fn once(&self) -> Result<()> {
        let before = self.count();
        if self.machine.is_on() {
            self.machine.reset(BootOrder::NetworkFirst)?;
        } else {
            self.machine.start(BootOrder::NetworkFirst)?;
        }
        poll::until(REBOOT, &format!("{MACHINE} to be told its disk"), || {
            Ok((self.count() > before).then_some(()))
        })
    }

    /// How often racks told it so.
    fn count(&self) -> usize {
        let numbers = self.machine.plan().nics.first().map(|nic| {
            let parts = nic.mac.split(':').filter_map(|part| u8::from_str_radix(part, 16).ok());
            parts.map(|part| part.to_string()).collect::<Vec<_>>().join(", ")
        });
        let Some(mac) = numbers else { return 0 };
        let lines = |log: &std::path::PathBuf| {
            let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
            text.lines().filter(|line| line.contains("local disk") && line.contains(&mac)).count()
        };
        self.logs.iter().map(lines).sum()
    }
}

/// Reads the whole image at such a pace that it takes most of the time; its hash.
fn write_image(site: &Site<'_>) -> JoinHandle<Result<String>> {
    let seconds = site.dead.as_secs_f64() * 0.9;
    let pace = (site.image.size as f64 / seconds).ceil() as u64;
    let url = blob_url(0, &site.image);
    let namespace = site.lab.namespace(READING);
    thread::spawn(move || {
        let script = "set -o pipefail; curl -s -S -f --limit-rate \"$0\" \"$1\" | sha256sum";
        let mut bash = ns::command(&namespace, "bash");
        let said = ns::run_for_text(bash.args(["-c", script, &pace.to_string(), &url]))?;
        Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
    })
}

/// Enters a name, and gives the racks time to hear of it. Whether they have is what the row measures.
fn until_named(site: &Site<'_>) -> Result<()> {
    let record = json!({ "name": NAME.0, "type": "A", "data": NAME.1 });
    site.cluster.ask(|api| api.post("/api/v1/dns-records", &record))?;
    let namespace = site.cluster.client_namespace();
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        site.interrupt.check()?;
        let named = |at| look_up(&namespace, &rack_address(at)).is_ok();
        if (0..site.cluster.racks()).all(named) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(500));
    }
    eprintln!("  the racks do not resolve {}: its row will say so", NAME.0);
    Ok(())
}

/// Asks a rack for a name of the site.
fn look_up(namespace: &str, rack: &str) -> Result<()> {
    let mut dig = ns::command(namespace, "dig");
    dig.args(["+short", "+time=2", "+tries=1", &format!("@{rack}"), NAME.0]);
    let said = ns::run_for_text(&mut dig)?;
    ensure!(said.trim() == NAME.1, "{} is {:?}", NAME.0, said.trim());
    Ok(())
}
