//! The interfaces that the installed system is to have addresses on: there, and with a link. A system that waits for
//! a cable at its first boot says so nowhere; here it can still be said to a person, before anything is written.

use crate::error::{Error, Result};
use crate::inventory::nics;
use rackwright_common::inventory::Interface;
use rackwright_common::network::{InterfacePlan, NetworkPlan};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// An interface that was just brought up negotiates first.
const NEGOTIATION: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_millis(200);

/// Refuses a plan that this machine's interfaces cannot carry out.
pub fn check(root: &Path, plan: &NetworkPlan) -> Result<()> {
    let begun = Instant::now();
    loop {
        match fault(plan, &nics::read(root, None)) {
            None => return Ok(()),
            Some(Fault::NoLink(_)) if begun.elapsed() < NEGOTIATION => sleep(EVERY),
            Some(fault) => return Err(Error::refused(fault.sentence())),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Missing(String),
    NoLink(String),
}

impl Fault {
    fn sentence(&self) -> String {
        match self {
            Self::Missing(interface) => format!(
                "the interface {interface} is to have an address and is not in this machine; put the card back, or \
                 commission the machine again"
            ),
            Self::NoLink(interface) => format!(
                "the interface {interface} is to have an address and has no link; plug in its cable, or take its \
                 address away, and deploy again"
            ),
        }
    }
}

fn fault(plan: &NetworkPlan, present: &[Interface]) -> Option<Fault> {
    let addressed = |wanted: &&InterfacePlan| plan.needs_link(wanted);
    plan.interfaces.iter().filter(addressed).find_map(|wanted| {
        let shown = || format!("{} ({})", wanted.name, wanted.mac);
        match present.iter().find(|interface| interface.mac == wanted.mac) {
            None => Some(Fault::Missing(shown())),
            Some(interface) if !interface.link => Some(Fault::NoLink(shown())),
            Some(_) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackwright_common::network::{LinkMode, LinkPlan};

    fn present(mac: &str, link: bool) -> Interface {
        let (name, mac) = ("eth".to_owned(), mac.parse().unwrap());
        Interface { name, mac, link, driver: None, product: None, speed_mbps: None, boot: false, lldp: None }
    }

    fn wanted(name: &str, mac: &str, mode: LinkMode) -> InterfacePlan {
        InterfacePlan { name: name.into(), mac: mac.parse().unwrap(), mode, link: LinkPlan::default() }
    }

    fn plan(interfaces: Vec<InterfacePlan>) -> NetworkPlan {
        NetworkPlan { interfaces, ..NetworkPlan::default() }
    }

    const ONE: &str = "52:54:00:00:00:01";
    const TWO: &str = "52:54:00:00:00:02";

    #[test]
    fn an_interface_with_an_address_needs_a_link_and_one_without_does_not() {
        let present = [present(ONE, true), present(TWO, false)];
        let first = wanted("eth0", ONE, LinkMode::Dhcp);
        assert_eq!(fault(&plan(vec![first.clone(), wanted("eth1", TWO, LinkMode::LinkUp)]), &present), None);
        let found = fault(&plan(vec![first, wanted("eth1", TWO, LinkMode::Dhcp)]), &present).unwrap();
        assert_eq!(found, Fault::NoLink(format!("eth1 ({TWO})")));
        assert!(found.sentence().contains("plug in its cable"));
    }

    #[test]
    fn a_card_that_was_taken_out_is_named() {
        let found = fault(&plan(vec![wanted("eth1", TWO, LinkMode::Dhcp)]), &[present(ONE, true)]).unwrap();
        assert_eq!(found, Fault::Missing(format!("eth1 ({TWO})")));
    }
}
