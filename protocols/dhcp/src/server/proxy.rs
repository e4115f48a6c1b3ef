//! Boot information beside another server (PXE 2.1 §2.2): an offer without an address to whoever boots. It names the file
//! itself and says that no boot server is to be looked for, so that nobody asks again on port 4011.

use super::{Action, Destination, Exchange, Reason, Reply};
use crate::client::BootKind;
use crate::options::{MessageType, code};

impl Exchange<'_> {
    pub(super) fn proxy(&self, kind: Option<MessageType>) -> Action {
        if kind != Some(MessageType::Discover) || self.client.boot == BootKind::None {
            return Action::Silent(Reason::Proxy);
        }
        let mut packet = self.head(MessageType::Offer);
        self.add_boot(&mut packet);
        if packet.options.get(code::BOOT_FILE).is_none() {
            return Action::Silent(Reason::Proxy);
        }
        // This says that the offer is one of a boot server; without it firmware looks for an address in it.
        if packet.options.get(code::VENDOR_CLASS).is_none() {
            packet.options.set(code::VENDOR_CLASS, "PXEClient");
        }
        self.add_tail(&mut packet);
        let relay = self.packet.giaddr;
        let to = if relay.is_unspecified() { Destination::Broadcast } else { Destination::Relay(relay) };
        Action::Offer(Reply { packet, to, limit: self.packet.reply_limit() })
    }
}
