//! A machine of a chaotic site: one that is played, or one with real firmware and disks under QEMU.

use crate::simulated::{Simulated, Story, chassis};
use anyhow::Result;
use chassis::Act;
use rackwright_lab::Lab;
use std::fs;

/// One machine.
pub struct Machine {
    /// Its identifier.
    pub id: String,
    /// Its name in the plan.
    pub name: String,
    /// Who plays it; nobody when it is real.
    pub played: Option<Simulated>,
}

impl Machine {
    /// What its BMC changed.
    pub fn acts(&self, lab: &Lab) -> Result<Vec<Act>> {
        let machine = lab.machine(&self.name)?;
        if self.played.is_some() {
            return Ok(chassis::acts(machine.folder()));
        }
        Ok(real_acts(&fs::read_to_string(machine.folder().join("chassis.log"))?))
    }

    /// What happened to it; nothing is known of a real one.
    pub fn story(&self) -> Story {
        self.played.as_ref().map(Simulated::story).unwrap_or_default()
    }
}

/// The log of a real machine's chassis has every call: one that changes nothing is left out.
fn real_acts(log: &str) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    for line in log.lines() {
        let Some((at, call)) = line.split_once(' ') else { continue };
        let what = match call.split(" =").next().unwrap_or_default().trim() {
            "set power 1" => "on",
            "set power 0" => "off",
            "set reset 1" => "reset",
            _ => continue,
        };
        let again = what != "reset" && acts.last().is_some_and(|last| last.what == what);
        if let (Ok(at), false) = (at.parse(), again) {
            acts.push(Act { at, what: what.to_owned() });
        }
    }
    acts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_nothing_is_no_act() {
        let log = "1.0 get power = power:0 \n2.0 set boot pxe = \n3.0 set power 1 = \n3.1 set power 1 = \n9.0 set power 0 = \n";
        let acts: Vec<_> = real_acts(log).into_iter().map(|act| act.what).collect();
        assert_eq!(acts, ["on", "off"]);
    }
}
