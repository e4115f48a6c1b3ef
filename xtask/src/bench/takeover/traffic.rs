//! What machines do all the time: boot from the network, ask for addresses, read images by range. By busybox and curl.
//!
//! A boot is what firmware and iPXE do: a whole DHCP exchange, the boot loader by TFTP, the script by HTTP, and the kernel
//! and initial RAM disk that it names. Nothing of it is tried a second time, but for the exchange, as clients do by themselves.

use super::client::{Sample, longest_stall};
use super::dhcp::{DhcpClient, Manner, mac_of, racks};
use super::report::Figure;
use super::site::{Blob, Site};
use anyhow::{Context, Result, ensure};
use rackwright_lab::{Host, HostNic, ns};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Under which the figures stand.
const ROW: &str = "7 machines, while 2, 3 and 4 are done: DHCP, boots, images";
/// One boots by each rack.
const BOOTING: [&str; 2] = ["m-1", "m-2"];
const ASKING: &str = "m-3";
/// A host with an address of its own that reads images.
pub const READING: &str = "m-4";
/// A host for clients that were never seen before.
pub const NEW: &str = "m-5";
/// A host of a client that keeps its address.
pub const KEEPING: &str = "m-6";
/// Bytes of an image that are asked for at once.
const RANGE: u64 = 1 << 20;
/// A whole exchange is two messages, and racks look at five of a client each second.
const ASKS_EVERY: Duration = Duration::from_millis(500);
/// Where racks serve machines.
const PORT: u16 = 5248;

/// The hosts that play machines, on the machines' network.
pub fn hosts() -> Vec<Host> {
    let host = |name: &str| Host {
        name: name.to_owned(),
        nics: vec![HostNic {
            name: "eth0".to_owned(),
            vlan: "boot".to_owned(),
            addresses: if name == READING { vec!["10.77.0.104/24".to_owned()] } else { Vec::new() },
        }],
    };
    [BOOTING[0], BOOTING[1], ASKING, READING, NEW, KEEPING].map(host).into()
}

/// The address at which a rack serves machines.
pub fn rack_address(at: usize) -> String {
    format!("10.77.0.{}", 1 + at)
}

/// Something that is done again and again until it is stopped, with what became of it each time.
pub struct Repeating {
    what: &'static str,
    stop: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
    thread: Option<JoinHandle<()>>,
}

impl Repeating {
    /// Does it every so often, or as soon as the one before has ended.
    pub fn start(
        what: &'static str,
        every: Duration,
        mut once: impl FnMut() -> Result<()> + Send + 'static,
    ) -> Self {
        let (stop, samples): (Arc<AtomicBool>, Arc<Mutex<Vec<Sample>>>) = Default::default();
        let (stopped, kept) = (stop.clone(), samples.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let began = Instant::now();
                let outcome = once();
                let ended = Instant::now();
                let error = outcome.as_ref().err().map_or_else(String::new, |error| format!("{error:#}"));
                if let Ok(mut kept) = kept.lock() {
                    kept.push(Sample { began, ended, ok: outcome.is_ok(), name: None, error });
                }
                // Short, so that it can be stopped.
                while began.elapsed() < every && !stopped.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(20));
                }
            }
        });
        Self { what, stop, samples, thread: Some(thread) }
    }

    /// Ends it; failures are said.
    pub fn stop(mut self) -> Result<Vec<Sample>> {
        self.stop.store(true, Ordering::SeqCst);
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        ended.map_err(|_| anyhow::anyhow!("{}: the thread panicked", self.what))?;
        let samples = self.samples.lock().map_err(|_| anyhow::anyhow!("{}: panicked", self.what))?.clone();
        let failed = samples.iter().filter(|sample| !sample.ok).count();
        if let Some(first) = samples.iter().find(|sample| !sample.ok) {
            eprintln!("  {}: {failed} of {} failed, the first: {}", self.what, samples.len(), first.error);
        }
        Ok(samples)
    }
}

impl Drop for Repeating {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Machines that do all of it.
pub struct Traffic {
    began: Instant,
    boots: Vec<Repeating>,
    exchanges: Repeating,
    ranges: Repeating,
}

/// What became of it.
pub struct Served {
    from: Instant,
    until: Instant,
    boots: Vec<Vec<Sample>>,
    exchanges: Vec<Sample>,
    ranges: Vec<Sample>,
}

impl Traffic {
    /// Starts, once each has succeeded.
    pub fn start(site: &Site<'_>) -> Result<Self> {
        let racks = racks(site)?;
        let mut boots = Vec::new();
        for (at, host) in BOOTING.iter().enumerate() {
            let number = racks.get(at).or(racks.first()).context("no rack")?;
            let client = DhcpClient::new(site, host, mac_of(*number, &racks, 1, at as u8)?)?;
            let namespace = site.lab.namespace(host);
            boot(&namespace, &client).with_context(|| format!("the first boot of {host}"))?;
            boots.push(Repeating::start("boots", Duration::from_millis(500), move || {
                boot(&namespace, &client)
            }));
        }
        let client = DhcpClient::new(site, ASKING, mac_of(racks[0], &racks, 2, 1)?)?;
        client.exchange(Manner::Stock)?;
        let exchanges =
            Repeating::start("DHCP exchanges", ASKS_EVERY, move || client.exchange(Manner::Stock).map(drop));
        let (namespace, image) = (site.lab.namespace(READING), site.image.clone());
        let (mut number, count) = (0, site.cluster.racks());
        read_range(&namespace, &image, 0, 0)?;
        let ranges = Repeating::start("ranges of an image", Duration::from_millis(100), move || {
            number += 1;
            read_range(&namespace, &image, number % count, number as u64)
        });
        Ok(Self { began: Instant::now(), boots, exchanges, ranges })
    }

    /// Ends all of it.
    pub fn stop(self) -> Result<Served> {
        let until = Instant::now();
        let boots = self.boots.into_iter().map(Repeating::stop).collect::<Result<_>>()?;
        let (exchanges, ranges) = (self.exchanges.stop()?, self.ranges.stop()?);
        Ok(Served { from: self.began, until, boots, exchanges, ranges })
    }
}

impl Served {
    /// What the row asks for.
    pub fn figures(&self) -> Result<Vec<Figure>> {
        let failed = |samples: &[Sample]| samples.iter().filter(|sample| !sample.ok).count() as f64;
        let stall = |samples: &[Sample]| longest_stall(samples, self.from, self.until);
        let done: usize = self.boots.iter().map(Vec::len).sum();
        ensure!(done > 0, "no machine has booted");
        eprintln!(
            "  machines: {done} boots, {} exchanges, {} ranges meanwhile",
            self.exchanges.len(),
            self.ranges.len()
        );
        let others = failed(&self.exchanges) + failed(&self.ranges);
        let boots = self.boots.iter().map(|boots| stall(boots)).fold(0.0, f64::max);
        Ok(vec![
            Figure::at_most(0.0, "boots that failed", self.boots.iter().map(|b| failed(b)).sum()).under(ROW),
            Figure::at_most(0.0, "DHCP exchanges and ranges of images that failed", others).under(ROW),
            Figure::at_most(3.0, "longest stall of DHCP, s", stall(&self.exchanges)).under(ROW),
            Figure::at_most(3.0, "longest stall of boots, from one kernel to the next, s", boots).under(ROW),
            Figure::at_most(3.0, "longest stall of images, s", stall(&self.ranges)).under(ROW),
        ])
    }
}

/// A boot up to kernel and initial RAM disk, without running them.
fn boot(namespace: &str, client: &DhcpClient) -> Result<()> {
    let told = client.exchange(Manner::Firmware)?;
    ensure!(!told.file.is_empty(), "firmware is told no file: {told:?}");
    let loader =
        fetch(namespace, &format!("tftp://{}/{}", told.next, told.file), &["--tftp-blksize", "1428"])?;
    ensure!(loader > 10_000, "{}: {loader} bytes", told.file);
    let script = script(namespace, &told.next, &client.mac)?;
    for (word, least) in [("kernel http://", 1 << 20), ("initrd --name initrd http://", 1 << 20)] {
        let line = script.lines().find(|line| line.starts_with(word));
        let line = line.with_context(|| format!("no `{word}` in the script: {script}"))?;
        let url = line.split(' ').find(|word| word.starts_with("http://")).context("a URL")?;
        let size = fetch(namespace, url, &[])?;
        ensure!(size > least, "{url}: {size} bytes");
    }
    Ok(())
}

/// The boot script for a MAC, as iPXE asks for it.
pub fn script(namespace: &str, rack: &str, mac: &str) -> Result<String> {
    let url = format!("http://{rack}:{PORT}/boot/ipxe?mac={mac}&uuid=");
    let script = ns::run_for_text(ns::command(namespace, "curl").args(["-s", "-S", "-f", "-m", "5", &url]))?;
    ensure!(script.starts_with("#!ipxe"), "{script}");
    Ok(script)
}

fn read_range(namespace: &str, image: &Blob, rack: usize, number: u64) -> Result<()> {
    let ranges = (image.size / RANGE).max(1);
    let from = (number % ranges) * RANGE;
    let range = format!("{from}-{}", from + RANGE - 1);
    let size = fetch(namespace, &blob_url(rack, image), &["-r", &range])?;
    ensure!(size == RANGE.min(image.size - from), "{size} bytes of range {range}");
    Ok(())
}

/// Where a rack serves a blob.
pub fn blob_url(rack: usize, blob: &Blob) -> String {
    format!("http://{}:{PORT}/blob/{}", rack_address(rack), blob.sha256)
}

/// How many bytes curl got.
fn fetch(namespace: &str, url: &str, arguments: &[&str]) -> Result<u64> {
    let mut curl = ns::command(namespace, "curl");
    curl.args(["-s", "-S", "-f", "-m", "10", "-o", "/dev/null", "-w", "%{size_download}"]).args(arguments);
    let said = ns::run_for_text(curl.arg(url))?;
    said.trim().parse().with_context(|| said.clone())
}
