//! A DHCP client after RFC 2131 §4.4, which counts its lease from the answer as clients in the field do.

use std::net::Ipv4Addr;

use rackwright_dhcp::{ClientKey, MacAddr, MessageType, Packet, code};

use crate::numbers::Numbers;

/// An answer later than this is of an exchange given up, milliseconds.
pub const PATIENCE: u64 = 15_000;

/// An address in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    pub address: Ipv4Addr,
    /// Milliseconds.
    pub until: u64,
    pub since: u64,
    pub server: Ipv4Addr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Off,
    Selecting,
    Requesting {
        address: Ipv4Addr,
        server: Ipv4Addr,
    },
    Rebooting {
        address: Ipv4Addr,
    },
    /// With a hold, and asking again once its time has come.
    Bound,
}

#[derive(Debug)]
pub struct Client {
    pub mac: MacAddr,
    pub state: State,
    pub hold: Option<Hold>,
    /// What it had last, for INIT-REBOOT.
    pub remembers: Option<Ipv4Addr>,
    /// Stays away for good.
    pub gone: bool,
    /// Of a hundred addresses it finds so many in use by something else.
    pub declines: u64,
    xid: u32,
    began: u64,
    sent: u64,
    tries: u32,
    /// The timer that counts; older ones are void.
    pub timer: u64,
}

/// What a client does now.
#[derive(Debug, Default)]
pub struct Step {
    /// A message, and the server it is for; to all when none.
    pub send: Option<(Packet, Option<Ipv4Addr>)>,
    /// The next timer, milliseconds from now.
    pub wake: Option<u64>,
}

impl Client {
    pub fn new(number: u8) -> Client {
        Client {
            mac: MacAddr([2, 0, 0, 0, 1, number]),
            state: State::Off,
            hold: None,
            remembers: None,
            gone: false,
            declines: 3,
            xid: 0,
            began: 0,
            sent: 0,
            tries: 0,
            timer: 0,
        }
    }

    pub fn key(&self) -> ClientKey {
        ClientKey::ethernet(self.mac)
    }

    /// It is switched on, or starts over.
    pub fn begin(&mut self, now: u64, numbers: &mut Numbers, reboot: bool) -> Step {
        self.new_exchange(now, numbers);
        self.state = match self.remembers.filter(|_| reboot) {
            Some(address) => State::Rebooting { address },
            None => State::Selecting,
        };
        self.tick(now, numbers)
    }

    fn new_exchange(&mut self, now: u64, numbers: &mut Numbers) {
        self.xid = numbers.next() as u32;
        (self.began, self.tries) = (now, 0);
    }

    /// Its timer.
    pub fn tick(&mut self, now: u64, numbers: &mut Numbers) -> Step {
        let late = now >= self.began + PATIENCE;
        match self.state {
            State::Off => Step::default(),
            State::Bound => self.renew(now, numbers),
            State::Requesting { .. } | State::Rebooting { .. } if late => {
                self.state = State::Selecting;
                self.new_exchange(now, numbers);
                self.tick(now, numbers)
            }
            State::Selecting => {
                if now > self.began + PATIENCE {
                    self.new_exchange(now, numbers);
                }
                let packet = self.message(MessageType::Discover, now);
                self.send(packet, None, numbers.between(2000, 4000), now)
            }
            State::Requesting { address, server } => {
                let mut packet = self.message(MessageType::Request, now);
                packet.options.set(code::REQUESTED_ADDRESS, address.octets());
                packet.options.set(code::SERVER_ID, server.octets());
                self.send(packet, None, numbers.between(2000, 4000), now)
            }
            State::Rebooting { address } => {
                let mut packet = self.message(MessageType::Request, now);
                packet.options.set(code::REQUESTED_ADDRESS, address.octets());
                self.send(packet, None, numbers.between(2000, 4000), now)
            }
        }
    }

    /// RENEWING to its server from half of the lease, REBINDING to all from seven eighths.
    fn renew(&mut self, now: u64, numbers: &mut Numbers) -> Step {
        let Some(hold) = self.hold.filter(|hold| hold.until > now) else {
            self.hold = None;
            return self.begin(now, numbers, false);
        };
        let length = hold.until - hold.since;
        let (t1, t2) = (hold.since + length / 2, hold.since + length * 7 / 8);
        if now < t1 {
            return Step { send: None, wake: Some(t1 - now) };
        }
        self.new_exchange(now, numbers);
        let mut packet = self.message(MessageType::Request, now);
        packet.ciaddr = hold.address;
        let (to, next) = if now < t2 { (Some(hold.server), t2) } else { (None, hold.until) };
        let wait = ((next - now) / 2).max(3000).min(hold.until - now);
        self.send(packet, to, wait, now)
    }

    fn send(&mut self, packet: Packet, to: Option<Ipv4Addr>, wake: u64, now: u64) -> Step {
        self.tries += 1;
        self.sent = now;
        Step { send: Some((packet, to)), wake: Some(wake) }
    }

    /// A message from a server; `None` when it is of no use. An error says which promise it breaks.
    pub fn receive(
        &mut self,
        packet: &Packet,
        now: u64,
        numbers: &mut Numbers,
    ) -> Result<Option<Step>, String> {
        if packet.xid != self.xid || now >= self.began + PATIENCE {
            return Ok(None);
        }
        let server = packet.options.address(code::SERVER_ID).ok_or("a reply without a server")?;
        match (packet.options.message_type(), self.state) {
            (Some(MessageType::Offer), State::Selecting) => {
                self.state = State::Requesting { address: packet.yiaddr, server };
                self.began = now;
                Ok(Some(self.tick(now, numbers)))
            }
            (Some(MessageType::Ack), State::Requesting { .. } | State::Rebooting { .. })
                if numbers.percent(self.declines) =>
            {
                // Somebody without a lease answers for the address.
                self.state = State::Off;
                let mut decline = self.message(MessageType::Decline, now);
                decline.options.set(code::REQUESTED_ADDRESS, packet.yiaddr.octets());
                decline.options.set(code::SERVER_ID, server.octets());
                self.xid = 0;
                Ok(Some(Step { send: Some((decline, None)), wake: None }))
            }
            (Some(MessageType::Ack), State::Requesting { .. } | State::Rebooting { .. } | State::Bound) => {
                let seconds = packet.options.long(code::LEASE_TIME).ok_or("an ACK without a lease time")?;
                let until = now + u64::from(seconds) * 1000;
                self.hold = Some(Hold { address: packet.yiaddr, until, since: now, server });
                self.remembers = Some(packet.yiaddr);
                self.state = State::Bound;
                self.xid = 0;
                Ok(Some(Step { send: None, wake: Some(u64::from(seconds) * 500) }))
            }
            (Some(MessageType::Nak), State::Bound) if self.hold.is_some_and(|h| h.until > now) => {
                Err(format!("{} holds {:?} and was refused it", self.mac, self.hold))
            }
            (Some(MessageType::Nak), State::Requesting { .. } | State::Rebooting { .. }) => {
                Ok(Some(self.begin(now, numbers, false)))
            }
            _ => Ok(None),
        }
    }

    /// It gives its address back and goes.
    pub fn release(&mut self, now: u64) -> Step {
        let Some(hold) = self.hold.take() else { return Step::default() };
        self.state = State::Off;
        let mut packet = self.message(MessageType::Release, now);
        packet.ciaddr = hold.address;
        packet.options.set(code::SERVER_ID, hold.server.octets());
        Step { send: Some((packet, Some(hold.server))), wake: None }
    }

    /// It goes without a word.
    pub fn crash(&mut self, forget: bool) {
        self.hold = None;
        self.state = State::Off;
        if forget {
            self.remembers = None;
        }
    }

    fn message(&self, kind: MessageType, now: u64) -> Packet {
        let mut packet = Packet::decode(&[0; 236]).expect("long enough");
        (packet.op, packet.htype, packet.hlen, packet.xid) = (1, 1, 6, self.xid);
        packet.secs = (now.saturating_sub(self.began) / 1000) as u16;
        packet.chaddr[..6].copy_from_slice(&self.mac.0);
        packet.options.set(code::MESSAGE_TYPE, [kind as u8]);
        packet
    }
}
