//! What the server is told to do: subnets, pools, known machines and boot files. A new picture of the world is a new
//! value; only who refuses the unsigned loader, and which pools are this server's, is found out meanwhile.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::client::Arch;
use crate::mac::MacAddr;

/// Everything [`crate::respond`] decides by, with indexes made once.
#[derive(Debug, Clone, Default)]
pub struct Config {
    subnets: Vec<Subnet>,
    hosts: HashMap<MacAddr, Host>,
    fixed: HashMap<Ipv4Addr, Vec<MacAddr>>,
    boot_by_uuid: HashMap<[u8; 16], HostBoot>,
    /// Interfaces whose firmware gets the signed loader although nothing is known of it that says so.
    pub signed: HashSet<MacAddr>,
    /// How machines boot.
    pub boot: Boot,
    /// Times and bounds.
    pub limits: Limits,
}

/// A subnet that is served, on a link of this box or behind a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The network.
    pub network: Ipv4Net,
    /// Subnets with the same number are on one link, and a client may get an address of any of them.
    pub segment: u64,
    /// Default routers, option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Name servers, option 6.
    pub dns_servers: Vec<Ipv4Addr>,
    /// Time servers, option 42.
    pub ntp_servers: Vec<Ipv4Addr>,
    /// Domain, option 15.
    pub domain: Option<String>,
    /// Interface MTU, option 26.
    pub mtu: Option<u16>,
    /// Addresses that this server may give out freely.
    pub pools: Vec<Pool>,
    /// Lease time, seconds.
    pub lease_seconds: u32,
    /// No other server serves this link, so a client with a wrong address is told (NAK).
    pub authoritative: bool,
    /// What serving means, and what else clients are told.
    pub more: Details,
}

/// What is said of a subnet besides addresses; nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// What serving means.
    pub mode: Mode,
    /// Architectures (option 93) that are told what to boot; all when absent. A client that names none is a BIOS.
    pub boot_archs: Option<Vec<Arch>>,
    /// The same for iPXE, which names its program's architecture, not the way that its firmware fetched it.
    pub ipxe_archs: Option<Vec<Arch>>,
    /// Further options by code, for clients that ask for them.
    pub options: Vec<(u8, Vec<u8>)>,
    /// Routes besides the default one, option 121 (RFC 3442).
    pub routes: Vec<(Ipv4Net, Ipv4Addr)>,
}

/// What serving a subnet means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Addresses and all.
    #[default]
    Serve,
    /// Nothing is answered; see [`crate::preview`].
    Shadow,
    /// Boot information only (PXE 2.1 §2.2, "ProxyDHCP"): another server gives addresses.
    Proxy,
}

/// A run of addresses, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// First address.
    pub first: Ipv4Addr,
    /// Last address.
    pub last: Ipv4Addr,
}

/// A known interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Ethernet address.
    pub mac: MacAddr,
    /// The machine's UUID as printed: it boots by this also through an interface that is not known.
    pub uuid: Option<[u8; 16]>,
    /// Addresses it always gets, one per subnet at most; on other subnets it gets one of a pool.
    pub addresses: Vec<Ipv4Addr>,
    /// Name, option 12.
    pub hostname: Option<String>,
    /// What it may boot.
    pub boot: HostBoot,
    /// Options of its own, before those of its subnet.
    pub options: Vec<(u8, Vec<u8>)>,
}

/// What a known machine may boot from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostBoot {
    /// Nothing: an address only.
    Never,
    /// The usual loader.
    #[default]
    Network,
    /// Nobody knows whether its firmware checks signatures. It gets the signed loader, slower and right for both; but the
    /// usual one when it asks by HTTP, where the signed one cannot go on.
    Either,
    /// The signed loader where the architecture has one; nothing by HTTP.
    Secure,
}

/// Loaders by architecture, and iPXE's script. In every text `{server}` stands for the answering server's address,
/// `{mac}` for the client's, `{uuid}` for its UUID (nothing when it sends none), `{arch}` for its architecture number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Loaders; the first that matches is used.
    pub loaders: Vec<BootFile>,
    /// The URL of the script that iPXE gets.
    pub ipxe_script: Option<String>,
    /// What machines in no [`Host`] may boot.
    pub unknown: HostBoot,
}

/// The loader of one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFile {
    /// The architecture of option 93.
    pub arch: Arch,
    /// TFTP file name, or URL for the architectures that boot by HTTP.
    pub file: String,
    /// The same for machines with Secure Boot.
    pub secure: Option<String>,
}

impl Default for Boot {
    /// Nothing for anybody.
    fn default() -> Boot {
        Boot { loaders: Vec::new(), ipxe_script: None, unknown: HostBoot::Never }
    }
}

/// Times and bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long an offered address waits for its request, seconds.
    pub offer_seconds: u32,
    /// How long an address that a client declined is not given out, seconds.
    pub quarantine_seconds: u32,
    /// Leases remembered at most, live and ended; the longest ended go first.
    pub leases: usize,
    /// Pool addresses given to clients not seen before: so many at once,
    pub new_clients_burst: u32,
    /// and so many each second after that.
    pub new_clients_per_second: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            offer_seconds: 120,
            quarantine_seconds: 600,
            leases: 100_000,
            new_clients_burst: 512,
            new_clients_per_second: 64,
        }
    }
}

impl Pool {
    /// Whether the address is in the run.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }
}

impl Subnet {
    /// Whether the address is one of the network's that a client can have.
    pub fn has_client_address(&self, address: Ipv4Addr) -> bool {
        let ends = self.network.prefix_len() < 31
            && (address == self.network.network() || address == self.network.broadcast());
        self.network.contains(&address) && !ends
    }

    /// Whether the address may be given to anybody.
    pub fn is_dynamic(&self, address: Ipv4Addr) -> bool {
        self.has_client_address(address)
            && !self.routers.contains(&address)
            && self.pools.iter().any(|pool| pool.contains(address))
    }
}

impl Config {
    /// Makes the indexes. Of two hosts with one MAC the later one wins, and keeps the addresses of both.
    pub fn new(subnets: Vec<Subnet>, hosts: Vec<Host>, boot: Boot, limits: Limits) -> Config {
        let mut config = Config { subnets, boot, limits, ..Config::default() };
        for mut host in hosts {
            for address in &host.addresses {
                config.fixed.entry(*address).or_default().push(host.mac);
            }
            if let Some(uuid) = host.uuid {
                config.boot_by_uuid.insert(uuid, host.boot);
            }
            if let Some(earlier) = config.hosts.remove(&host.mac) {
                host.addresses.extend(earlier.addresses);
            }
            config.hosts.insert(host.mac, host);
        }
        config
    }

    /// The subnets.
    pub fn subnets(&self) -> &[Subnet] {
        &self.subnets
    }

    /// The known interface with this address.
    pub fn host(&self, mac: MacAddr) -> Option<&Host> {
        self.hosts.get(&mac)
    }

    /// What a machine may boot, by its UUID and then by the interface it asks through; `None` when it is not known.
    pub fn host_boot(&self, uuid: Option<[u8; 16]>, mac: Option<MacAddr>) -> Option<HostBoot> {
        let by_uuid = uuid.and_then(|u| self.boot_by_uuid.get(&u)).copied();
        by_uuid.or_else(|| mac.and_then(|m| self.hosts.get(&m)).map(|h| h.boot))
    }

    /// The narrowest subnet with that address in its network.
    pub fn subnet_of(&self, address: Ipv4Addr) -> Option<&Subnet> {
        self.subnets.iter().filter(|s| s.network.contains(&address)).max_by_key(|s| s.network.prefix_len())
    }

    /// All subnets on the link of `subnet`, itself first.
    pub fn segment_of<'a>(&'a self, subnet: &'a Subnet) -> impl Iterator<Item = &'a Subnet> {
        let others = self.subnets.iter().filter(move |s| s.segment == subnet.segment && *s != subnet);
        std::iter::once(subnet).chain(others)
    }

    /// Whether the address is fixed, and not to `mac`.
    pub fn fixed_to_other(&self, address: Ipv4Addr, mac: Option<MacAddr>) -> bool {
        self.fixed.get(&address).is_some_and(|owners| !owners.iter().any(|o| Some(*o) == mac))
    }

    /// Whether the address is fixed to anybody.
    pub fn is_fixed(&self, address: Ipv4Addr) -> bool {
        self.fixed.contains_key(&address)
    }

    /// Puts other pools in place of those of each subnet.
    pub fn set_pools(&mut self, pools: impl Fn(&Subnet) -> Vec<Pool>) {
        for subnet in &mut self.subnets {
            subnet.pools = pools(subnet);
        }
    }

    /// The address that `mac` always gets in `subnet`.
    pub fn fixed_address(&self, mac: Option<MacAddr>, subnet: &Subnet) -> Option<Ipv4Addr> {
        let host = self.hosts.get(&mac?)?;
        host.addresses.iter().copied().find(|a| subnet.has_client_address(*a))
    }
}
