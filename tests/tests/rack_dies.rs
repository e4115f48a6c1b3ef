//! A machine is deployed while the racks of its network lose their power, one after the other: the one that sends the kernel,
//! the one that sends the image, the one that cloud-init reports to. Each time the machine goes on at the other rack. What it asks, and
//! of whom, is read from the wire.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use anyhow::{Context, Result, ensure};
use rackwright_lab::{Lab, Machine, MachineHandle, ns, poll, process};
use rackwright_tests::controllers::Controllers;
use rackwright_tests::site::{LIMIT, SHORT};
use serde_json::Value;
use std::time::Instant;

const RACKS: [&str; 2] = ["rack-1", "rack-2"];
/// What a rack sends at first: so slowly that its last moment can be chosen.
const SLOW: &str = "30mbit";

/// One request of a machine.
#[derive(Debug, Clone)]
struct Request {
    /// The host that it was sent to.
    rack: &'static str,
    /// First line and headers.
    text: String,
}

/// Requests to racks, as they cross the network of the machines.
struct Wire<'a>(&'a Lab);

impl<'a> Wire<'a> {
    fn listen(lab: &'a Lab) -> Result<Self> {
        let mut command = lab.exec("site", "tcpdump");
        // With something in them; 0x47455420 and 0x504f5354 are GET and POST.
        let starts = "tcp dst port 5248 and (tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420 or tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x504f5354)";
        command.args(["-i", "br-boot", "-n", "-l", "-A", "-s", "600", starts]);
        lab.spawn("wire", &command)?;
        poll::until(SHORT, "tcpdump to listen", || {
            let said = process::tail(&lab.process_log("wire"), 5);
            ensure!(said.contains("listening on"), "{said}");
            Ok(Some(()))
        })?;
        Ok(Self(lab))
    }

    fn requests(&self) -> Vec<Request> {
        let bytes = std::fs::read(self.0.process_log("wire")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut requests: Vec<Request> = Vec::new();
        for line in text.lines() {
            let to = |at: usize| line.contains(&format!(" > 10.77.0.{}.5248: ", at + 1));
            if let Some(at) = (0..RACKS.len()).find(|at| to(*at)) {
                requests.push(Request { rack: RACKS[at], text: String::new() });
            } else if let Some(last) = requests.last_mut() {
                last.text.push_str(line.trim());
                last.text.push('\n');
            }
        }
        requests
    }

    /// The last request that holds `what`, of those after the first `from`.
    fn last(&self, from: usize, what: &str) -> Result<Request> {
        let requests = self.requests();
        let found = requests.iter().skip(from).rev().find(|request| request.text.contains(what));
        found.cloned().with_context(|| format!("no {what} in {} requests", requests.len()))
    }
}

/// The rack that is sending something large to a machine: what it has written waits for the wire.
fn sending(lab: &Lab) -> Result<&'static str> {
    for rack in RACKS {
        let sockets =
            ns::run_for_text(lab.exec(rack, "ss").args(["-Htn", "state", "established", "sport = :5248"]))?;
        let waiting = sockets.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        if waiting.max().unwrap_or(0) > 100_000 {
            return Ok(rack);
        }
    }
    anyhow::bail!("nobody sends")
}

struct Scene<'a> {
    site: &'a Controllers,
    machine: &'a MachineHandle,
    wire: Wire<'a>,
    id: &'a str,
}

impl Scene<'_> {
    /// Waits for a moment, cuts the power of the rack that it names, and waits until the machine goes on at the other one.
    fn dies(&self, moment: impl Fn() -> Result<&'static str>, goes_on: &str) -> (&'static str, Request) {
        let dead = poll::until(LIMIT, &format!("the moment before {goes_on:?}"), || {
            self.is_deploying()?;
            moment().map(Some)
        })
        .unwrap();
        let from = self.wire.requests().len();
        self.site.cut_power(dead).unwrap();
        let died = Instant::now();
        let alive = poll::until(LIMIT, &format!("{goes_on:?} at the other rack"), || {
            self.is_deploying()?;
            let request = self.wire.last(from, goes_on)?;
            ensure!(request.rack != dead, "{request:?}");
            Ok(Some(request))
        })
        .unwrap();
        println!("{dead} died; {goes_on} at {} after {:.1} s", alive.rack, died.elapsed().as_secs_f64());
        (dead, alive)
    }

    fn is_deploying(&self) -> Result<()> {
        let machine = self.site.ask("region-1", &["machine", "show", self.id])?;
        let status = machine["status"].as_str().unwrap_or_default();
        assert!(!status.starts_with("failed"), "{}", machine["status_message"]);
        Ok(())
    }

    /// A rack's box has power again; waits until it serves what the others serve.
    fn comes_back(&self, rack: &str) {
        self.site.set_cables(rack, true).unwrap();
        self.site.restart_rack(rack).unwrap();
        until_serving(self.site, rack);
    }

    fn console_says(&self, what: &str, since: usize) -> bool {
        self.machine.serial().get(since..).is_some_and(|text| text.contains(what))
    }
}

fn until_serving(site: &Controllers, rack: &str) {
    poll::until(SHORT, &format!("{rack} to run its newest picture"), || {
        let told = site.ask("region-1", &["rack", "list"])?;
        let racks = told.as_array().or(told["items"].as_array()).context("a list")?;
        let found = racks.iter().find(|r| r["name"] == rack).context("it is not known")?;
        let heard = found["regions"].as_array().is_some_and(|regions| !regions.is_empty());
        ensure!(heard && found["running"] == found["generation"], "{found} {}", site.log_tail(rack));
        Ok(Some(()))
    })
    .unwrap();
}

fn set_rate(lab: &Lab, verb: &str) {
    for rack in RACKS {
        let mut tc = lab.exec(rack, "tc");
        tc.args(["qdisc", verb, "dev", "eth1", "root"]);
        if verb == "add" {
            tc.args(["tbf", "rate", SLOW, "burst", "128kb", "latency", "300ms"]);
        }
        ns::run(&mut tc).unwrap();
    }
}

/// What the BMC did to its machine, without what it only told. A simulator that is asked twice, because its answer was late, does
/// it twice, one directly after the other, which changes nothing.
fn power_acts(machine: &MachineHandle) -> Vec<String> {
    let log = std::fs::read_to_string(machine.folder().join("chassis.log")).unwrap();
    let acts = log.lines().filter_map(|line| line.split_once(' '));
    let acts = acts.filter_map(|(_, call)| call.split_once(" = ").map(|(act, _)| act.trim().to_owned()));
    let mut acts: Vec<_> = acts.filter(|act| act.starts_with("set ") && !act.contains("identify")).collect();
    acts.dedup();
    acts
}

/// The machine as a region knows it: entered by hand, with its BMC, commissioned.
fn ready_machine(site: &Controllers, machine: &MachineHandle) -> String {
    let made = site
        .ask("region-1", &["machine", "create", "--hostname", "m1", "--mac", &machine.plan().nics[0].mac])
        .unwrap();
    let id = made["id"].as_str().unwrap().to_owned();
    site.set_bmc("region-1", &id, "m1").unwrap();
    site.ask("region-1", &["machine", "commission", &id]).unwrap();
    let ready = |m: &Value| m["status"] == "ready" && m["operation"].is_null();
    site.until("region-1", &id, "ready", LIMIT, ready).unwrap();
    id
}

#[test]
fn racks_die_in_the_middle_of_a_deploy_and_the_machine_goes_on_at_the_other() {
    let machines = vec![Machine::bios("m1").with_ipmi_sim(11)];
    let site = Controllers::new("charack", 1, 2, machines).unwrap();
    site.start_database("db-1").unwrap();
    site.start_first_region("region-1", "db-1").unwrap();
    for rack in RACKS {
        site.start_rack("region-1", rack).unwrap();
    }
    site.load_images("region-1", &["bootloaders", "ephemeral", "debian-12"]).unwrap();
    for (setting, value) in [
        ("ephemeral_kernel_arguments", "console=ttyS0 no_timer_check"),
        ("installed_kernel_arguments", "console=ttyS0 no_timer_check"),
        ("default_tests", "[]"),
    ] {
        site.ask("region-1", &["setting", "set", setting, value]).unwrap();
    }
    RACKS.iter().for_each(|rack| until_serving(&site, rack));
    let machine = site.lab().machine("m1").unwrap();
    let id = ready_machine(&site, &machine);
    let before = power_acts(&machine).len();
    let begun = Instant::now();

    let scene = Scene { site: &site, machine: &machine, wire: Wire::listen(site.lab()).unwrap(), id: &id };
    set_rate(site.lab(), "add");
    site.ask("region-1", &["machine", "deploy", &id, "--image", "debian-12"]).unwrap();

    // Firmware that waits for more of the kernel, or of the first file system.
    let loading = || {
        ensure!(!scene.console_says("installing to", 0), "the boot loader was not caught at work");
        sending(site.lab())
    };
    let (dead, _) = scene.dies(loading, "/agent/v1/");
    set_rate(site.lab(), "del");
    scene.comes_back(dead);

    // The agent, in the middle of the image: the rest of it comes from the other rack, and no more than that.
    let writing = || {
        ensure!(scene.console_says("installing to", 0), "it does not write yet");
        sending(site.lab())
    };
    let (dead, request) = scene.dies(writing, "GET /blob/");
    let range = request.text.to_lowercase();
    let from = range.split_once("range: bytes=").map(|(_, rest)| rest.split('-').next().unwrap_or_default());
    assert!(from.is_some_and(|from| from.parse::<u64>().is_ok_and(|byte| byte > 0)), "{request:?}");
    scene.comes_back(dead);

    // cloud-init, which knows a name for all racks.
    let reporting = || Ok(scene.wire.last(0, "POST /MAAS/metadata/status")?.rack);
    let (dead, _) = scene.dies(reporting, "POST /MAAS/metadata/status");

    let done = |m: &Value| m["status"] == "deployed" && m["operation"].is_null();
    site.until("region-1", &id, "deployed", LIMIT, done).unwrap();
    assert_eq!(power_acts(&machine)[before..], ["set boot pxe", "set power 1"], "each once");
    let messages = site.ask("region-1", &["event", "list", "--machine", &id, "--limit", "1000"]).unwrap();
    let told = messages.to_string();
    assert!(!told.contains("stopped reporting") && !told.contains("power cycle"), "{told}");
    println!("deployed after {:.0} s, through three power cuts", begun.elapsed().as_secs_f64());
    is_declared_off_and_taken_back(&scene, dead);
}

/// What the operator's page says about a rack that stays dead, and about one that speaks again.
fn is_declared_off_and_taken_back(scene: &Scene<'_>, dead: &str) {
    let site = scene.site;
    let refused = site.attempt("region-1", &["rack", "delete", dead]).unwrap();
    assert!(refused.code == 1 && refused.error.contains("rack fence"), "{refused:?}");
    let fence = site.ask("region-1", &["rack", "fence", dead]).unwrap();
    assert!(fence["blocks_free_at"].is_string(), "{fence}");
    let fenced_at = || -> Result<Value> {
        let racks = site.ask("region-1", &["status"])?["racks"].clone();
        let all = racks.as_array().context("a list")?;
        Ok(all.iter().find(|r| r["name"] == dead).context("it is not known")?["fenced_at"].clone())
    };
    assert!(fenced_at().unwrap().is_string());
    scene.comes_back(dead);
    poll::until(SHORT, &format!("{dead} to be taken back"), || {
        let at = fenced_at()?;
        ensure!(at.is_null(), "declared off at {at}");
        Ok(Some(()))
    })
    .unwrap();
}
