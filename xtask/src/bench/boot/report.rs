//! The figures for people and for programs, and whether the goal is met.

use super::Boot;
use super::deploy::{Phase, Phases};
use super::stages::{Stage, Times};
use crate::bench::figures::median;
use crate::bench::load;
use anyhow::Result;
use serde::Serialize;
use std::fmt::{Display, Write};

/// Rackwright may take so many times as long as the floor, up to the agent's hello.
const GOAL: f64 = 1.10;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    runs: usize,
    goal: f64,
    /// By machine.
    pub machines: Vec<Measured>,
    /// Load of the box before the first run and after the last.
    load: Vec<f64>,
}

/// One machine's runs.
#[derive(Debug, Default, Serialize)]
pub struct Measured {
    machine: String,
    /// Rackwright, seconds after power-on.
    ours: Vec<Times>,
    /// dnsmasq and nginx.
    floor: Vec<Times>,
    /// Rackwright, seconds that each phase took.
    deploy: Vec<Phases>,
    /// Runs that did not get there, and why.
    failed: Vec<String>,
}

impl Measured {
    /// Nothing yet.
    pub fn of(machine: &str) -> Self {
        Self { machine: machine.to_owned(), ..Self::default() }
    }

    /// A run with Rackwright.
    pub fn add_ours(&mut self, run: Result<Boot>) {
        match run {
            Ok(boot) => {
                self.ours.push(boot.stages);
                self.deploy.extend(boot.deploy);
            }
            Err(error) => self.failed.push(format!("Rackwright: {error:#}")),
        }
    }

    /// A run with the floor.
    pub fn add_floor(&mut self, run: Result<Boot>) {
        match run {
            Ok(boot) => self.floor.push(boot.stages),
            Err(error) => self.failed.push(format!("floor: {error:#}")),
        }
    }

    /// Medians to the agent's hello, one by the other.
    fn ratio(&self) -> Option<f64> {
        Some(of(&self.ours, Stage::Hello)? / of(&self.floor, Stage::Hello)?)
    }

    fn is_good(&self) -> bool {
        self.failed.is_empty() && self.ratio().is_none_or(|ratio| ratio <= GOAL)
    }

    fn table(&self, text: &mut String) {
        let title = format!("{}, seconds after power-on", self.machine);
        line(text, &format!("{title:<42} {:>10} {:>8} {:>7}", "Rackwright", "floor", "ratio"));
        for stage in Stage::ALL {
            let (ours, floor) = (of(&self.ours, stage), of(&self.floor, stage));
            let ratio = ours.zip(floor).map(|(ours, floor)| ours / floor);
            let row = format!(
                "  {:<40} {:>10} {:>8} {:>7}",
                stage.to_string(),
                cell(ours),
                cell(floor),
                cell(ratio)
            );
            line(text, &row);
        }
        let (ours, floor) = (served(&self.ours), served(&self.floor));
        let ratio = ours.zip(floor).map(|(ours, floor)| ours / floor);
        line(
            text,
            &format!(
                "  {:<40} {:>10} {:>8} {:>7}",
                "of it, DISCOVER to initrd asked for",
                cell(ours),
                cell(floor),
                cell(ratio)
            ),
        );
        if let Some(ratio) = self.ratio() {
            let verdict = if ratio <= GOAL { "met" } else { "MISSED" };
            line(text, &format!("  goal: hello at {GOAL:.2} times the floor at most: {ratio:.3}, {verdict}"));
            line(
                text,
                &format!("  hello, run by run: Rackwright {}; floor {}", each(&self.ours), each(&self.floor)),
            );
        }
        if !self.deploy.is_empty() {
            line(text, &format!("  deployment, seconds each phase took (medians of {})", self.deploy.len()));
            for phase in Phase::ALL {
                line(text, &format!("    {:<38} {:>10}", phase.to_string(), cell(of(&self.deploy, phase))));
            }
        }
        for failed in &self.failed {
            line(text, &format!("  FAILED: {failed}"));
        }
    }
}

impl Report {
    /// Nothing yet.
    pub fn new(runs: usize) -> Result<Self> {
        Ok(Self { runs, goal: GOAL, machines: Vec::new(), load: vec![load()?] })
    }

    /// Everything was measured.
    pub fn finish(&mut self) -> Result<()> {
        self.load.push(load()?);
        Ok(())
    }

    /// Every run got there, and the goal is met where both were measured.
    pub fn is_good(&self) -> bool {
        self.machines.iter().all(Measured::is_good)
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = format!("medians of {} runs; load of the box {}\n", self.runs, list(&self.load));
        self.machines.iter().for_each(|machine| machine.table(&mut text));
        text
    }
}

/// The median of one key over all runs that have it.
fn of<K: Ord>(runs: &[std::collections::BTreeMap<K, f64>], key: K) -> Option<f64> {
    let values: Vec<f64> = runs.iter().filter_map(|run| run.get(&key).copied()).collect();
    median(&values)
}

/// The part in which a server has most to do; before it and after it firmware and kernel are by themselves.
fn served(runs: &[Times]) -> Option<f64> {
    let part = |run: &Times| Some(run.get(&Stage::Initrd)? - run.get(&Stage::Discover)?);
    median(&runs.iter().filter_map(part).collect::<Vec<_>>())
}

fn each(runs: &[Times]) -> String {
    list(&runs.iter().filter_map(|run| run.get(&Stage::Hello).copied()).collect::<Vec<_>>())
}

fn list(values: &[f64]) -> String {
    values.iter().map(|value| format!("{value:.2}")).collect::<Vec<_>>().join(", ")
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

fn line(text: &mut String, row: &impl Display) {
    writeln!(text, "{row}").expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(hello: f64) -> Result<Boot> {
        Ok(Boot { stages: Times::from([(Stage::Hello, hello)]), deploy: None })
    }

    fn measured(ours: &[f64], floor: &[f64]) -> Measured {
        let mut measured = Measured::of("bios-1");
        ours.iter().for_each(|hello| measured.add_ours(boot(*hello)));
        floor.iter().for_each(|hello| measured.add_floor(boot(*hello)));
        measured
    }

    #[test]
    fn the_goal_is_decided_by_medians() {
        assert!(measured(&[10.9, 30.0, 10.0], &[10.0, 10.0, 9.0]).is_good());
        let slow = measured(&[11.1, 11.1, 9.0], &[10.0, 10.0, 10.0]);
        let report = Report { runs: 3, goal: GOAL, machines: vec![slow], load: vec![0.5] };
        assert!(!report.is_good());
        assert!(report.table().contains("1.110, MISSED"), "{}", report.table());
    }

    #[test]
    fn a_run_that_failed_is_told_and_is_not_good() {
        let mut measured = measured(&[10.0], &[10.0]);
        measured.add_floor(Err(anyhow::anyhow!("no hello")));
        assert!(!measured.is_good());
        let mut text = String::new();
        measured.table(&mut text);
        assert!(text.contains("FAILED: floor: no hello"), "{text}");
    }

    #[test]
    fn the_servers_part_is_of_each_run() {
        let run = |from, to| Times::from([(Stage::Discover, from), (Stage::Initrd, to)]);
        assert_eq!(served(&[run(2.0, 3.0), run(10.0, 12.0), run(20.0, 20.5)]), Some(1.0));
        assert_eq!(served(&[]), None);
    }

    #[test]
    fn without_a_floor_nothing_is_decided() {
        assert!(measured(&[10.0], &[]).is_good());
    }
}
