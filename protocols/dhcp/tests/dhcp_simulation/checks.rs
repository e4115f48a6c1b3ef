//! What has to hold, whatever happens.

use rackwright_dhcp::{Action, Packet, code};

use crate::client::{Client, Hold, State};
use crate::event::Event;
use crate::world::{World, terms};

impl World {
    /// No address has two holders.
    pub fn one_holder_each(&self) -> Result<(), String> {
        for (number, one) in self.clients.iter().enumerate() {
            let Some(hold) = one.hold.filter(|hold| hold.until > self.now) else { continue };
            for other in &self.clients[number + 1..] {
                if other.hold.is_some_and(|h| h.address == hold.address && h.until > self.now) {
                    return Err(format!("{} has two holders, {} and {}", hold.address, one.mac, other.mac));
                }
            }
        }
        Ok(())
    }

    /// Everything is free: as many clients as there are addresses come, and each gets one.
    pub fn send_new_clients(&mut self) -> Result<(), String> {
        if let Some((address, row)) = self.database.rows().next() {
            return Err(format!("{address} is not free: {row:?}"));
        }
        let first = self.clients.len();
        for number in first..first + self.addresses {
            let mut client = Client::new(number as u8);
            client.declines = 0;
            self.clients.push(client);
            self.after(1 + number as u64 * 300, Event::Begin(number, 0, false));
        }
        self.loss = 0;
        Ok(())
    }

    /// All of them have one.
    pub fn every_new_client_is_bound(&self) -> Result<(), String> {
        let mut new = self.clients.iter().filter(|c| !c.gone);
        match new.find(|c| c.hold.is_none_or(|hold| hold.until <= self.now)) {
            Some(client) => Err(format!("{} got no address although one should be free", client.mac)),
            None => Ok(()),
        }
    }

    /// A rack has decided about the renewal of a client that holds the address.
    pub fn renewal_is_served(
        &self,
        rack: usize,
        renewal: &Packet,
        (knew, action): (bool, Option<&Action>),
    ) -> Result<(), String> {
        let (client, address) = (renewal.client_key(), renewal.ciaddr);
        let sure = (terms().others_seconds - terms().margin_seconds) * 1000;
        let in_touch = self.racks[rack].heard.is_some_and(|at| self.now < at + sure);
        match action {
            Some(Action::Nak(..)) => {
                Err(format!("rack {rack} refused {client:?} the {address} that it holds"))
            }
            Some(Action::Silent(reason)) if knew && in_touch => {
                Err(format!("rack {rack} knows that {client:?} holds {address} and is silent: {reason:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Counts what a client got.
    pub fn count(&mut self, number: usize, hold: Hold, before: State) {
        let mac = self.clients[number].mac;
        self.counts.bound += 1;
        self.counts.rebooted += u64::from(matches!(before, State::Rebooting { .. }));
        let another = self.last_holder.insert(hold.address, mac).is_some_and(|last| last != mac);
        self.counts.given_to_another += u64::from(another);
        if another {
            self.given_by.insert(hold.address, hold.server);
        }
        let giver = *self.given_by.entry(hold.address).or_insert(hold.server);
        self.counts.extended_by_others += u64::from(giver != hold.server);
    }
}

/// A decision in one line.
pub fn describe(action: Option<&Action>) -> String {
    let reply = match action {
        None => return "does not run".into(),
        Some(Action::Silent(reason)) => return format!("silent, {reason:?}"),
        Some(Action::Offer(reply) | Action::Ack(reply) | Action::Nak(reply, _)) => reply,
    };
    let kind = reply.packet.options.message_type();
    format!("{kind:?} {} for {:?} s", reply.packet.yiaddr, reply.packet.options.long(code::LEASE_TIME))
}
