//! RELEASE and DECLINE (RFC 2131 §4.3.3, §4.3.4). Neither is answered; only the holder's word counts.

use std::net::Ipv4Addr;

use super::{Action, Exchange, Reason};
use crate::lease::{Lease, LeaseState, Leases};
use crate::options::code;

impl Exchange<'_> {
    /// The client goes; its address may be given to others at once.
    pub(super) fn release(&self, leases: &mut Leases, changes: &mut Vec<Lease>) -> Action {
        self.give_back(self.packet.ciaddr, LeaseState::Released, 0, leases, changes)
    }

    /// The client saw somebody else use the address: set aside, and worth an event.
    pub(super) fn decline(&self, leases: &mut Leases, changes: &mut Vec<Lease>) -> Action {
        let named = self.packet.options.address(code::REQUESTED_ADDRESS).unwrap_or(self.packet.ciaddr);
        self.give_back(named, LeaseState::Declined, self.config.limits.quarantine_seconds, leases, changes)
    }

    fn give_back(
        &self,
        address: Ipv4Addr,
        state: LeaseState,
        seconds: u32,
        leases: &mut Leases,
        changes: &mut Vec<Lease>,
    ) -> Action {
        if self.names_other_server() {
            return Action::Silent(Reason::OtherServer);
        }
        if !leases.get(address).is_some_and(|l| l.is_held_by(&self.key, self.now)) {
            return Action::Silent(Reason::NotOurs);
        }
        let lease = self.lease(address, state, seconds);
        leases.insert(lease.clone());
        changes.push(lease);
        Action::Silent(if state == LeaseState::Declined { Reason::Declined } else { Reason::Released })
    }
}
