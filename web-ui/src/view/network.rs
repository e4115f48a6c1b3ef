//! Fabrics, VLANs, subnets with their ranges, and leases. Changing them is in `network_edit`.

use super::Layout;
use super::network_map::{Inhabitants, NetworkMap};
use crate::format::Moment;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::Role;
use rackwright_region::model::network::{
    DhcpMode, Fabric, IpRange, Lease, Reservation, Subnet, Utilisation, Vlan,
};
use rackwright_region::model::space::Space;
use rackwright_region::model::static_route::StaticRoute;
use time::OffsetDateTime;

/// A VLAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VlanRow {
    /// Number of its row.
    pub id: i64,
    /// Name.
    pub name: String,
    /// `untagged`, or its number.
    pub number: String,
    /// MTU, bytes.
    pub mtu: i32,
    /// What racks do about DHCP here, in words; nothing when empty.
    pub dhcp: &'static str,
    /// Subnets: number and network.
    pub subnets: Vec<(i64, String)>,
}

/// A fabric with its VLANs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FabricRow {
    /// Number.
    pub id: i64,
    /// Name.
    pub name: String,
    /// VLANs, by number.
    pub vlans: Vec<VlanRow>,
}

/// A space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceRow {
    /// Number.
    pub id: i64,
    /// Name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Its VLANs with their fabrics, in words.
    pub vlans: Vec<String>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetRow {
    /// Number.
    pub id: i64,
    /// Network.
    pub cidr: String,
    /// Name, where it is not the network itself.
    pub name: String,
    /// Fabric and VLAN.
    pub vlan: String,
    /// What racks do about DHCP here, in words; nothing when empty.
    pub dhcp: &'static str,
    /// Default route.
    pub gateway: String,
    /// Name servers.
    pub dns: String,
    /// Ranges: kind, addresses, comment.
    pub ranges: Vec<(&'static str, String, String)>,
    /// Addresses used, of how many.
    pub used: String,
    /// The same in per cent.
    pub percent: u64,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// Address.
    pub address: String,
    /// Hardware address; the identifier where an IPv6 client tells only that.
    pub client: String,
    /// What the client calls itself.
    pub hostname: String,
    /// Machine.
    pub machine: String,
    /// The rack that gave it.
    pub rack: String,
    /// Until when.
    pub expires: Moment,
}

/// All of the network.
#[derive(Debug, Default)]
pub struct Sources {
    /// Fabrics.
    pub fabrics: Vec<Fabric>,
    /// VLANs.
    pub vlans: Vec<Vlan>,
    /// Spaces.
    pub spaces: Vec<Space>,
    /// Static routes.
    pub routes: Vec<StaticRoute>,
    /// Subnets and how they are used.
    pub subnets: Vec<(Subnet, Utilisation)>,
    /// Ranges.
    pub ranges: Vec<IpRange>,
    /// Reservations.
    pub reservations: Vec<Reservation>,
    /// Leases.
    pub leases: Vec<Lease>,
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "networks.html")]
pub struct NetworksPage {
    /// Around it.
    pub layout: Layout,
    /// May change it.
    pub administrator: bool,
    /// Fabrics with their VLANs.
    pub fabrics: Vec<FabricRow>,
    /// Spaces.
    pub spaces: Vec<SpaceRow>,
    /// Subnets.
    pub subnets: Vec<SubnetRow>,
    /// Reservations: address, MAC, name.
    pub reservations: Vec<(String, String, String)>,
    /// Leases.
    pub leases: Vec<LeaseRow>,
    /// Map and strips.
    pub pictures: NetworkMap,
}

impl NetworksPage {
    /// Of the whole network.
    pub fn new(layout: Layout, sources: &Sources, now: OffsetDateTime) -> Self {
        let reservation = |r: &Reservation| {
            (r.address.to_string(), r.mac.to_string(), r.hostname.clone().unwrap_or_default())
        };
        Self {
            administrator: layout.role >= Role::Administrator,
            layout,
            fabrics: sources.fabrics.iter().map(|f| fabric(f, sources)).collect(),
            spaces: sources.spaces.iter().map(|s| space(s, sources)).collect(),
            subnets: sources.subnets.iter().map(|(s, u)| subnet(s, u, sources)).collect(),
            reservations: sources.reservations.iter().map(reservation).collect(),
            leases: sources.leases.iter().map(|l| LeaseRow::new(l, now)).collect(),
            pictures: NetworkMap::new(sources, &Inhabitants::default()),
        }
    }
}

impl LeaseRow {
    /// Of a lease.
    pub fn new(l: &Lease, now: OffsetDateTime) -> Self {
        Self {
            address: l.address.to_string(),
            client: match (l.mac, &l.duid) {
                (Some(mac), _) => mac.to_string(),
                (None, Some(duid)) => duid.clone(),
                (None, None) => String::new(),
            },
            hostname: l.hostname.clone().unwrap_or_default(),
            machine: l.machine.as_ref().map(ToString::to_string).unwrap_or_default(),
            rack: l.rack.clone(),
            expires: Moment::new(l.expires_at, now),
        }
    }
}

fn space(s: &Space, sources: &Sources) -> SpaceRow {
    let vlans = sources.vlans.iter().filter(|v| v.space == Some(s.id)).map(|v| place(Some(v), sources));
    SpaceRow { id: s.id, name: s.name.clone(), description: s.description.clone(), vlans: vlans.collect() }
}

/// Fabric and VLAN in words.
pub fn place(vlan: Option<&Vlan>, sources: &Sources) -> String {
    let fabric = vlan.and_then(|v| sources.fabrics.iter().find(|f| f.id == v.fabric));
    vlan.map_or_else(String::new, |v| {
        format!("{}, {} ({})", fabric.map_or("?", |f| &f.name), vlan_number(v), v.name)
    })
}

/// What racks do about DHCP in a VLAN; empty for nothing.
fn dhcp_in_words(v: &Vlan) -> &'static str {
    match (v.dhcp, v.dhcp_mode) {
        (false, _) => "",
        (true, DhcpMode::Serve) => "served",
        (true, DhcpMode::Proxy) => "boot information only",
        (true, DhcpMode::Shadow) => "listens only",
    }
}

fn vlan_number(v: &Vlan) -> String {
    if v.vid == 0 { "untagged".to_owned() } else { format!("VLAN {}", v.vid) }
}

fn fabric(f: &Fabric, sources: &Sources) -> FabricRow {
    let subnets = |vlan: i64| {
        let within = sources.subnets.iter().filter(move |(s, _)| s.vlan == vlan);
        within.map(|(s, _)| (s.id, s.cidr.to_string())).collect()
    };
    let mut vlans: Vec<&Vlan> = sources.vlans.iter().filter(|v| v.fabric == f.id).collect();
    vlans.sort_by_key(|v| v.vid);
    let row = |v: &Vlan| VlanRow {
        id: v.id,
        name: v.name.clone(),
        number: vlan_number(v),
        mtu: v.mtu,
        dhcp: dhcp_in_words(v),
        subnets: subnets(v.id),
    };
    FabricRow { id: f.id, name: f.name.clone(), vlans: vlans.into_iter().map(row).collect() }
}

fn subnet(s: &Subnet, u: &Utilisation, sources: &Sources) -> SubnetRow {
    let vlan = sources.vlans.iter().find(|v| v.id == s.vlan);
    let place = place(vlan, sources);
    let range = |r: &IpRange| (r.kind.as_str(), format!("{} – {}", r.first, r.last), r.comment.clone());
    let used = u.machines.saturating_add(u.reservations).saturating_add(u.leased);
    let all = u.addresses.max(1);
    let cidr = s.cidr.to_string();
    SubnetRow {
        id: s.id,
        name: if s.name == cidr { String::new() } else { s.name.clone() },
        cidr,
        vlan: place,
        dhcp: vlan.map(dhcp_in_words).unwrap_or_default(),
        gateway: s.gateway.map(|g| g.to_string()).unwrap_or_default(),
        dns: s.dns_servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        ranges: sources.ranges.iter().filter(|r| r.subnet == s.id).map(range).collect(),
        used: format!("{used} of {}", u.addresses),
        percent: u64::try_from(u128::from(used) * 100 / u128::from(all)).unwrap_or(100),
    }
}

#[cfg(test)]
impl NetworksPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        Self::new(Layout::sample("Networks"), &super::sample::network(), super::sample_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_tells_its_place_and_use() {
        let page = NetworksPage::sample();
        let row = &page.subnets[0];
        assert_eq!((row.cidr.as_str(), row.percent, row.used.as_str()), ("10.77.0.0/24", 20, "51 of 254"));
        assert_eq!(row.ranges[0].1, "10.77.0.100 – 10.77.0.199");
    }
}
