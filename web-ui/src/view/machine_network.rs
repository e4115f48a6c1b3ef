//! The network of one machine: what its interfaces are made of and which networks they reach, as a picture; what a deployment
//! will make of it, as a table; and forms that make, change and remove.

use super::Layout;
use super::form::{Field, Form};
use super::picture::{Picture, Place};
use crate::command;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::network::{BondMode, BondSettings};
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::interface::{
    InterfaceAddress, NetworkPlanView, PlannedInterface, VirtualInterface, VirtualKind,
};
use rackwright_region::model::machine::{InterfaceView, Machine};
use rackwright_region::model::network::{Subnet, Vlan};

/// Modes of bonds, as the command line names them, with what they do.
const MODES: [(&str, &str); 7] = [
    ("active-backup", "active-backup: one at a time; works with every switch"),
    ("802.3ad", "802.3ad: LACP; the switch has to do it too"),
    ("balance-rr", "balance-rr: packets in turn"),
    ("balance-xor", "balance-xor: by a hash"),
    ("broadcast", "broadcast: everything through all"),
    ("balance-tlb", "balance-tlb: sending is balanced"),
    ("balance-alb", "balance-alb: sending and receiving are balanced"),
];

/// The picture: physical interfaces, what is made of them, subnets that they are in, from left to right.
pub fn wires(m: &Machine, subnets: &[Subnet], vlans: &[Vlan]) -> Picture {
    let mut picture = Picture::new(
        "Interfaces on the left, then bonds, VLANs and bridges made of them, then the subnets that they are in",
    );
    let mut places: Vec<(i64, Place)> = Vec::new();
    for i in &m.interfaces {
        let detail = if i.boot { format!("{} · boots", i.mac) } else { i.mac.to_string() };
        places.push((i.id, picture.add(0, "fabric", i.name.clone(), detail)));
    }
    let mut made: Vec<&VirtualInterface> = m.virtual_interfaces.iter().collect();
    made.sort_by_key(|v| (depth(m, v.id), v.id));
    let deepest = made.last().map_or(0, |v| depth(m, v.id));
    for v in made {
        let class = if matches!(v.kind, VirtualKind::Vlan { .. }) { "vlan" } else { "rack" };
        let place = picture.add(depth(m, v.id), class, v.name.clone(), describe(v, vlans));
        for (_, from) in places.iter().filter(|(id, _)| v.parents.contains(id)) {
            picture.link(*from, place);
        }
        places.push((v.id, place));
    }
    for subnet in subnets {
        let mut on = places.iter().filter(|(id, _)| in_subnets(m, *id).contains(&subnet.id)).peekable();
        if on.peek().is_none() {
            continue;
        }
        let cidr = subnet.cidr.to_string();
        let detail = if subnet.name == cidr { String::new() } else { subnet.name.clone() };
        let place = picture.add(deepest + 1, "subnet", cidr, detail);
        on.for_each(|(_, from)| picture.link(*from, place));
    }
    picture
}

/// Steps from a physical interface; one in a circle, which is refused when it is made, counts as it is met.
fn depth(m: &Machine, id: i64) -> u32 {
    fn walk(m: &Machine, id: i64, left: u32) -> u32 {
        let made = m.virtual_interfaces.iter().find(|v| v.id == id).filter(|_| left > 0);
        made.map_or(0, |v| 1 + v.parents.iter().map(|p| walk(m, *p, left - 1)).max().unwrap_or(0))
    }
    walk(m, id, u32::try_from(m.virtual_interfaces.len()).unwrap_or(0))
}

/// The subnets that an interface has addresses in. A member of a bond or a port of a bridge has none when it is installed.
fn in_subnets(m: &Machine, id: i64) -> Vec<i64> {
    let takes =
        |v: &&VirtualInterface| !matches!(v.kind, VirtualKind::Vlan { .. }) && v.parents.contains(&id);
    if m.virtual_interfaces.iter().any(|v| takes(&v)) {
        return Vec::new();
    }
    let physical = m.interfaces.iter().find(|i| i.id == id);
    let first = physical.filter(|i| i.mode != "link-up").and_then(|i| i.subnet);
    let made = m.virtual_interfaces.iter().filter(|v| v.id == id).flat_map(|v| &v.addresses);
    let more = physical.into_iter().flat_map(|i| &i.more).chain(made).filter_map(|a| a.subnet);
    first.into_iter().chain(more).collect()
}

/// An interface's name.
fn name_of(m: &Machine, id: i64) -> String {
    let made = m.virtual_interfaces.iter().find(|v| v.id == id).map(|v| v.name.clone());
    let physical = || m.interfaces.iter().find(|i| i.id == id).map(|i| i.name.clone());
    made.or_else(physical).unwrap_or_else(|| id.to_string())
}

fn describe(v: &VirtualInterface, vlans: &[Vlan]) -> String {
    match &v.kind {
        VirtualKind::Vlan { vlan } => vlans
            .iter()
            .find(|known| known.id == *vlan)
            .map_or_else(String::new, |known| format!("VLAN {} {}", known.vid, known.name)),
        VirtualKind::Bond { settings } => format!("bond, {}", mode(settings)),
        VirtualKind::Bridge { .. } => "bridge".into(),
    }
}

fn mode(settings: &BondSettings) -> String {
    serde_json::to_value(settings.mode).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The mode that a form names.
pub fn mode_of(text: &str) -> Option<BondMode> {
    serde_json::from_value(text.into()).ok()
}

/// A row of the table: interface, kind, addresses, routes.
pub type Planned = (String, String, String, String);

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "machine_network.html")]
pub struct NetworkPage {
    /// Around it.
    pub layout: Layout,
    /// Machine and its name.
    pub machine: (String, String),
    /// The picture.
    pub wires: Picture,
    /// Interfaces that can be changed: number, name, what it is.
    pub interfaces: Vec<(i64, String, String)>,
    /// What a deployment would make.
    pub plan: Vec<Planned>,
    /// Name servers and search domains of it.
    pub names: String,
    /// Why it would be refused.
    pub problems: Vec<String>,
    /// For those who may change it.
    pub forms: Vec<Form>,
}

impl NetworkPage {
    /// Of a machine. `chosen` is the interface whose form is wanted; without it there are those that make new ones.
    pub fn new(
        layout: Layout,
        actor: &Actor,
        m: &Machine,
        plan: &NetworkPlanView,
        (subnets, vlans): (&[Subnet], &[Vlan]),
        chosen: Option<i64>,
    ) -> Self {
        let may = actor.role_in(&m.summary.pool) >= Role::Operator;
        let forms = if may { forms(&layout.csrf, m, subnets, vlans, chosen) } else { Vec::new() };
        let join = |all: Vec<String>| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        let servers = join(plan.nameservers.iter().map(ToString::to_string).collect());
        let physical = m.interfaces.iter().map(|i| (i.id, name_of(m, i.id), "physical".to_owned()));
        let made = m.virtual_interfaces.iter().map(|v| (v.id, v.name.clone(), describe(v, vlans)));
        Self {
            machine: (m.summary.id.to_string(), m.summary.hostname.to_string()),
            wires: wires(m, subnets, vlans),
            interfaces: physical.chain(made).collect(),
            plan: plan.interfaces.iter().map(planned).collect(),
            names: format!("Name servers: {servers}. Search domains: {}.", join(plan.search.clone())),
            problems: plan.problems.clone(),
            forms,
            layout,
        }
    }
}

fn planned(i: &PlannedInterface) -> Planned {
    let own = i
        .addresses
        .iter()
        .map(|a| if i.chosen.contains(&a.addr()) { format!("{a} (free now)") } else { a.to_string() });
    let addresses: Vec<String> = i.dhcp.then(|| "by DHCP".to_owned()).into_iter().chain(own).collect();
    let addresses = if addresses.is_empty() { "none".to_owned() } else { addresses.join(", ") };
    (i.name.clone(), i.kind.clone(), addresses, i.routes.join(", "))
}

fn forms(csrf: &str, m: &Machine, subnets: &[Subnet], vlans: &[Vlan], chosen: Option<i64>) -> Vec<Form> {
    if let Some(i) = m.interfaces.iter().find(|i| Some(i.id) == chosen) {
        return vec![physical(csrf, m, i, subnets)];
    }
    if let Some(v) = m.virtual_interfaces.iter().find(|v| Some(v.id) == chosen) {
        return vec![made(csrf, m, v.kind.as_str(), Some(v), (subnets, vlans)), remove(csrf, m, v)];
    }
    let kinds = ["bond", "vlan", "bridge"];
    kinds
        .map(|kind| made(csrf, m, kind, None, (subnets, vlans)))
        .into_iter()
        .chain([gateways(csrf, m, subnets)])
        .collect()
}

fn action(m: &Machine, interface: impl std::fmt::Display, verb: &str) -> String {
    format!("/machines/{}/interfaces/{interface}/{verb}", m.summary.id)
}

fn known(m: &Machine, more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let machine = ("machine", m.summary.hostname.to_string());
    std::iter::once(machine).chain(more.iter().cloned()).collect()
}

fn number(value: Option<i32>) -> String {
    value.map(|n| n.to_string()).unwrap_or_default()
}

fn choices(subnets: &[Subnet], nothing: &str) -> Vec<(String, String)> {
    let all = subnets.iter().map(|s| (s.id.to_string(), format!("{} {}", s.id, s.cidr)));
    std::iter::once((String::new(), nothing.to_owned())).chain(all).collect()
}

fn physical(csrf: &str, m: &Machine, i: &InterfaceView, subnets: &[Subnet]) -> Form {
    let name = name_of(m, i.id);
    let modes = [
        ("auto", "auto: one is chosen"),
        ("static", "static: the one named here"),
        ("dhcp", "dhcp"),
        ("link-up", "link-up: none"),
    ];
    let v4: Vec<Subnet> = subnets.iter().filter(|s| s.cidr.addr().is_ipv4()).cloned().collect();
    let fields = vec![
        Field::choice("mode", "First address", modes.map(|(v, l)| (v.to_owned(), l.to_owned())), &*i.mode),
        Field::choice(
            "subnet",
            "Subnet",
            choices(&v4, "none"),
            i.subnet.map(|s| s.to_string()).unwrap_or_default(),
        ),
        Field::text("address", "Address", i.address.map(|a| a.to_string()).unwrap_or_default()),
        Field::text("mtu", "MTU, bytes", number(i.mtu)).hint("the usual when empty"),
    ];
    Form::new("physical", action(m, i.id, "set"), csrf, fields)
        .command(command::INTERFACE_SET, known(m, &[("interface", name.clone())]))
        .titled(name, "Save")
}

/// The form of a bond, a VLAN or a bridge; filled when there is one.
fn made(
    csrf: &str,
    m: &Machine,
    kind: &'static str,
    v: Option<&VirtualInterface>,
    (subnets, vlans): (&[Subnet], &[Vlan]),
) -> Form {
    let parents: Vec<String> = v.iter().flat_map(|v| &v.parents).map(|id| name_of(m, *id)).collect();
    let all = m.interfaces.iter().map(|i| name_of(m, i.id));
    let all: Vec<String> = all.chain(m.virtual_interfaces.iter().map(|v| v.name.clone())).collect();
    let name = v.map(|v| v.name.clone()).unwrap_or_default();
    let addresses: Vec<String> = v.iter().flat_map(|v| &v.addresses).map(address_text).collect();
    let title = |new: &str| if name.is_empty() { new.to_owned() } else { name.clone() };
    let (id, title, (make, change), own) = match kind {
        "bond" => {
            let settings = match v.map(|v| &v.kind) {
                Some(VirtualKind::Bond { settings }) => settings.clone(),
                _ => BondSettings::default(),
            };
            let modes = MODES.map(|(value, label)| (value.to_owned(), label.to_owned()));
            let own = Field::choice("bond_mode", "How members share the work", modes, mode(&settings));
            ("bond", title("New bond"), (command::BOND, command::BOND_SET), own)
        }
        "vlan" => {
            let chosen = match v.map(|v| &v.kind) {
                Some(VirtualKind::Vlan { vlan }) => vlan.to_string(),
                _ => String::new(),
            };
            let tagged = vlans.iter().filter(|v| v.vid != 0);
            let tagged = tagged.map(|v| (v.id.to_string(), format!("{} {}", v.vid, v.name)));
            let own = Field::choice("vlan", "VLAN", tagged, chosen);
            ("vlan", title("New tagged VLAN"), (command::TAGGED, command::TAGGED_SET), own)
        }
        _ => {
            let stp = matches!(v.map(|v| &v.kind), Some(VirtualKind::Bridge { settings }) if settings.stp);
            let own = Field::check("stp", "Spanning tree", stp);
            ("bridge", title("New bridge"), (command::BRIDGE, command::BRIDGE_SET), own)
        }
    };
    let fields = vec![
        Field::text("name", "Name", name.clone()).required(),
        Field::text("parents", "Made of", parents.join(" "))
            .hint(format!("of {}", all.join(", ")))
            .required(),
        own,
        Field::text("addresses", "Addresses", addresses.join(" "))
            .hint(format!("auto:SUBNET, dhcp, or an address; several with spaces. {}", numbers(subnets))),
        Field::text("mtu", "MTU, bytes", v.map(|v| number(v.mtu)).unwrap_or_default())
            .hint("the usual when empty"),
    ];
    let number = v.map_or_else(|| "new".to_owned(), |v| v.id.to_string());
    let submit = if v.is_some() { "Save" } else { "Make" };
    let form = Form::new(id, action(m, number, id), csrf, fields).titled(title, submit);
    match v {
        Some(v) => form.command(change, known(m, &[("interface", v.name.clone())])),
        None => form.command(make, known(m, &[])),
    }
}

/// The numbers of IPv4 subnets, which `auto` wants; of many only some.
fn numbers(subnets: &[Subnet]) -> String {
    let v4 = subnets.iter().filter(|s| s.cidr.addr().is_ipv4());
    let shown: Vec<String> = v4.take(8).map(|s| format!("{} is {}", s.id, s.cidr)).collect();
    if shown.is_empty() { String::new() } else { format!("Subnets: {}.", shown.join(", ")) }
}

/// As the forms and the command line take it.
fn address_text(address: &InterfaceAddress) -> String {
    use rackwright_region::model::interface::AddressMode;
    match (address.mode, address.subnet, address.address) {
        (AddressMode::Auto, Some(subnet), _) => format!("auto:{subnet}"),
        (AddressMode::Static, _, Some(address)) => address.to_string(),
        (mode, ..) => mode.as_str().to_owned(),
    }
}

fn remove(csrf: &str, m: &Machine, v: &VirtualInterface) -> Form {
    let known = known(m, &[("interface", v.name.clone())]);
    let form = Form::new("remove", action(m, v.id, "remove"), csrf, vec![])
        .command(command::INTERFACE_REMOVE, known);
    form.titled(format!("Remove {}", v.name), "Remove").danger()
}

fn gateways(csrf: &str, m: &Machine, subnets: &[Subnet]) -> Form {
    let with = |ipv4: bool| {
        let has = subnets.iter().filter(|s| s.gateway.is_some_and(|g| g.is_ipv4() == ipv4));
        choices(&has.cloned().collect::<Vec<_>>(), "the first that has one")
    };
    let text = |id: Option<i64>| id.map(|id| id.to_string()).unwrap_or_default();
    let fields = vec![
        Field::choice("ipv4", "IPv4, by the gateway of", with(true), text(m.default_gateways.ipv4)),
        Field::choice("ipv6", "IPv6, by the gateway of", with(false), text(m.default_gateways.ipv6)),
    ];
    Form::new("gateways", action(m, "default", "gateways"), csrf, fields)
        .command(command::GATEWAY, known(m, &[]))
        .titled("Default routes", "Save")
}

#[cfg(test)]
impl NetworkPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample;
        let plan = NetworkPlanView {
            interfaces: vec![],
            nameservers: vec![],
            search: vec![sample::MARKUP.into()],
            dhcp: vec![],
            problems: vec![sample::MARKUP.into()],
            netplan: serde_json::Value::Null,
        };
        let network = sample::network();
        let subnets: Vec<Subnet> = network.subnets.into_iter().map(|(s, _)| s).collect();
        let mut m = sample::hostile();
        m.virtual_interfaces = vec![tests::bond(&m, sample::MARKUP)];
        Self::new(
            Layout::sample("Machines"),
            &sample::actor(),
            &m,
            &plan,
            (&subnets, &network.vlans),
            Some(tests::BOND),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    pub(super) const BOND: i64 = 9001;

    pub(super) fn bond(m: &Machine, name: &str) -> VirtualInterface {
        VirtualInterface {
            id: BOND,
            name: name.into(),
            kind: VirtualKind::Bond { settings: BondSettings::default() },
            parents: m.interfaces.iter().map(|i| i.id).collect(),
            mac: None,
            mtu: None,
            addresses: vec![],
        }
    }

    #[test]
    fn every_interface_is_right_of_those_that_it_is_made_of_and_subnets_stand_at_the_end() {
        let (network, mut m) = (sample::network(), sample::machine());
        let subnets: Vec<Subnet> = network.subnets.into_iter().map(|(s, _)| s).collect();
        let mut bridge = VirtualInterface { id: 9002, parents: vec![BOND], ..bond(&m, "br0") };
        bridge.kind = VirtualKind::Bridge { settings: Default::default() };
        let mode = rackwright_region::model::interface::AddressMode::Auto;
        bridge.addresses = vec![InterfaceAddress { mode, subnet: Some(subnets[0].id), address: None }];
        m.virtual_interfaces = vec![bridge, bond(&m, "bond0")];
        let wires = wires(&m, &subnets, &network.vlans);
        let places = ["bond0", "br0", &subnets[0].cidr.to_string()].map(|title| wires.column(title));
        assert_eq!(places, [Some(1), Some(2), Some(3)]);
        assert_eq!(wires.links.len(), m.interfaces.len() + 2, "the members' own subnets are not reached");
    }

    #[test]
    fn the_form_of_a_bond_is_filled_and_names_its_command() {
        let mut m = sample::machine();
        m.virtual_interfaces = vec![bond(&m, "bond0")];
        let forms = forms("csrf", &m, &[], &[], Some(BOND));
        let on: Vec<String> = m.interfaces.iter().map(|i| format!(" --on {}", name_of(&m, i.id))).collect();
        let line =
            format!("rackwright machine interface bond node-21 bond0{} --mode active-backup", on.concat());
        assert_eq!(forms[0].line(), line);
        assert_eq!(forms[1].line(), "rackwright machine interface remove node-21 bond0");
    }
}
