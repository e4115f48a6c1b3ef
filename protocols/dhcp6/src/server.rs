//! The server: what is answered to a message (RFC 8415 §18.3).

use crate::config::{Config, Declined, Link, Subnet};
use crate::wire::{Message, Options, Packet, code, domain, kind};
use crate::{BootKind, Client, MacAddr};
use std::net::Ipv6Addr;

/// Identity associations of one message that are answered; more is not a client.
const ASSOCIATIONS: usize = 16;
/// Status codes (RFC 8415 §21.13).
const SUCCESS: u16 = 0;
const NO_ADDRESSES: u16 = 2;
const NOT_ON_LINK: u16 = 4;
const NO_PREFIX: u16 = 6;
/// IANA's number of those who wrote PXE and UEFI (RFC 5970 example; Intel).
const ENTERPRISE: u32 = 343;

/// Where a datagram came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The link on which it came; none where none is served.
    pub link: Option<u64>,
    /// Its sender.
    pub from: Ipv6Addr,
    /// It was sent to all servers, not to this one.
    pub multicast: bool,
}

/// What a client has got, for those who watch it boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An offer.
    Offered,
    /// An address.
    Given,
    /// The client does not have its address any more.
    Ended,
    /// Something else.
    Other,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The datagram, to whom the question came from.
    pub bytes: Vec<u8>,
    /// What it is to the client.
    pub step: Step,
    /// Who asked.
    pub client: Client,
    /// Its hardware address, where one is known.
    pub mac: Option<MacAddr>,
    /// The first address in it; of an end, the address that is over.
    pub address: Option<Ipv6Addr>,
    /// For how long it is given, seconds.
    pub valid: u32,
    /// What it is to boot.
    pub boot: Option<String>,
}

/// A question with what is known about it.
struct Question<'a> {
    config: &'a Config,
    link: &'a Link,
    client: &'a Client,
    mac: Option<MacAddr>,
    options: &'a Options,
}

impl Config {
    /// What is answered, if anything.
    pub fn respond(&self, datagram: &[u8], arrival: Arrival, declined: &mut Declined) -> Option<Answer> {
        let packet = Packet::decode(datagram)?;
        let link = self.link_of(&packet, arrival)?;
        let client = Client::of(&packet, arrival.from);
        let Message { kind: asked, transaction, options } = &packet.message;
        let named = options.get(code::SERVER_ID);
        let ours = named.is_some_and(|id| id == link.duid());
        // RFC 8415 §16: who is not meant does not answer, and only relays send to one server.
        let meant = match *asked {
            kind::SOLICIT | kind::CONFIRM | kind::REBIND => named.is_none(),
            kind::REQUEST | kind::RENEW | kind::RELEASE | kind::DECLINE => ours,
            kind::INFORMATION_REQUEST => named.is_none() || ours,
            _ => false,
        };
        let nameless = client.duid.is_empty() && *asked != kind::INFORMATION_REQUEST;
        if !meant || nameless || client.duid.len() > 130 || (!arrival.multicast && packet.relays.is_empty()) {
            return None;
        }
        let mac = self.mac(&client);
        let question = Question { config: self, link, client: &client, mac, options };
        let rapid = *asked == kind::SOLICIT && options.get(code::RAPID_COMMIT).is_some();
        let mut said = Options::default();
        said.add(code::SERVER_ID, link.duid());
        if !client.duid.is_empty() {
            said.add(code::CLIENT_ID, client.duid.as_slice());
        }
        if rapid {
            said.add(code::RAPID_COMMIT, []);
        }
        let address = match *asked {
            kind::CONFIRM => {
                question.confirm(&mut said)?;
                None
            }
            kind::RELEASE | kind::DECLINE => {
                question.give_back(*asked == kind::DECLINE, declined, &mut said);
                let ended = question
                    .named()
                    .into_iter()
                    .find(|(iaid, address)| question.link.owns(&client, mac, *iaid, *address).is_some());
                ended.map(|(_, address)| address)
            }
            kind::INFORMATION_REQUEST => None,
            _ => question.associations(*asked, declined, &mut said),
        };
        let boot = question.settings(&mut said);
        let offer = *asked == kind::SOLICIT && !rapid;
        let message = Message {
            kind: if offer { kind::ADVERTISE } else { kind::REPLY },
            transaction: *transaction,
            options: said,
        };
        let ended = matches!(*asked, kind::RELEASE | kind::DECLINE);
        let step = match (offer, address) {
            (_, None) => Step::Other,
            (_, Some(_)) if ended => Step::Ended,
            (true, Some(_)) => Step::Offered,
            (false, Some(_)) => Step::Given,
        };
        let valid =
            address.and_then(|a| link.subnets.iter().find(|s| s.network.contains(&a))).map_or(0, |s| s.valid);
        Some(Answer { bytes: packet.answer(&message), step, mac, address, valid, boot, client })
    }

    /// The link that the client is on: what the relay nearest to it says, else where the datagram came in.
    fn link_of(&self, packet: &Packet, arrival: Arrival) -> Option<&Link> {
        let told =
            packet.relays.iter().rev().map(|r| r.link).find(|a| !a.is_unspecified() && !is_link_local(*a));
        match told {
            Some(address) => self.links.iter().find(|l| l.has(address)),
            None => self.links.iter().find(|l| Some(l.id) == arrival.link),
        }
    }
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

impl Question<'_> {
    /// Whether all addresses that the client names are still where it is; nothing where it names none.
    fn confirm(&self, said: &mut Options) -> Option<()> {
        let named: Vec<Ipv6Addr> = self.named().into_iter().map(|(_, address)| address).collect();
        if named.is_empty() {
            return None;
        }
        let here = named.iter().all(|a| self.link.has(*a));
        said.add(code::STATUS, status(if here { SUCCESS } else { NOT_ON_LINK }, ""));
        Some(())
    }

    fn give_back(&self, declined: bool, memory: &mut Declined, said: &mut Options) {
        if declined {
            for (iaid, address) in self.named() {
                let subnet = self.link.owns(self.client, self.mac, iaid, address);
                if let Some(number) = subnet.and_then(|s| s.candidate(self.client, iaid, address)) {
                    memory.next(&self.client.duid, iaid, number);
                }
            }
        }
        said.add(code::STATUS, status(SUCCESS, ""));
    }

    /// Addresses that the client names, with the number of their association.
    fn named(&self) -> Vec<(u32, Ipv6Addr)> {
        let mut named = Vec::new();
        for value in self.options.all(code::IA_NA).take(ASSOCIATIONS) {
            let Some((iaid, inner)) = association(value) else { continue };
            named.extend(inner.all(code::IA_ADDRESS).filter_map(address).map(|a| (iaid, a)));
        }
        named
    }

    /// Answers each association; the first address that is given.
    fn associations(&self, asked: u8, declined: &Declined, said: &mut Options) -> Option<Ipv6Addr> {
        let mut first = None;
        for value in self.options.all(code::IA_NA).take(ASSOCIATIONS) {
            let Some((iaid, named)) = association(value) else { continue };
            let named: Vec<Ipv6Addr> =
                named.all(code::IA_ADDRESS).filter_map(address).take(ASSOCIATIONS).collect();
            let extends = matches!(asked, kind::RENEW | kind::REBIND | kind::REQUEST);
            let kept = named.iter().find_map(|a| {
                let subnet = self.link.owns(self.client, self.mac, iaid, *a).filter(|_| extends)?;
                Some((*a, subnet))
            });
            let given = kept.or_else(|| self.link.address(self.client, self.mac, iaid, declined));
            let mut inner = Options::default();
            let times = match given {
                Some((address, subnet)) => {
                    first = first.or(Some(address));
                    inner.add(code::IA_ADDRESS, lifetime(address, preferred(subnet), subnet.valid));
                    (preferred(subnet) / 2, preferred(subnet) / 5 * 4)
                }
                None => {
                    inner.add(code::STATUS, status(NO_ADDRESSES, "no address is given here"));
                    (0, 0)
                }
            };
            // What it had and may not keep is over (RFC 8415 §18.3.4).
            for gone in named.iter().filter(|a| extends && Some(**a) != given.map(|(address, _)| address)) {
                inner.add(code::IA_ADDRESS, lifetime(*gone, 0, 0));
            }
            let mut bytes = iaid.to_be_bytes().to_vec();
            bytes.extend(times.0.to_be_bytes());
            bytes.extend(times.1.to_be_bytes());
            bytes.extend(inner.encode());
            said.add(code::IA_NA, bytes);
        }
        for (code, head, why) in [(code::IA_TA, 4, NO_ADDRESSES), (code::IA_PD, 12, NO_PREFIX)] {
            for value in self.options.all(code).take(ASSOCIATIONS).filter_map(|v| v.get(..head)) {
                let mut inner = Options::default();
                inner.add(code::STATUS, status(why, "not given here"));
                let mut bytes = value[..4].to_vec();
                bytes.resize(head, 0);
                bytes.extend(inner.encode());
                said.add(code, bytes);
            }
        }
        first
    }

    /// Everything that is not an address; what is to be booted.
    fn settings(&self, said: &mut Options) -> Option<String> {
        let wanted: Vec<u16> = self
            .options
            .get(code::OPTION_REQUEST)
            .unwrap_or_default()
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect();
        let subnet = self.link.subnets.first();
        let addresses = |all: &[Ipv6Addr]| all.iter().flat_map(|a| a.octets()).collect::<Vec<u8>>();
        let mut add = |code: u16, value: Option<Vec<u8>>| {
            if let Some(value) = value.filter(|v| wanted.contains(&code) && !v.is_empty()) {
                said.add(code, value);
            }
        };
        add(code::DNS_SERVERS, subnet.map(|s| addresses(&s.dns_servers)));
        add(code::DOMAIN_SEARCH, subnet.and_then(|s| domain(s.domain.as_deref()?)));
        add(code::NTP_SERVER, subnet.map(|s| time_servers(&s.ntp_servers)));
        add(code::INFORMATION_REFRESH, subnet.map(|s| s.valid.max(600).to_be_bytes().to_vec()));
        let url = self.config.boot_url(self.client, self.mac, self.link)?;
        said.add(code::BOOT_FILE_URL, url.as_bytes());
        if self.client.boot == BootKind::Http {
            // UEFI takes an HTTP URL from servers only that say that they mean it (UEFI §24.7.2).
            let mut class = ENTERPRISE.to_be_bytes().to_vec();
            class.extend([0, 10]);
            class.extend(b"HTTPClient");
            said.add(code::VENDOR_CLASS, class);
        }
        Some(url)
    }
}

fn preferred(subnet: &Subnet) -> u32 {
    subnet.valid / 4 * 3
}

fn association(value: &[u8]) -> Option<(u32, Options)> {
    let iaid = u32::from_be_bytes(value.get(..4)?.try_into().ok()?);
    Some((iaid, Options::decode(value.get(12..)?)))
}

fn address(value: &[u8]) -> Option<Ipv6Addr> {
    Some(<[u8; 16]>::try_from(value.get(..16)?).ok()?.into())
}

fn lifetime(address: Ipv6Addr, preferred: u32, valid: u32) -> Vec<u8> {
    [&address.octets()[..], &preferred.to_be_bytes(), &valid.to_be_bytes()].concat()
}

fn status(code: u16, why: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], why.as_bytes()].concat()
}

/// RFC 5908 §4: each server is a suboption.
fn time_servers(all: &[Ipv6Addr]) -> Vec<u8> {
    all.iter().flat_map(|a| [&[0, 1, 0, 16], &a.octets()[..]].concat()).collect()
}
