//! REQUEST → ACK or NAK, in the four states of RFC 2131 §4.3.2.
//!
//! A NAK sends a client back to the start, and old iPXE ignores it and asks the same for ever. So it is sent only
//! when the address cannot be the client's: it is of another network, another client's, or a fixed address waits.

use std::net::Ipv4Addr;

use super::{Action, Exchange, Reason};
use crate::config::Subnet;
use crate::lease::{Lease, LeaseState, Leases};
use crate::options::{MessageType, code};

/// What the client is doing, told by what it fills in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// It takes an offer of ours (option 54).
    Selecting,
    /// It remembers an address from before (option 50 alone).
    InitReboot,
    /// It has the address and wants to keep it (`ciaddr`).
    Renewing,
}

impl Exchange<'_> {
    pub(super) fn request(&self, leases: &mut Leases, changes: &mut Vec<Lease>) -> Action {
        let options = &self.packet.options;
        if self.names_other_server() {
            self.drop_offer(leases);
            return Action::Silent(Reason::OtherServer);
        }
        let wanted = options.address(code::REQUESTED_ADDRESS).filter(|a| !a.is_unspecified());
        let current = Some(self.packet.ciaddr).filter(|a| !a.is_unspecified());
        let Some(address) = wanted.or(current) else { return Action::Silent(Reason::NoAddress) };
        let asking = match (options.address(code::SERVER_ID), current) {
            (Some(_), _) => Asking::Selecting,
            (None, Some(_)) => Asking::Renewing,
            (None, None) => Asking::InitReboot,
        };
        match self.judge(address, asking, leases) {
            Ok(_)
                if !self.is_known_to_have(address, leases)
                    && !leases.admit(&self.config.limits, self.now) =>
            {
                Action::Silent(Reason::RateLimited)
            }
            Ok(subnet) => {
                self.bind(address, subnet, leases, changes);
                Action::Ack(self.grant(MessageType::Ack, address, subnet))
            }
            Err(Reason::NotOurs) if asking != Asking::Selecting => Action::Silent(Reason::NotOurs),
            Err(reason) if asking == Asking::Selecting || self.subnet.authoritative => {
                Action::Nak(self.refuse(reason), reason)
            }
            Err(reason) => Action::Silent(reason),
        }
    }

    /// Whether the client may have this address now.
    fn judge(&self, address: Ipv4Addr, asking: Asking, leases: &Leases) -> Result<&Subnet, Reason> {
        let subnet = self.subnet_for(address).ok_or(Reason::WrongNetwork)?;
        if address == self.arrival.server
            || leases.held_by_other(address, &self.key, self.now)
            || self.config.fixed_to_other(address, self.client.mac)
        {
            return Err(Reason::Taken);
        }
        let fixed = self.fixed_address();
        if fixed == Some(address) {
            return Ok(subnet);
        }
        let waiting = fixed.is_some_and(|f| !leases.held_by_other(f, &self.key, self.now));
        if waiting && asking == Asking::InitReboot {
            return Err(Reason::HasFixed);
        }
        let held = leases.get(address).is_some_and(|l| l.is_held_by(&self.key, self.now));
        // A pool of ours without an entry: we forgot the offer, or the lease ended and nobody else wanted the address.
        if held || subnet.is_dynamic(address) { Ok(subnet) } else { Err(Reason::NotOurs) }
    }

    /// The address is or was this client's, or always is.
    fn is_known_to_have(&self, address: Ipv4Addr, leases: &Leases) -> bool {
        leases.get(address).is_some_and(|l| l.client == self.key) || self.fixed_address() == Some(address)
    }

    /// Makes the lease. A client has one address on a link, so what else it held there ends.
    fn bind(&self, address: Ipv4Addr, subnet: &Subnet, leases: &mut Leases, changes: &mut Vec<Lease>) {
        let others: Vec<Lease> = leases
            .of_client(&self.key)
            .filter(|l| l.address != address && l.is_held_by(&self.key, self.now))
            .filter(|l| self.subnet_for(l.address).is_some())
            .cloned()
            .collect();
        for lease in others {
            let ended = Lease { state: LeaseState::Released, expires: self.now, ..lease.clone() };
            leases.insert(ended.clone());
            if lease.state == LeaseState::Bound {
                changes.push(ended);
            }
        }
        let lease = self.lease(address, LeaseState::Bound, self.lease_seconds(subnet));
        changes.push(leases.hold(lease, &self.config.limits, self.now));
    }

    /// The client took another server's offer: ours is free again.
    fn drop_offer(&self, leases: &mut Leases) {
        let offers: Vec<Ipv4Addr> = leases
            .of_client(&self.key)
            .filter(|l| l.state == LeaseState::Offered && self.subnet_for(l.address).is_some())
            .map(|l| l.address)
            .collect();
        for address in offers {
            leases.remove(address);
        }
    }
}
