//! One round: deploys begin, a fault comes and goes, all of it has to end well, the machines are given back.

use super::fault::{Fault, Kind, Targets};
use super::machine::Machine;
use super::random::Random;
use super::watch::{self, Deploy, wrong_effects};
use crate::cluster::Cluster;
use crate::simulated::life;
use anyhow::{Context, Result};
use rackwright_lab::Lab;
use serde::Serialize;
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Until when a deploy has to be over after its faults were taken back: claims, BMCs' patience and restarts in between.
const LIMIT: Duration = Duration::from_secs(300);
/// Until when everything has come back.
const BACK: Duration = Duration::from_secs(120);

/// In each round so many want an address and nothing else.
const STRANGERS: u8 = 3;

/// What faults are done to.
pub struct Site<'a> {
    /// Where it is.
    pub lab: &'a Lab,
    /// Its boxes.
    pub cluster: Cluster<'a>,
    /// Its machines.
    pub machines: Vec<Machine>,
    /// What they install.
    pub image: String,
}

/// A fault, and when.
#[derive(Debug)]
pub struct Planned {
    /// Which it is.
    pub kind: Kind,
    fault: Fault,
    /// Seconds after the deploys began.
    wait: u64,
    /// Seconds.
    lasts: u64,
}

/// What is done in the next round: one fault or two, but not two of one thing, as the second would undo the first.
pub fn plan(random: &mut Random, targets: &Targets) -> Vec<Planned> {
    let mut draw = || {
        let (kind, fault) = Fault::draw(random, targets);
        Planned { kind, fault, wait: random.below(8) as u64, lasts: 4 + random.below(7) as u64 }
    };
    let (first, second) = (draw(), draw());
    let both = random.below(2) == 0 && !second.fault.is_like(&first.fault);
    if both { vec![first, second] } else { vec![first] }
}

impl Planned {
    fn text(&self) -> String {
        format!("after {} s for {} s, {}", self.wait, self.lasts, self.fault)
    }
}

/// A deploy of a round.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Which machine.
    pub machine: String,
    /// Status in which it ended.
    pub ended: String,
    /// Why, when it is a failed one.
    pub message: String,
    /// How long it took.
    pub seconds: f64,
}

/// What came of a round.
#[derive(Debug, Serialize)]
pub struct Round {
    seed: u64,
    number: usize,
    /// Of its faults.
    pub kinds: Vec<Kind>,
    /// What was done, when after the deploys began, and for how long.
    faults: Vec<String>,
    /// What the machines made of it.
    pub deploys: Vec<Outcome>,
    /// Until everything had come back, after the fault was taken back.
    back: f64,
    /// What should not have been.
    pub violations: Vec<String>,
}

impl Site<'_> {
    /// Makes every machine ready for the first round.
    pub fn commission(&self) -> Result<()> {
        let operations = self.begin("commission", &json!({}))?;
        for (machine, operation) in self.machines.iter().zip(operations) {
            let ended = life::until_over(&self.cluster, &machine.id, operation, LIMIT)?;
            anyhow::ensure!(ended.machine == "ready", "{}: {ended:?}", machine.name);
        }
        Ok(())
    }

    /// Asks for an action of every machine; the operations.
    pub fn begin(&self, action: &str, body: &serde_json::Value) -> Result<Vec<i64>> {
        self.machines.iter().map(|machine| life::begin(&self.cluster, &machine.id, action, body)).collect()
    }

    /// One round.
    pub fn round(&self, seed: u64, number: usize, random: &mut Random) -> Result<Round> {
        let machines = self.machines.iter().map(|machine| machine.name.clone()).collect();
        let faults = plan(random, &Targets::of(&self.cluster, machines));
        let mut round = Round {
            seed,
            number,
            kinds: faults.iter().map(|planned| planned.kind).collect(),
            faults: faults.iter().map(Planned::text).collect(),
            deploys: Vec::new(),
            back: 0.0,
            violations: Vec::new(),
        };
        let began = SystemTime::now();
        let operations = self.begin("deploy", &json!({ "image": self.image }))?;
        thread::scope(|scope| {
            let acting: Vec<_> = faults.iter().map(|planned| scope.spawn(|| self.does(planned))).collect();
            for stranger in 0..STRANGERS {
                let mac = format!("02:00:00:{:02x}:{number:02x}:{stranger:02x}", seed & 0xff);
                watch::stranger(self.lab, &mac)?;
            }
            let ended =
                acting.into_iter().map(|one| one.join().unwrap_or_else(|_| anyhow::bail!("it panicked")));
            ended.collect::<Result<Vec<()>>>()
        })?;
        let ended = Instant::now();
        if let Err(error) = self.comes_back() {
            round.violations.push(format!("after {}: {error:#}", round.faults.join(" and ")));
        }
        round.back = ended.elapsed().as_secs_f64();
        for (machine, operation) in self.machines.iter().zip(operations) {
            self.judge(&mut round, machine, operation, began);
        }
        self.give_back(&mut round)?;
        Ok(round)
    }

    fn does(&self, planned: &Planned) -> Result<()> {
        let Planned { fault, wait, lasts, .. } = planned;
        thread::sleep(Duration::from_secs(*wait));
        fault.begin(self.lab, &self.cluster).with_context(|| fault.to_string())?;
        thread::sleep(Duration::from_secs(*lasts));
        fault.end(self.lab, &self.cluster).with_context(|| format!("the end of: {fault}"))
    }

    /// Whether all that was started runs and is well again.
    fn comes_back(&self) -> Result<()> {
        self.cluster.until_healthy(BACK)?;
        (0..self.cluster.nodes()).try_for_each(|at| self.cluster.until_ready(at))?;
        self.cluster.until_racks_serve(BACK)
    }

    /// How the deploy of a machine ended, and whether all that was done to it was right.
    fn judge(&self, round: &mut Round, machine: &Machine, operation: i64, began: SystemTime) {
        let (id, name) = (&machine.id, &machine.name);
        let outcome = match life::until_over(&self.cluster, id, operation, LIMIT) {
            Ok(ended) => ended,
            Err(error) => {
                round.violations.push(format!("{name}: {error:#}"));
                return;
            }
        };
        let failed = outcome.machine.starts_with("failed") && !outcome.message.is_empty();
        if outcome.machine != "deployed" && !failed {
            round.violations.push(format!("{name} ended in {}: {:?}", outcome.machine, outcome.message));
        }
        match self.tries_told(operation).and_then(|told| Ok((told, machine.acts(self.lab)?))) {
            Ok((tries_told, acts)) => {
                let deploy = Deploy { operation, began, tries_told };
                let wrong = wrong_effects(&deploy, &acts, &machine.story());
                round.violations.extend(wrong.into_iter().map(|what| format!("{name}: {what}")));
            }
            Err(error) => round.violations.push(format!("{name}: {error:#}")),
        }
        round.deploys.push(Outcome {
            machine: name.clone(),
            ended: outcome.machine,
            message: outcome.message,
            seconds: began.elapsed().map_or(0.0, |took| took.as_secs_f64()),
        });
    }

    /// How many further tries with the power the operation's events tell of.
    pub fn tries_told(&self, operation: i64) -> Result<usize> {
        let path = format!("/api/v1/events?operation={operation}&limit=1000");
        let told = self.cluster.ask(|api| api.get(&path))?;
        let events = told["items"].as_array().context("a list of events")?;
        let is_try = |event: &&serde_json::Value| {
            let message = event["message"].as_str().unwrap_or_default();
            event["level"] == "warning" && (message.contains("again") || message.contains("cycle"))
        };
        Ok(events.iter().filter(is_try).count())
    }

    /// Releases every machine, which also ends each failure.
    fn give_back(&self, round: &mut Round) -> Result<()> {
        let operations = self.begin("release", &json!({ "erase": "none" }))?;
        for (machine, operation) in self.machines.iter().zip(operations) {
            let ended = life::until_over(&self.cluster, &machine.id, operation, LIMIT)?;
            if ended.machine != "ready" {
                round.violations.push(format!("{} is not released: {ended:?}", machine.name));
            }
        }
        Ok(())
    }
}

impl Round {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for fault in &self.faults {
            text.push_str(&format!("seed {} round {}: {fault}\n", self.seed, self.number));
        }
        text.push_str(&format!("    all is back {:.0} s later\n", self.back));
        for deploy in &self.deploys {
            let Outcome { machine, ended, message, seconds } = deploy;
            text.push_str(&format!("    {machine} {ended} after {seconds:.0} s {message}\n"));
        }
        for violation in &self.violations {
            text.push_str(&format!("    VIOLATED: {violation}\n"));
        }
        text
    }
}
