//! BOOTP (RFC 951, RFC 1534 §2): a client without message types gets its fixed address and what options it may know. It
//! never gives an address back, so that it gets none of the pools.

use super::{Action, Exchange, Reason, Reply};
use crate::lease::Leases;

impl Exchange<'_> {
    pub(super) fn bootp(&self, leases: &Leases) -> Action {
        let fixed = self.fixed_address().filter(|a| !leases.held_by_other(*a, &self.key, self.now));
        let Some((address, subnet)) = fixed.and_then(|a| Some((a, self.subnet_for(a)?))) else {
            return Action::Silent(Reason::Bootp);
        };
        let mut packet = self.packet.reply();
        packet.yiaddr = address;
        self.add_parameters(&mut packet, subnet);
        self.add_tail(&mut packet);
        let to = self.destination(address);
        Action::Ack(Reply { packet, to, limit: self.packet.reply_limit() })
    }
}
