//! One round: deploys begin, a fault comes and goes, all of it has to end well, the machines are given back.

use super::fault::Fault;
use super::random::Random;
use super::watch::{Deploy, wrong_effects};
use crate::cluster::Cluster;
use crate::simulated::{Simulated, chassis, images, life};
use anyhow::{Context, Result};
use rackwright_lab::Lab;
use serde::Serialize;
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Until when a deploy has to be over after its fault was taken back: claims, BMCs' patience and restarts in between.
const LIMIT: Duration = Duration::from_secs(240);
/// Until when everything has come back.
const BACK: Duration = Duration::from_secs(120);

/// What faults are done to.
pub struct Site<'a> {
    /// Where it is.
    pub lab: &'a Lab,
    /// Its boxes.
    pub cluster: Cluster<'a>,
    /// Identifiers of the machines, and who plays them.
    pub machines: Vec<(String, Simulated)>,
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
    /// What was done, when after the deploys began, and for how long.
    faults: Vec<(String, u64, u64)>,
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
        for ((id, played), operation) in self.machines.iter().zip(operations) {
            let ended = life::until_over(&self.cluster, id, operation, LIMIT)?;
            anyhow::ensure!(ended.machine == "ready", "{}: {ended:?}", played.name);
        }
        Ok(())
    }

    fn begin(&self, action: &str, body: &serde_json::Value) -> Result<Vec<i64>> {
        self.machines.iter().map(|(id, _)| life::begin(&self.cluster, id, action, body)).collect()
    }

    /// One round.
    pub fn round(&self, seed: u64, number: usize, random: &mut Random) -> Result<Round> {
        let names: Vec<_> = self.machines.iter().map(|(_, played)| played.name.clone()).collect();
        let fault = Fault::draw(random, &self.cluster, &names);
        let (wait, lasts) = (random.below(8) as u64, 4 + random.below(10) as u64);
        let mut round = Round {
            seed,
            number,
            faults: vec![(fault.to_string(), wait, lasts)],
            deploys: Vec::new(),
            back: 0.0,
            violations: Vec::new(),
        };
        let began = SystemTime::now();
        let operations = self.begin("deploy", &json!({ "image": images::SYSTEM }))?;
        thread::sleep(Duration::from_secs(wait));
        fault.begin(self.lab, &self.cluster).with_context(|| format!("{fault}"))?;
        thread::sleep(Duration::from_secs(lasts));
        fault.end(self.lab, &self.cluster).with_context(|| format!("the end of: {fault}"))?;
        let ended = Instant::now();
        if let Err(error) = self.comes_back() {
            round.violations.push(format!("after {fault}: {error:#}"));
        }
        round.back = ended.elapsed().as_secs_f64();
        for ((id, played), operation) in self.machines.iter().zip(operations) {
            self.judge(&mut round, id, played, operation, began);
        }
        self.give_back(&mut round)?;
        Ok(round)
    }

    /// Whether all that was started runs and is well again.
    fn comes_back(&self) -> Result<()> {
        self.cluster.until_healthy(BACK)?;
        (0..self.cluster.nodes()).try_for_each(|at| self.cluster.until_ready(at))?;
        self.cluster.until_racks_serve(BACK)
    }

    /// How the deploy of a machine ended, and whether all that was done to it was right.
    fn judge(&self, round: &mut Round, id: &str, played: &Simulated, operation: i64, began: SystemTime) {
        let name = &played.name;
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
        match (self.tries_told(operation), self.lab.machine(name)) {
            (Ok(tries_told), Ok(machine)) => {
                let deploy = Deploy { operation, began, tries_told };
                let wrong = wrong_effects(&deploy, &chassis::acts(machine.folder()), &played.story());
                round.violations.extend(wrong.into_iter().map(|what| format!("{name}: {what}")));
            }
            (told, machine) => {
                let error =
                    told.err().or(machine.err()).map_or_else(String::new, |error| format!("{error:#}"));
                round.violations.push(format!("{name}: {error}"));
            }
        }
        round.deploys.push(Outcome {
            machine: name.clone(),
            ended: outcome.machine,
            message: outcome.message,
            seconds: began.elapsed().map_or(0.0, |took| took.as_secs_f64()),
        });
    }

    /// How many further tries with the power the operation's events tell of.
    fn tries_told(&self, operation: i64) -> Result<usize> {
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
        for ((id, played), operation) in self.machines.iter().zip(operations) {
            let ended = life::until_over(&self.cluster, id, operation, LIMIT)?;
            if ended.machine != "ready" {
                round.violations.push(format!("{} is not released: {ended:?}", played.name));
            }
        }
        Ok(())
    }
}

impl Round {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (fault, wait, lasts) in &self.faults {
            text.push_str(&format!(
                "seed {} round {}: after {wait} s for {lasts} s, {fault}\n",
                self.seed, self.number
            ));
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
