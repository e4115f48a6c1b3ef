//! INFORM → ACK (RFC 2131 §4.3.5): parameters for a client that has its address from elsewhere. No lease.

use super::{Action, Destination, Exchange, Reason, Reply};
use crate::options::MessageType;

impl Exchange<'_> {
    pub(super) fn inform(&self) -> Action {
        let address = self.packet.ciaddr;
        if address.is_unspecified() {
            return Action::Silent(Reason::NoAddress);
        }
        let Some(subnet) = self.subnet_for(address) else { return Action::Silent(Reason::WrongNetwork) };
        let mut packet = self.head(MessageType::Ack);
        packet.ciaddr = address;
        self.add_parameters(&mut packet, subnet);
        self.add_tail(&mut packet);
        Action::Ack(Reply { packet, to: Destination::Address(address), limit: self.packet.reply_limit() })
    }
}
