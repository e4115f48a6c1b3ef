//! What the server knows, and the addresses that follow from it.

use crate::{BootKind, Client, MacAddr};
use ipnet::Ipv6Net;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::Ipv6Addr;

/// How many addresses are computed for a client: the second is for when the first turned out to be taken, and so on.
pub const CANDIDATES: u8 = 8;
/// Clients whose declined addresses are remembered.
const REMEMBERED: usize = 4096;

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its network.
    pub network: Ipv6Net,
    /// Where addresses are computed from: first and last. They do not overlap.
    pub ranges: Vec<(Ipv6Addr, Ipv6Addr)>,
    /// Fixed addresses.
    pub fixed: HashMap<MacAddr, Ipv6Addr>,
    /// Name servers.
    pub dns_servers: Vec<Ipv6Addr>,
    /// Time servers.
    pub ntp_servers: Vec<Ipv6Addr>,
    /// Domain name.
    pub domain: Option<String>,
    /// How long an address is valid, seconds.
    pub valid: u32,
    /// Architectures (option 61) that are told what to boot; all when absent.
    pub boot_archs: Option<Vec<u16>>,
    /// The same for iPXE, which names its program's architecture, not the way that its firmware fetched it.
    pub ipxe_archs: Option<Vec<u16>>,
}

/// Subnets on one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number, the same for all servers; the DUID follows from it.
    pub id: u64,
    /// Subnets.
    pub subnets: Vec<Subnet>,
    /// This server's own address there, in URLs.
    pub own: Option<Ipv6Addr>,
}

/// A known machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// It gets the signed loader, where there is one.
    pub signed: bool,
    /// It may boot by HTTP, where no loader is signed.
    pub http: bool,
}

/// What is booted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Boot {
    /// Loader by architecture: unsigned, and signed where there is one.
    pub loaders: HashMap<u16, (String, Option<String>)>,
    /// Path and query of iPXE's script, with `{mac}` in it.
    pub script: String,
    /// Port of the HTTP service.
    pub http_port: u16,
    /// Machines that nobody knows boot too.
    pub strangers: bool,
}

/// All that the server knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Links.
    pub links: Vec<Link>,
    /// Known machines by hardware address.
    pub hosts: HashMap<MacAddr, Host>,
    /// Hardware address by UUID, as UEFI writes it.
    pub uuids: HashMap<[u8; 16], MacAddr>,
    /// What is booted.
    pub boot: Boot,
}

/// Addresses that turned out to be somebody else's: how many of a client's were. Forgotten when the server is started
/// again; the client will find out again.
#[derive(Debug, Clone, Default)]
pub struct Declined(HashMap<(Vec<u8>, u32), u8>);

impl Declined {
    /// This client did not take this one.
    pub(crate) fn next(&mut self, duid: &[u8], iaid: u32, declined: u8) {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert((duid.to_vec(), iaid), (declined + 1) % CANDIDATES);
    }

    fn of(&self, duid: &[u8], iaid: u32) -> u8 {
        self.0.get(&(duid.to_vec(), iaid)).copied().unwrap_or(0)
    }
}

impl Link {
    /// Names all servers of this link (DUID-UUID, RFC 6355).
    pub fn duid(&self) -> Vec<u8> {
        let hash =
            Sha256::new().chain_update(b"rackwright dhcpv6 server").chain_update(self.id.to_be_bytes());
        [&[0, 4], &hash.finalize()[..16]].concat()
    }

    /// Whether an address is on this link.
    pub fn has(&self, address: Ipv6Addr) -> bool {
        self.subnets.iter().any(|s| s.network.contains(&address))
    }

    /// The client's address, and its subnet: a fixed one before a computed one.
    pub fn address(
        &self,
        client: &Client,
        mac: Option<MacAddr>,
        iaid: u32,
        declined: &Declined,
    ) -> Option<(Ipv6Addr, &Subnet)> {
        let fixed = |s: &&Subnet| mac.is_some_and(|mac| s.fixed.contains_key(&mac));
        if let (Some(subnet), Some(mac)) = (self.subnets.iter().find(fixed), mac) {
            return Some((*subnet.fixed.get(&mac)?, subnet));
        }
        let subnet = self.subnets.iter().find(|s| !s.ranges.is_empty())?;
        Some((subnet.computed(&client.duid, iaid, declined.of(&client.duid, iaid))?, subnet))
    }

    /// Whether an address may be this client's, and its subnet.
    pub fn owns(
        &self,
        client: &Client,
        mac: Option<MacAddr>,
        iaid: u32,
        address: Ipv6Addr,
    ) -> Option<&Subnet> {
        let subnet = self.subnets.iter().find(|s| s.network.contains(&address))?;
        if let Some(fixed) = mac.and_then(|mac| subnet.fixed.get(&mac)) {
            return (*fixed == address).then_some(subnet);
        }
        subnet.candidate(client, iaid, address).map(|_| subnet)
    }
}

impl Subnet {
    /// The address of a client, the `number`th of its [`CANDIDATES`].
    fn computed(&self, duid: &[u8], iaid: u32, number: u8) -> Option<Ipv6Addr> {
        let size = |(first, last): &(Ipv6Addr, Ipv6Addr)| u128::from(*last) - u128::from(*first);
        // One less than the count: all addresses are more than fit.
        let most = self.ranges.iter().map(size).reduce(|a, b| a.saturating_add(b).saturating_add(1))?;
        let hash = Sha256::new()
            .chain_update(self.network.to_string())
            .chain_update(iaid.to_be_bytes())
            .chain_update([number])
            .chain_update(duid)
            .finalize();
        let drawn = u128::from_be_bytes(hash[..16].try_into().ok()?);
        let mut at = most.checked_add(1).map_or(drawn, |count| drawn % count);
        for range in &self.ranges {
            if at <= size(range) {
                return Some((u128::from(range.0) + at).into());
            }
            at -= size(range) + 1;
        }
        None
    }

    fn lets_boot(&self, client: &Client) -> bool {
        let all = if client.boot == BootKind::Ipxe { &self.ipxe_archs } else { &self.boot_archs };
        all.as_ref().is_none_or(|all| client.architecture.is_some_and(|own| all.contains(&own)))
    }

    /// Which of a client's candidates an address is.
    pub(crate) fn candidate(&self, client: &Client, iaid: u32, address: Ipv6Addr) -> Option<u8> {
        (0..CANDIDATES).find(|n| self.computed(&client.duid, iaid, *n) == Some(address))
    }
}

impl Config {
    /// The hardware address of a client: by its UUID where the firmware tells only that.
    pub fn mac(&self, client: &Client) -> Option<MacAddr> {
        client.mac.or_else(|| self.uuids.get(&client.uuid?).copied())
    }

    /// What a client boots (RFC 5970 §3.1); nothing where it may not or cannot.
    pub(crate) fn boot_url(&self, client: &Client, mac: Option<MacAddr>, link: &Link) -> Option<String> {
        let own = link.own?;
        if !link.subnets.first().is_none_or(|subnet| subnet.lets_boot(client)) {
            return None;
        }
        let host = mac.and_then(|mac| self.hosts.get(&mac));
        if host.is_none() && !self.boot.strangers {
            return None;
        }
        let port = self.boot.http_port;
        let loader = || {
            let (unsigned, signed) = self.boot.loaders.get(&client.architecture?)?;
            Some(signed.as_ref().filter(|_| host.is_none_or(|h| h.signed)).unwrap_or(unsigned))
        };
        match client.boot {
            BootKind::None => None,
            BootKind::Ipxe => {
                let mac = mac.map(|m| m.map(|b| format!("{b:02x}")).join(":")).unwrap_or_default();
                Some(format!("http://[{own}]:{port}{}", self.boot.script.replace("{mac}", &mac)))
            }
            BootKind::Pxe => Some(format!("tftp://[{own}]/{}", loader()?)),
            BootKind::Http if host.is_some_and(|h| !h.http) => None,
            BootKind::Http => Some(format!("http://[{own}]:{port}/boot/{}", loader()?)),
        }
    }
}
