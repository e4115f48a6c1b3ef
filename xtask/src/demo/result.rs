//! What the demo found out, as `--json` prints it.

use serde::Serialize;

/// The whole demo.
#[derive(Debug, Default, Serialize)]
pub struct Demo {
    /// What was done before the machines.
    pub phases: Vec<Phase>,
    /// The machines.
    pub machines: Vec<Machine>,
}

/// A part and how long it took.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// Seconds it took.
    pub seconds: f64,
}

/// One machine's way.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Machine {
    /// Name in the lab.
    pub name: String,
    /// Id in Rackwright, once it is known there.
    pub id: Option<String>,
    /// What it is doing, or the last thing it did.
    pub now: String,
    /// Parts that are done.
    pub phases: Vec<Phase>,
    /// Whether it went the whole way.
    pub through: bool,
    /// Why it did not.
    pub error: Option<String>,
}

impl Demo {
    /// Whether every machine went the whole way.
    pub fn is_through(&self) -> bool {
        !self.machines.is_empty() && self.machines.iter().all(|machine| machine.through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_machine_is_no_success() {
        let mut demo = Demo::default();
        assert!(!demo.is_through());
        demo.machines.push(Machine { through: true, ..Machine::default() });
        assert!(demo.is_through());
        demo.machines.push(Machine::default());
        assert!(!demo.is_through());
    }
}
