//! DISCOVER → OFFER (RFC 2131 §4.3.1). The address is held from here on.

use std::net::Ipv4Addr;

use super::{Action, Exchange, Reason};
use crate::lease::{LeaseState, Leases, NoAddress};
use crate::options::{MessageType, code};

impl Exchange<'_> {
    pub(super) fn discover(&self, leases: &mut Leases) -> Action {
        let address = match self.choose(leases) {
            Ok(address) => address,
            Err(NoAddress::PoolEmpty) => return Action::Silent(Reason::PoolEmpty),
            Err(NoAddress::RateLimited) => return Action::Silent(Reason::RateLimited),
        };
        let Some(subnet) = self.subnet_for(address) else { return Action::Silent(Reason::PoolEmpty) };
        let bound = leases
            .get(address)
            .is_some_and(|l| l.state == LeaseState::Bound && l.is_held_by(&self.key, self.now));
        if !bound {
            let limits = &self.config.limits;
            leases.hold(self.lease(address, LeaseState::Offered, limits.offer_seconds), limits, self.now);
        }
        Action::Offer(self.grant(MessageType::Offer, address, subnet))
    }

    /// The fixed address, unless somebody else still holds it; else one of the pools.
    fn choose(&self, leases: &mut Leases) -> Result<Ipv4Addr, NoAddress> {
        if let Some(fixed) = self.fixed_address().filter(|a| !leases.held_by_other(*a, &self.key, self.now)) {
            return Ok(fixed);
        }
        let wish = self.packet.options.address(code::REQUESTED_ADDRESS);
        let who = (&self.key, self.client.mac);
        leases.find_dynamic(self.config, &self.segment(), who, wish, self.arrival.server, self.now)
    }
}
