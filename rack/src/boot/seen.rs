//! Which machine has which address, from what it asked for: later requests name only the address.

use rackwright_common::Mac;
use rackwright_common::link::BootStage;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The same step of the same machine is not told again for so long: firmware asks twice.
const QUIET: Duration = Duration::from_secs(3);
/// Addresses remembered; beyond it, those that were silent for [`OLD`] are forgotten, and then all.
const MOST: usize = 16 * 1024;
const OLD: Duration = Duration::from_secs(3600);
const TOLD_MOST: usize = 64;

struct Machine {
    mac: Option<Mac>,
    uuid: Option<Uuid>,
    heard: Instant,
    told: HashMap<(BootStageKey, String), Instant>,
}

type BootStageKey = &'static str;

/// What was asked for from each address.
#[derive(Default)]
pub(super) struct Seen(Mutex<HashMap<IpAddr, Machine>>);

impl Seen {
    /// The machine at `peer` said who it is.
    pub(super) fn identify(&self, peer: IpAddr, mac: Option<Mac>, uuid: Option<Uuid>) {
        self.with(peer, |machine| (machine.mac, machine.uuid) = (mac, uuid));
    }

    /// The machine with this MAC was given the address. What else is known of it stays, unless it is another machine.
    pub(super) fn leased(&self, peer: IpAddr, mac: Mac) {
        self.with(peer, |machine| {
            if machine.mac != Some(mac) {
                (machine.mac, machine.uuid) = (Some(mac), None);
            }
        });
    }

    /// The MAC of the machine at `peer`.
    pub(super) fn mac(&self, peer: IpAddr) -> Option<Mac> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&peer)?.mac
    }

    /// Who is at `peer`, if this step of it has not just been told.
    pub(super) fn news(
        &self,
        peer: IpAddr,
        stage: BootStage,
        detail: &str,
    ) -> Option<(Option<Mac>, Option<Uuid>)> {
        let now = Instant::now();
        self.with(peer, |machine| {
            machine.told.retain(|_, at| now - *at < QUIET);
            let full = machine.told.len() >= TOLD_MOST;
            let repeated = machine.told.insert((stage.as_str(), detail.to_owned()), now).is_some();
            (!repeated && !full).then_some((machine.mac, machine.uuid))
        })
    }

    fn with<T>(&self, peer: IpAddr, act: impl FnOnce(&mut Machine) -> T) -> T {
        let now = Instant::now();
        let mut machines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if machines.len() >= MOST {
            machines.retain(|_, m| now - m.heard < OLD);
            if machines.len() >= MOST {
                machines.clear();
            }
        }
        let new = || Machine { mac: None, uuid: None, heard: now, told: HashMap::new() };
        let machine = machines.entry(peer).or_insert_with(new);
        machine.heard = now;
        act(machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_no_news_and_the_address_knows_its_machine() {
        let seen = Seen::default();
        let peer = IpAddr::from([10, 0, 0, 5]);
        let mac = Mac([2, 0, 0, 0, 0, 5]);
        assert_eq!(seen.news(peer, BootStage::Loader, "a"), Some((None, None)));
        seen.identify(peer, Some(mac), None);
        assert_eq!(seen.news(peer, BootStage::Loader, "a"), None);
        assert_eq!(seen.news(peer, BootStage::Loader, "b"), Some((Some(mac), None)));
        assert_eq!(seen.news(peer, BootStage::Kernel, "a"), Some((Some(mac), None)));
    }

    #[test]
    fn a_lease_tells_whose_address_it_is_and_forgets_the_machine_before() {
        let seen = Seen::default();
        let peer = IpAddr::from([10, 0, 0, 5]);
        let (old, new, uuid) = (Mac([2, 0, 0, 0, 0, 5]), Mac([2, 0, 0, 0, 0, 6]), Some(Uuid::from_u128(1)));
        seen.identify(peer, Some(old), uuid);
        seen.leased(peer, old);
        assert_eq!(seen.news(peer, BootStage::Loader, "a"), Some((Some(old), uuid)));
        seen.leased(peer, new);
        assert_eq!(seen.news(peer, BootStage::Loader, "b"), Some((Some(new), None)));
    }
}
