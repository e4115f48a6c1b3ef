//! What a rack knows of the world: one value with a generation number, pushed whole by a region, checked,
//! persisted and swapped atomically by the rack. With every region dead a rack goes on doing all that its last
//! snapshot allows.

use crate::id::{Fence, MachineId};
use crate::names::NamesView;
use crate::net::{Hostname, Mac};
use crate::newer;
use crate::ntp::TimeView;
use crate::secret::{Secret, exposed};
use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use uuid::Uuid;

/// One rack's picture of the world.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Grows with each change; a rack refuses one lower than it has.
    pub generation: u64,
    /// The subnets whose VLANs this rack serves.
    pub subnets: Vec<SubnetView>,
    /// IPv6 subnets of the VLANs that this rack serves, where DHCP is on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subnets6: Vec<Subnet6View>,
    /// Known machines.
    pub hosts: Vec<HostView>,
    /// Fixed addresses of things that are not (yet) machines.
    pub reservations: Vec<ReservationView>,
    /// What a machine gets that is in none of `hosts`: enlisting, or nothing when `None`.
    pub enlist: Option<EphemeralBoot>,
    /// Files by the name under which TFTP and HTTP serve them (`undionly.kpxe`, `shimx64.efi`, …).
    pub boot_files: BTreeMap<String, BlobRef>,
    /// Blobs to keep in the cache before anybody asks.
    pub pinned: Vec<BlobRef>,
    /// `address:port` of the HTTP service of every live rack that machines of these subnets reach.
    pub racks: Vec<String>,
    /// Answer router solicitations on served interfaces (saves old iPXE 13 s where no router does).
    pub router_advertisements: bool,
    /// Names of the site, and who is told of which.
    pub names: NamesView,
    /// Where the time comes from.
    pub time: TimeView,
    /// Networks each of whose addresses the rack may ask who has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scan: Vec<Ipv4Net>,
}

/// A subnet as DHCP and boot need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetView {
    /// The subnet's number in the region.
    pub id: i64,
    /// The network.
    pub cidr: Ipv4Net,
    /// Default route for clients.
    #[serde(default)]
    pub gateway: Option<Ipv4Addr>,
    /// Name servers for clients; none means the racks that answer names ([`NamesView::servers`]).
    #[serde(default)]
    pub dns_servers: Vec<Ipv4Addr>,
    /// Time servers for clients (option 42).
    #[serde(default)]
    pub ntp_servers: Vec<Ipv4Addr>,
    /// Domain name for clients (option 15).
    #[serde(default)]
    pub domain: Option<String>,
    /// Interface MTU (option 26), when it differs from 1500.
    #[serde(default)]
    pub mtu: Option<u16>,
    /// Whether DHCP is served here.
    pub dhcp: bool,
    /// Lease time of dynamic addresses, seconds.
    pub lease_seconds: u32,
    /// The parts of the subnet's dynamic ranges that are granted to this rack.
    #[serde(default)]
    pub blocks: Vec<BlockView>,
    /// Its VLAN's number in the region: subnets of one VLAN are on one link. None from a region that does not say.
    #[serde(default)]
    pub vlan: Option<i64>,
    /// What serving means.
    #[serde(default)]
    pub mode: ServeMode,
    /// Numbers of the architectures (option 93) that may boot here; all when absent.
    #[serde(default)]
    pub boot_architectures: Option<Vec<u16>>,
    /// Options for its clients, those of its VLAN included.
    #[serde(default)]
    pub options: Vec<OptionView>,
    /// Routes for its clients (option 121, RFC 3442).
    #[serde(default)]
    pub routes: Vec<RouteView>,
}

/// An IPv6 subnet as DHCPv6 needs it. All racks compute the same addresses from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet6View {
    /// The subnet's number in the region.
    pub id: i64,
    /// Its VLAN's number in the region.
    pub vlan: i64,
    /// The network.
    pub cidr: Ipv6Net,
    /// Name servers for clients.
    #[serde(default)]
    pub dns_servers: Vec<Ipv6Addr>,
    /// Domain name for clients.
    #[serde(default)]
    pub domain: Option<String>,
    /// How long an address is valid, seconds.
    pub valid_seconds: u32,
    /// Numbers of the architectures (option 61) that may boot here; all when absent.
    #[serde(default)]
    pub boot_architectures: Option<Vec<u16>>,
    /// Dynamic ranges: first and last address.
    #[serde(default)]
    pub ranges: Vec<(Ipv6Addr, Ipv6Addr)>,
    /// Fixed addresses.
    #[serde(default)]
    pub fixed: Vec<Fixed6View>,
}

/// A fixed IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixed6View {
    /// Whose.
    pub mac: Mac,
    /// Which.
    pub address: Ipv6Addr,
}

/// What a rack does where DHCP is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServeMode {
    /// It gives addresses.
    #[default]
    Serve,
    /// It answers nothing, and reports what it would have answered.
    Shadow,
    /// It gives boot information only.
    Proxy,
    /// From a newer version: nothing is answered.
    #[serde(other)]
    Unknown,
}

/// A DHCP option as it goes onto the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionView {
    /// Code.
    pub code: u8,
    /// Value, 1 to 255 bytes.
    pub value: Vec<u8>,
}

/// A route to a network that is reached by another way than the default one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteView {
    /// Where to.
    pub destination: Ipv4Net,
    /// By way of.
    pub gateway: Ipv4Addr,
}

/// A run of dynamic addresses granted to one rack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockView {
    /// First address.
    pub first: Ipv4Addr,
    /// Last address, included.
    pub last: Ipv4Addr,
    /// Raised when the block is granted anew.
    pub epoch: i64,
    /// Nothing is given from it before the changes of leases up to this number are taken.
    #[serde(default)]
    pub since: i64,
}

/// A known machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostView {
    /// Which.
    pub machine: MachineId,
    /// Its name.
    pub hostname: Hostname,
    /// SMBIOS system UUID, when known.
    #[serde(default)]
    pub uuid: Option<Uuid>,
    /// Its network interfaces.
    pub interfaces: Vec<HostInterface>,
    /// What it boots when it asks.
    #[serde(deserialize_with = "newer::read")]
    pub boot: BootDecision,
    /// Whether its firmware starts signed loaders only; `None` when it was never seen from inside.
    #[serde(default)]
    pub secure_boot: Option<bool>,
}

/// An interface of a known machine, and the address it always gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInterface {
    /// Hardware address.
    pub mac: Mac,
    /// Fixed address; dynamic when `None`.
    #[serde(default)]
    pub address: Option<Ipv4Addr>,
}

/// A fixed address for a MAC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationView {
    /// Hardware address.
    pub mac: Mac,
    /// The address.
    pub address: Ipv4Addr,
    /// Name told to the client (option 12).
    #[serde(default)]
    pub hostname: Option<Hostname>,
    /// Options for this client.
    #[serde(default)]
    pub options: Vec<OptionView>,
}

/// What a machine boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "boot")]
pub enum BootDecision {
    /// The local disk.
    Local,
    /// The ephemeral environment.
    Ephemeral(EphemeralBoot),
    /// Power off (through the boot script).
    PowerOff,
    /// Wait and ask again: something else decides soon.
    Hold {
        /// Shown on the machine's console.
        reason: String,
    },
}

/// How to start the ephemeral environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EphemeralBoot {
    /// Linux kernel.
    pub kernel: BlobRef,
    /// Initial RAM file system.
    pub initrd: BlobRef,
    /// Appended to the kernel's command line (console and the like).
    pub arguments: String,
    /// The agent's token, bound to this machine and boot.
    #[serde(with = "exposed")]
    pub token: Secret<String>,
    /// On whose behalf; none when enlisting.
    #[serde(default)]
    pub fence: Option<Fence>,
}

/// Content by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlobRef {
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

impl Snapshot {
    /// The machine that asks, by hardware UUID first, then by MAC: a card may have moved. Some boards all have one
    /// UUID: among machines that may have this one, the MAC decides.
    pub fn host(&self, uuid: Option<Uuid>, mac: Option<Mac>) -> Option<&HostView> {
        let by_mac = mac.and_then(|m| self.host_by_mac(m));
        if by_mac.is_some_and(|host| host.uuid.is_none() || host.uuid == uuid) {
            return by_mac;
        }
        uuid.and_then(|u| self.hosts.iter().find(|h| h.uuid == Some(u))).or(by_mac)
    }

    /// The machine with this interface.
    pub fn host_by_mac(&self, mac: Mac) -> Option<&HostView> {
        self.hosts.iter().find(|h| h.interfaces.iter().any(|i| i.mac == mac))
    }

    /// The decision for whoever asks; `None` for a stranger where enlisting is off.
    pub fn boot_decision(&self, uuid: Option<Uuid>, mac: Option<Mac>) -> Option<BootDecision> {
        match self.host(uuid, mac) {
            Some(host) => Some(host.boot.clone()),
            None => self.enlist.clone().map(BootDecision::Ephemeral),
        }
    }

    /// Whether this blob may be served: only what the snapshot lists is.
    pub fn lists_blob(&self, sha256: &str) -> bool {
        let ephemeral = |boot: &BootDecision| match boot {
            BootDecision::Ephemeral(e) => e.kernel.sha256 == sha256 || e.initrd.sha256 == sha256,
            BootDecision::Local | BootDecision::PowerOff | BootDecision::Hold { .. } => false,
        };
        self.pinned.iter().chain(self.boot_files.values()).any(|b| b.sha256 == sha256)
            || self.enlist.as_ref().is_some_and(|e| e.kernel.sha256 == sha256 || e.initrd.sha256 == sha256)
            || self.hosts.iter().any(|h| ephemeral(&h.boot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, uuid: Option<u128>, last: u8) -> HostView {
        HostView {
            machine: MachineId::random(),
            hostname: name.parse().expect("a host name"),
            uuid: uuid.map(Uuid::from_u128),
            interfaces: vec![HostInterface { mac: Mac([2, 0, 0, 0, 0, last]), address: None }],
            boot: BootDecision::Local,
            secure_boot: Some(false),
        }
    }

    #[test]
    fn boards_that_share_a_uuid_are_told_apart_by_their_mac_and_a_moved_card_moves_nothing() {
        let hosts = vec![
            host("twin-1", Some(7), 1),
            host("twin-2", Some(7), 2),
            host("typed-in", None, 3),
            host("other", Some(8), 4),
        ];
        let snapshot = Snapshot { hosts, ..Snapshot::default() };
        let asks = |uuid: u128, last: u8| {
            let host = snapshot.host(Some(Uuid::from_u128(uuid)), Some(Mac([2, 0, 0, 0, 0, last])));
            host.map(|h| h.hostname.as_str())
        };
        assert_eq!(asks(7, 1), Some("twin-1"));
        assert_eq!(asks(7, 2), Some("twin-2"));
        assert_eq!(asks(7, 3), Some("typed-in"), "its UUID is not known yet");
        assert_eq!(asks(7, 4), Some("twin-1"), "the card of another machine");
        assert_eq!(asks(8, 9), Some("other"), "a new card");
        assert_eq!(asks(9, 9), None);
    }
}
