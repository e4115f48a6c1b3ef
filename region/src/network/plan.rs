//! The network of the system that a machine is to get: what is stored about its interfaces, checked, and as the agent
//! is told.

use super::pick;
use crate::db::interface::Interface;
use crate::db::virtual_interface::{Address, Owner};
use crate::db::{
    DbError, address, address_probe, domain, interface, rack, static_route, subnet, virtual_interface, vlan,
};
use crate::model::interface::{AddressMode, DefaultGateways, VirtualInterface, VirtualKind};
use crate::model::network::{Subnet, Vlan};
use crate::model::static_route::StaticRoute;
use ipnet::{IpNet, Ipv4Net};
use rackwright_common::network::{
    InterfacePlan, LinkMode, LinkPlan, NetworkPlan, RoutePlan, VirtualKind as PlanKind, VirtualPlan,
};
use rackwright_common::{MachineId, OperationId};
use sqlx::PgConnection;
use std::net::{IpAddr, Ipv4Addr};

/// An interface's MTU when nobody names one, bytes.
const USUAL_MTU: i32 = 1500;

/// All that is stored about a machine's network.
#[derive(Debug)]
pub struct Stored {
    /// Physical interfaces, the one it boots from first.
    pub physical: Vec<Interface>,
    /// Interfaces made of others.
    pub made: Vec<VirtualInterface>,
    /// Addresses besides the first of physical ones.
    pub addresses: Vec<Address>,
    gateways: DefaultGateways,
    subnets: Vec<Subnet>,
    vlans: Vec<Vlan>,
    routes: Vec<StaticRoute>,
    /// Living racks that answer names.
    answering: Vec<Ipv4Addr>,
    default_domain: Option<String>,
}

impl Stored {
    /// Reads it.
    pub async fn load(conn: &mut PgConnection, machine: &MachineId) -> Result<Self, DbError> {
        Ok(Self {
            physical: interface::list_of_machine(conn, machine).await?,
            made: virtual_interface::list(conn, machine).await?,
            addresses: virtual_interface::addresses(conn, machine).await?,
            gateways: virtual_interface::gateways(conn, machine).await?,
            subnets: subnet::list(conn, None).await?,
            vlans: vlan::list(conn, None).await?,
            routes: static_route::list(conn, None).await?,
            answering: answering_racks(conn).await?,
            default_domain: domain::list(conn, None)
                .await?
                .into_iter()
                .find(|d| d.is_default)
                .map(|d| d.name),
        })
    }

    fn name_of(&self, id: i64) -> Option<String> {
        let made = self.made.iter().find(|v| v.id == id).map(|v| v.name.clone());
        made.or_else(|| self.physical.iter().find(|i| i.id == id).map(|i| i.name.clone()))
    }

    fn mtu_of(&self, id: i64) -> Option<i32> {
        let made = self.made.iter().find(|v| v.id == id).map(|v| v.mtu);
        made.or_else(|| self.physical.iter().find(|i| i.id == id).map(|i| i.mtu)).flatten()
    }

    /// It is a member of a bond or a port of a bridge, and has no addresses of its own in the installed system.
    fn is_part(&self, id: i64) -> bool {
        let takes =
            |v: &&VirtualInterface| !matches!(v.kind, VirtualKind::Vlan { .. }) && v.parents.contains(&id);
        self.made.iter().any(|v| takes(&v))
    }

    /// Interfaces that want an address and have none yet: row of the address, or of the interface when it is its first.
    fn wanting(&self) -> Vec<(Wanting, i64)> {
        let first =
            self.physical.iter().filter(|i| !self.is_part(i.id) && i.mode == "auto" && i.address.is_none());
        let first = first.filter_map(|i| Some((Wanting::First(i.id), i.subnet?)));
        let more = self.addresses.iter().filter(|a| {
            let part = matches!(a.owner, Owner::Physical(id) | Owner::Virtual(id) if self.is_part(id));
            a.view.mode == AddressMode::Auto && a.view.address.is_none() && !part
        });
        let mut all: Vec<_> =
            first.chain(more.filter_map(|a| Some((Wanting::More(a.id), a.view.subnet?)))).collect();
        // Everybody locks subnets in the same order.
        all.sort_by_key(|(_, subnet)| *subnet);
        all
    }

    /// The address in a subnet that is reserved for an interface.
    async fn reserved(
        &self,
        conn: &mut PgConnection,
        interface: i64,
        subnet: &Subnet,
    ) -> Result<Option<Ipv4Addr>, DbError> {
        let Some(found) = self.physical.iter().find(|i| i.id == interface) else { return Ok(None) };
        let reserved = address::reserved_for(conn, found.mac).await?;
        Ok(reserved.filter(|a| subnet.cidr.contains(&IpAddr::V4(*a))))
    }

    /// What cannot work; for people.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for made in &self.made {
            let name = &made.name;
            if let Some(gone) = made.parents.iter().find(|id| self.name_of(**id).is_none()) {
                problems.push(format!("{name} is made of interface {gone}, which the machine does not have"));
            }
            if matches!(made.kind, VirtualKind::Bond { .. }) && made.parents.is_empty() {
                problems.push(format!("the bond {name} has no members"));
            }
            let same = |other: &&VirtualInterface| {
                other.id < made.id
                    && other.parents.iter().any(|p| made.parents.contains(p) && self.is_part(*p))
                    && !matches!(other.kind, VirtualKind::Vlan { .. })
                    && !matches!(made.kind, VirtualKind::Vlan { .. })
            };
            if let Some(other) = self.made.iter().find(same) {
                problems.push(format!("{name} and {} are made of the same interface", other.name));
            }
            for parent in &made.parents {
                // A bond gives its own MTU to members that name none.
                let bond = matches!(made.kind, VirtualKind::Bond { .. });
                let below = self.mtu_of(*parent).or((!bond).then_some(USUAL_MTU));
                if let (Some(own), Some(below)) = (made.mtu, below)
                    && own > below
                {
                    let on = self.name_of(*parent).unwrap_or_default();
                    problems.push(format!("the MTU of {name}, {own}, is larger than that of {on}, {below}"));
                }
            }
            for address in &made.addresses {
                let of = address.subnet.and_then(|id| self.subnets.iter().find(|s| s.id == id));
                if let (VirtualKind::Vlan { vlan }, Some(subnet)) = (&made.kind, of)
                    && subnet.vlan != *vlan
                {
                    problems
                        .push(format!("{name} has an address in {}, which is on another VLAN", subnet.cidr));
                }
            }
        }
        let plan = self.plan();
        let addressed = plan.interfaces.iter().any(|i| plan.needs_link(i))
            || plan.virtual_interfaces.iter().any(|v| v.link.has_address());
        if !addressed && !self.physical.is_empty() {
            problems
                .push("no interface has an address, so that the installed system could never report".into());
        }
        for (chosen, family) in [(self.gateways.ipv4, "IPv4"), (self.gateways.ipv6, "IPv6")] {
            let Some(subnet) = chosen.and_then(|id| self.subnets.iter().find(|s| s.id == id)) else {
                continue;
            };
            if subnet.gateway.is_none() {
                problems
                    .push(format!("{} is to be the {family} default route and has no gateway", subnet.cidr));
            } else if !self.links().any(|link| link.2 == Some(subnet.id)) {
                problems.push(format!(
                    "{} is to be the {family} default route and no interface has an address in it",
                    subnet.cidr
                ));
            }
        }
        problems
    }

    /// Interface, address, subnet of each fixed address, in the order in which a default route is looked for.
    fn links(&self) -> impl Iterator<Item = (i64, Option<IpAddr>, Option<i64>)> {
        let first = self.physical.iter().filter(|i| !self.is_part(i.id) && i.mode == "auto");
        let first = first.map(|i| (i.id, i.address.map(IpAddr::V4), i.subnet));
        let more = self.addresses.iter().filter(|a| a.view.mode != AddressMode::Dhcp).map(|a| {
            let (Owner::Physical(id) | Owner::Virtual(id)) = a.owner;
            (id, a.view.address, a.view.subnet)
        });
        first.chain(more.filter(|(id, ..)| !self.is_part(*id)))
    }

    /// The subnet that gives the default route of a family.
    fn default_subnet(&self, ipv4: bool) -> Option<i64> {
        let chosen = if ipv4 { self.gateways.ipv4 } else { self.gateways.ipv6 };
        chosen.or_else(|| {
            let has = |id: &i64| {
                let subnet = self.subnets.iter().find(|s| s.id == *id);
                subnet.is_some_and(|s| s.gateway.is_some_and(|g| g.is_ipv4() == ipv4))
            };
            self.links().filter(|(_, address, _)| address.is_some()).filter_map(|(.., s)| s).find(has)
        })
    }

    fn link(&self, owner: Owner, mtu: Option<i32>, gateways: &mut Vec<i64>) -> LinkPlan {
        let mut link = LinkPlan { mtu: mtu.and_then(|m| u32::try_from(m).ok()), ..LinkPlan::default() };
        for address in self.addresses.iter().filter(|a| a.owner == owner) {
            if address.view.mode == AddressMode::Dhcp {
                link.dhcp = true;
                continue;
            }
            let subnet = address.view.subnet.and_then(|id| self.subnets.iter().find(|s| s.id == id));
            let (Some(subnet), Some(own)) = (subnet, address.view.address) else { continue };
            let Ok(net) = IpNet::new(own, subnet.cidr.prefix_len()) else { continue };
            link.addresses.push(net);
            self.add_routes(&mut link, subnet, gateways);
        }
        link
    }

    /// Default route and static routes of a subnet, where nothing else has them yet.
    fn add_routes(&self, link: &mut LinkPlan, subnet: &Subnet, gateways: &mut Vec<i64>) {
        if let Some(at) = gateways.iter().position(|id| *id == subnet.id) {
            gateways.remove(at);
            link.gateways.extend(subnet.gateway);
        }
        for route in self.routes.iter().filter(|r| r.subnet == subnet.id) {
            let metric = u32::try_from(route.metric).unwrap_or(0);
            let plan = RoutePlan { to: route.destination, via: route.gateway, metric };
            if !link.routes.contains(&plan) {
                link.routes.push(plan);
            }
        }
    }

    /// As the agent is told.
    pub fn plan(&self) -> NetworkPlan {
        let mut plan = NetworkPlan::default();
        let mut gateways: Vec<i64> = [true, false].iter().filter_map(|v4| self.default_subnet(*v4)).collect();
        for interface in &self.physical {
            plan.interfaces.push(self.physical_plan(interface, &mut gateways));
        }
        for made in self.in_order() {
            plan.virtual_interfaces.push(VirtualPlan {
                name: made.name.clone(),
                kind: self.kind(made),
                mac: made.mac,
                link: if self.is_part(made.id) {
                    LinkPlan { mtu: made.mtu.and_then(|m| u32::try_from(m).ok()), ..LinkPlan::default() }
                } else {
                    self.link(Owner::Virtual(made.id), made.mtu, &mut gateways)
                },
            });
        }
        self.add_names(&mut plan);
        plan
    }

    /// Name servers and search domains of the subnets that the system is in; where they name none, the racks in them that
    /// answer names, and the site's own domain.
    fn add_names(&self, plan: &mut NetworkPlan) {
        let used: Vec<i64> = self.links().filter_map(|(.., subnet)| subnet).collect();
        let used: Vec<&Subnet> =
            used.iter().filter_map(|id| self.subnets.iter().find(|s| s.id == *id)).collect();
        for subnet in &used {
            for server in &subnet.dns_servers {
                if !plan.nameservers.contains(server) {
                    plan.nameservers.push(*server);
                }
            }
            plan.search.extend(subnet.domain.clone().filter(|d| !plan.search.contains(d)));
        }
        if plan.nameservers.is_empty() {
            let near = self.answering.iter().map(|a| IpAddr::V4(*a));
            plan.nameservers = near.filter(|a| used.iter().any(|s| s.cidr.contains(a))).collect();
        }
        if plan.search.is_empty() {
            plan.search.extend(self.default_domain.clone());
        }
    }

    fn physical_plan(&self, interface: &Interface, gateways: &mut Vec<i64>) -> InterfacePlan {
        let bare = LinkPlan { mtu: interface.mtu.and_then(|m| u32::try_from(m).ok()), ..LinkPlan::default() };
        let name = interface.name.clone();
        if self.is_part(interface.id) {
            return InterfacePlan { mac: interface.mac, name, mode: LinkMode::LinkUp, link: bare };
        }
        let subnet = interface.subnet.and_then(|id| self.subnets.iter().find(|s| s.id == id));
        let fixed = interface
            .address
            .zip(subnet)
            .and_then(|(a, s)| Some((Ipv4Net::new(a, s.cidr.prefix_len()).ok()?, s)));
        let mut routes = LinkPlan::default();
        let mode = match (interface.mode.as_str(), fixed) {
            ("auto", Some((address, subnet))) => {
                self.add_routes(&mut routes, subnet, gateways);
                let v4 = |g: IpAddr| if let IpAddr::V4(g) = g { Some(g) } else { None };
                LinkMode::Static { address, gateway: routes.gateways.pop().and_then(v4) }
            }
            ("auto", None) if interface.boot => LinkMode::Dhcp,
            ("dhcp", _) => LinkMode::Dhcp,
            _ => LinkMode::LinkUp,
        };
        let mut link = self.link(Owner::Physical(interface.id), interface.mtu, gateways);
        for route in routes.routes {
            if !link.routes.contains(&route) {
                link.routes.push(route);
            }
        }
        InterfacePlan { mac: interface.mac, name, mode, link }
    }

    fn kind(&self, made: &VirtualInterface) -> PlanKind {
        let members: Vec<String> = made.parents.iter().filter_map(|id| self.name_of(*id)).collect();
        match &made.kind {
            VirtualKind::Vlan { vlan } => {
                let vid = self.vlans.iter().find(|v| v.id == *vlan).and_then(|v| u16::try_from(v.vid).ok());
                PlanKind::Vlan { id: vid.unwrap_or(0), on: members.into_iter().next().unwrap_or_default() }
            }
            VirtualKind::Bond { settings } => PlanKind::Bond { members, settings: settings.clone() },
            VirtualKind::Bridge { settings } => PlanKind::Bridge { members, settings: settings.clone() },
        }
    }

    /// Made interfaces, each after those that it is made of. Those in a circle, which is refused when they are made, come
    /// at the end.
    fn in_order(&self) -> Vec<&VirtualInterface> {
        let mut left: Vec<&VirtualInterface> = self.made.iter().collect();
        let mut ordered = Vec::new();
        while !left.is_empty() {
            let ready = left.iter().position(|v| !left.iter().any(|other| v.parents.contains(&other.id)));
            ordered.push(left.remove(ready.unwrap_or(0)));
        }
        ordered
    }
}

async fn answering_racks(conn: &mut PgConnection) -> Result<Vec<Ipv4Addr>, DbError> {
    let racks = rack::list(conn).await?;
    let addresses = racks.iter().filter(|r| r.alive).flat_map(|r| &r.addresses);
    Ok(addresses.filter(|a| a.dns).map(|a| a.network.addr()).collect())
}

/// What wants an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanting {
    /// A physical interface, its first.
    First(i64),
    /// A further address.
    More(i64),
}

/// Chooses an address for everything of a machine that wants one and has none, and wishes that they be asked about on
/// the wire when there is an operation. Says what there was none for. The caller has locked the machine.
pub async fn choose_addresses(
    conn: &mut PgConnection,
    machine: &MachineId,
    operation: Option<OperationId>,
) -> Result<Vec<String>, DbError> {
    let stored = Stored::load(conn, machine).await?;
    let mut missing = Vec::new();
    for (wanting, id) in stored.wanting() {
        let Some(found) = stored.subnets.iter().find(|s| s.id == id) else { continue };
        let reserved = match wanting {
            Wanting::First(interface) => stored.reserved(conn, interface, found).await?,
            Wanting::More(_) => None,
        };
        let chosen = match reserved {
            Some(address) => Some(address),
            None => pick(conn, id).await?,
        };
        let Some(address) = chosen else {
            missing.push(format!("{} has no free address", found.cidr));
            continue;
        };
        match wanting {
            Wanting::First(interface) => {
                interface::set_address_for_deployment(conn, interface, id, address).await?;
            }
            Wanting::More(row) => virtual_interface::set_address(conn, row, Some(address.into())).await?,
        }
        if let Some(operation) = operation {
            address_probe::ask(conn, operation, id, address).await?;
        }
    }
    Ok(missing)
}

/// Takes an address away from whatever of the machine has it, so that another is chosen.
pub async fn give_up(conn: &mut PgConnection, machine: &MachineId, address: Ipv4Addr) -> Result<(), DbError> {
    let stored = Stored::load(conn, machine).await?;
    for row in stored.addresses.iter().filter(|a| a.view.address == Some(IpAddr::V4(address))) {
        virtual_interface::set_address(conn, row.id, None).await?;
    }
    interface::give_up_address(conn, machine, address).await
}
