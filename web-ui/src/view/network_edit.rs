//! Forms about fabrics, VLANs and subnets, and the page of one subnet.

use super::Layout;
use super::form::{Field, Form};
use super::network::{LeaseRow, Sources, place};
use crate::command;
use crate::format;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::dhcp_option::DhcpOption;
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::network::{Fabric, RangeKind, Reservation, Subnet, Utilisation, Vlan};
use rackwright_region::model::space::Space;
use rackwright_region::model::static_route::StaticRoute;
use time::OffsetDateTime;

/// Makes or renames a fabric.
pub fn fabric(csrf: &str, old: Option<&Fabric>) -> Form {
    let name = Field::text("name", "Name", old.map_or("", |f| &f.name))
        .hint("layer 2 that belongs together")
        .required();
    match old {
        Some(f) => Form::new("edit", format!("/networks/fabrics/{}", f.id), csrf, vec![name])
            .titled("Name", "Save")
            .command(command::FABRIC_SET, vec![("id", f.id.to_string())]),
        None => Form::new("edit", "/networks/fabrics/new", csrf, vec![name])
            .titled("A new fabric", "Make it")
            .command(command::FABRIC_CREATE, Vec::new()),
    }
}

/// Makes or changes a VLAN.
pub fn vlan(csrf: &str, old: Option<&Vlan>, sources: &Sources) -> Form {
    let name = Field::text("name", "Name", old.map_or("", |v| &v.name)).required();
    let mtu = Field::text("mtu", "MTU", old.map_or(1500, |v| v.mtu).to_string())
        .hint("bytes, 552 to 65535")
        .required();
    let dhcp = Field::check("dhcp", "Racks serve DHCP here", old.is_some_and(|v| v.dhcp))
        .hint("only where no other DHCP server answers");
    let modes = [
        ("serve", "They give addresses"),
        ("proxy", "They say what to boot; addresses come from another server"),
        ("shadow", "They listen beside another server, and report what they would have answered"),
    ];
    let mode = old.map(|v| v.dhcp_mode).unwrap_or_default();
    let mode =
        Field::choice("dhcp_mode", "How", modes.map(|(v, l)| (v.to_owned(), l.to_owned())), mode.as_str());
    let number = |id: Option<i64>| id.map(|id| id.to_string()).unwrap_or_default();
    let mut relays = vec![(String::new(), "by racks that are in it".to_owned())];
    let others = sources.vlans.iter().filter(|v| old.is_none_or(|old| old.id != v.id) && v.relay.is_none());
    relays
        .extend(others.map(|v| {
            (v.id.to_string(), format!("through a relay, by racks in {}", place(Some(v), sources)))
        }));
    let relay = Field::choice("relay", "Answered", relays, number(old.and_then(|v| v.relay)));
    let mut spaces = vec![(String::new(), "none".to_owned())];
    spaces.extend(sources.spaces.iter().map(|s| (s.id.to_string(), s.name.clone())));
    let space = Field::choice("space", "Space", spaces, number(old.and_then(|v| v.space)));
    let options = options(old.map_or(&[], |v| &v.dhcp_options));
    let rest = [name, mtu, dhcp, mode, relay, space, options];
    let Some(v) = old else {
        let choices = sources.fabrics.iter().map(|f| (f.id.to_string(), f.name.clone()));
        let first = sources.fabrics.first().map(|f| f.id.to_string()).unwrap_or_default();
        let vid = Field::text("vid", "Number", "0").hint("802.1Q, 1 to 4094; 0 for untagged").required();
        let fields =
            [Field::choice("fabric", "Fabric", choices, first), vid].into_iter().chain(rest).collect();
        return Form::new("edit", "/networks/vlans/new", csrf, fields)
            .titled("A new VLAN", "Make it")
            .command(command::VLAN_CREATE, Vec::new());
    };
    Form::new("edit", format!("/networks/vlans/{}", v.id), csrf, rest.into())
        .titled("VLAN", "Save")
        .command(command::VLAN_SET, vec![("id", v.id.to_string())])
}

/// DHCP options of a VLAN or a subnet.
fn options(old: &[DhcpOption]) -> Field {
    let lines: String = old.iter().map(|option| format!("{option}\n")).collect();
    Field::area("dhcp_options", "DHCP options", 2, lines)
        .hint("one per line: NAME=VALUE or CODE:TYPE=VALUE, such as time-servers=10.0.0.1 or 224:text=abc")
}

/// Makes or changes a space.
pub fn space(csrf: &str, old: Option<&Space>) -> Form {
    let fields = vec![
        Field::text("name", "Name", old.map_or("", |s| &s.name))
            .hint("VLANs between which traffic may flow")
            .required(),
        Field::text("description", "Description", old.map_or("", |s| &s.description)),
    ];
    match old {
        Some(s) => Form::new("edit", format!("/networks/spaces/{}", s.id), csrf, fields)
            .titled("Space", "Save")
            .command(command::SPACE_SET, vec![("id", s.id.to_string())]),
        None => Form::new("edit", "/networks/spaces/new", csrf, fields)
            .titled("A new space", "Make it")
            .command(command::SPACE_CREATE, Vec::new()),
    }
}

/// Makes a static route.
fn route(csrf: &str, subnet: &Subnet) -> Form {
    let fields = vec![
        Field::text("destination", "To", "").hint("a network, such as 10.200.0.0/16").required(),
        Field::text("gateway", "By way of", "").hint("an address in this subnet").required(),
        Field::text("metric", "Metric", "0")
            .hint("among routes to one network the lowest is taken")
            .required(),
    ];
    Form::new("route", format!("/networks/subnets/{}/routes", subnet.id), csrf, fields)
        .titled("A new static route", "Make it")
        .intro("Machines with an address here get it, and clients of DHCP.")
        .command(command::ROUTE_CREATE, vec![("subnet", subnet.id.to_string())])
}

/// Makes or changes a subnet.
pub fn subnet(csrf: &str, old: Option<&Subnet>, sources: &Sources) -> Form {
    let text = |value: Option<String>| value.unwrap_or_default();
    let choices = sources.vlans.iter().map(|v| (v.id.to_string(), place(Some(v), sources)));
    let first = sources.vlans.first().map(|v| v.id);
    let vlan = old.map(|s| s.vlan).or(first).map(|id| id.to_string()).unwrap_or_default();
    let servers = old.map(|s| s.dns_servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    let reverse = [
        ("rfc2317", "Reverse zone, also of less than a /24 (RFC 2317)"),
        ("on", "Reverse zone, of whole /24 networks"),
        ("off", "None: others answer for them"),
    ];
    let reverse = reverse.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let firmware = match old.and_then(|s| s.boot_architectures.as_ref()) {
        None => "all".to_owned(),
        Some(some) if some.is_empty() => "none".to_owned(),
        Some(some) => some.iter().map(|a| a.as_str()).collect::<Vec<_>>().join(","),
    };
    let fields = vec![
        Field::text("cidr", "Network", text(old.map(|s| s.cidr.to_string())))
            .hint("such as 10.77.0.0/24")
            .required(),
        Field::text("name", "Name", text(old.map(|s| s.name.clone()))).hint("the network itself when empty"),
        Field::choice("vlan", "VLAN", choices, vlan),
        Field::text("gateway", "Gateway", text(old.and_then(|s| s.gateway).map(|g| g.to_string())))
            .hint("default route of its machines"),
        Field::text("dns_servers", "Name servers", text(servers))
            .hint("with commas between; the racks when empty"),
        Field::text("domain", "Domain", text(old.and_then(|s| s.domain.clone())))
            .hint("of its machines' names"),
        Field::text("lease_seconds", "Leases last", old.map_or(600, |s| s.lease_seconds).to_string())
            .hint("seconds, 60 to 604800")
            .required(),
        Field::check("managed", "Addresses are given from all of it", old.is_none_or(|s| s.managed))
            .hint("otherwise from its reserved ranges only"),
        Field::choice(
            "reverse_dns",
            "Names of its addresses",
            reverse,
            old.map(|s| s.reverse_dns).unwrap_or_default().as_str(),
        ),
        Field::text("boot_architectures", "Firmware that may boot here", firmware)
            .hint("all, none, or some of: bios uefi-x64 uefi-arm64 http-x64 http-arm64 u-boot")
            .required(),
        options(old.map_or(&[], |s| &s.dhcp_options)),
    ];
    match old {
        Some(s) => Form::new("edit", format!("/networks/subnets/{}", s.id), csrf, fields)
            .titled("Subnet", "Save")
            .command(command::SUBNET_SET, vec![("id", s.id.to_string())]),
        None => Form::new("edit", "/networks/subnets/new", csrf, fields)
            .titled("A new subnet", "Make it")
            .command(command::SUBNET_CREATE, Vec::new()),
    }
}

/// Removes something of the network; refused while something is in it.
pub fn delete(csrf: &str, noun: &str, id: i64, what: &str, pattern: &'static str, lost: &str) -> Form {
    Form::new("delete", format!("/networks/{noun}/{id}/delete"), csrf, Vec::new())
        .titled("Remove", format!("Remove {what}"))
        .intro(lost)
        .danger()
        .command(pattern, vec![("id", id.to_string())])
}

/// Makes a range.
fn range(csrf: &str, subnet: &Subnet) -> Form {
    let kinds = [
        ("dynamic", "Dynamic: racks give these out by DHCP"),
        ("reserved", "Reserved: Rackwright keeps its hands off"),
    ];
    let fields = vec![
        Field::choice("kind", "For", kinds.map(|(v, l)| (v.to_owned(), l.to_owned())), "dynamic"),
        Field::text("first", "First address", "").required(),
        Field::text("last", "Last address", "").hint("included").required(),
        Field::text("comment", "Comment", ""),
    ];
    Form::new("range", format!("/networks/subnets/{}/ranges", subnet.id), csrf, fields)
        .titled("A new range", "Make it")
        .command(command::RANGE_CREATE, vec![("subnet", subnet.id.to_string())])
}

/// Makes a reservation.
fn reservation(csrf: &str, subnet: &Subnet) -> Form {
    let fields = vec![
        Field::text("mac", "MAC", "").hint("such as 52:54:00:12:34:56").required(),
        Field::text("address", "Address", "").hint("outside the dynamic ranges").required(),
        Field::text("hostname", "Name", "").hint("told to the client"),
    ];
    Form::new("reservation", format!("/networks/subnets/{}/reservations", subnet.id), csrf, fields)
        .titled("A new reservation", "Reserve it")
        .intro("A fixed address for something that is not a machine: a switch, a PDU, a printer.")
        .command(command::RESERVATION_CREATE, Vec::new())
}

/// A piece of the bar of a subnet's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// What has them.
    pub label: &'static str,
    /// Its colour.
    pub class: &'static str,
    /// How many.
    pub count: u64,
    /// Where it begins and how long it is, of 1000.
    pub place: (u64, u64),
}

/// How the addresses are used, as pieces of one bar. Something that is there is at least a hair wide.
fn shares(u: &Utilisation) -> Vec<Share> {
    let open = u.dynamic.saturating_sub(u.leased);
    let all = [
        ("machines", "taken", u.machines),
        ("reservations", "warning", u.reservations),
        ("leased", "busy", u.leased),
        ("dynamic, not leased", "lent", open),
        ("reserved ranges", "quiet", u.reserved),
    ];
    let total = u128::from(u.addresses.max(1));
    let mut at = 0;
    let mut found = Vec::new();
    for (label, class, count) in all.into_iter().filter(|(.., count)| *count > 0) {
        let width = u64::try_from(u128::from(count) * 1000 / total)
            .unwrap_or(1000)
            .clamp(4, 1000_u64.saturating_sub(at).max(4));
        found.push(Share { label, class, count, place: (at, width) });
        at += width;
    }
    found
}

/// A range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeRow {
    /// Number.
    pub id: i64,
    /// First and last address.
    pub addresses: String,
    /// For whom.
    pub kind: &'static str,
    /// For people.
    pub comment: String,
}

/// The page of one subnet.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "subnet.html")]
pub struct SubnetPage {
    /// Around it.
    pub layout: Layout,
    /// Number.
    pub id: i64,
    /// Network.
    pub cidr: String,
    /// Name, where it is not the network.
    pub name: String,
    /// Fabric and VLAN, and its number.
    pub vlan: (i64, String),
    /// Racks serve DHCP here.
    pub dhcp: bool,
    /// How its addresses are used.
    pub shares: Vec<Share>,
    /// Free ones.
    pub free: u64,
    /// All of them.
    pub addresses: u64,
    /// Ranges.
    pub ranges: Vec<RangeRow>,
    /// Reservations.
    pub reservations: Vec<Reservation>,
    /// Static routes.
    pub routes: Vec<StaticRoute>,
    /// Leases.
    pub leases: Vec<LeaseRow>,
    /// May change it.
    pub administrator: bool,
    /// May reserve addresses.
    pub operator: bool,
    /// A range that was not removed, and why.
    pub kept: Option<(i64, String)>,
    /// Changes it.
    pub form: Form,
    /// Makes a range.
    pub range_form: Form,
    /// Makes a reservation.
    pub reservation_form: Form,
    /// Makes a static route.
    pub route_form: Form,
    /// Removes it.
    pub delete_form: Form,
}

impl SubnetPage {
    /// Of one subnet, for a person.
    pub fn new(
        layout: Layout,
        actor: &Actor,
        s: &Subnet,
        used: &Utilisation,
        sources: &Sources,
        now: OffsetDateTime,
    ) -> Self {
        let vlan = sources.vlans.iter().find(|v| v.id == s.vlan);
        let ranges = sources.ranges.iter().map(|r| RangeRow {
            id: r.id,
            addresses: format!("{} – {}", r.first, r.last),
            kind: match r.kind {
                RangeKind::Dynamic => "dynamic",
                RangeKind::Reserved => "reserved",
            },
            comment: r.comment.clone(),
        });
        let (cidr, csrf) = (s.cidr.to_string(), layout.csrf.clone());
        let lost =
            "Its ranges and reservations go with it. It is refused while machines have addresses in it.";
        Self {
            id: s.id,
            name: if s.name == cidr { String::new() } else { s.name.clone() },
            vlan: (s.vlan, place(vlan, sources)),
            dhcp: vlan.is_some_and(|v| v.dhcp),
            shares: shares(used),
            free: used.free,
            addresses: used.addresses,
            ranges: ranges.collect(),
            reservations: sources.reservations.clone(),
            routes: sources.routes.clone(),
            leases: sources.leases.iter().map(|l| LeaseRow::new(l, now)).collect(),
            administrator: actor.role >= Role::Administrator,
            operator: actor.role >= Role::Operator,
            kept: None,
            form: subnet(&csrf, Some(s), sources),
            range_form: range(&csrf, s),
            reservation_form: reservation(&csrf, s),
            route_form: route(&csrf, s),
            delete_form: delete(&csrf, "subnets", s.id, &cidr, command::SUBNET_DELETE, lost),
            cidr,
            layout,
        }
    }

    /// One of its forms.
    pub fn form(&mut self, id: &str) -> &mut Form {
        match id {
            "range" => &mut self.range_form,
            "reservation" => &mut self.reservation_form,
            "route" => &mut self.route_form,
            "delete" => &mut self.delete_form,
            _ => &mut self.form,
        }
    }

    /// How much of it is free, in words.
    pub fn free_of(&self) -> String {
        format!("{} of {} are free", format::number(self.free as f64), format::number(self.addresses as f64))
    }
}

#[cfg(test)]
impl SubnetPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample;
        let sources = sample::network();
        let (s, used) = &sources.subnets[0];
        let page =
            Self::new(Layout::sample("Networks"), &sample::actor(), s, used, &sources, super::sample_now());
        Self { kept: Some((1, sample::MARKUP.into())), ..page }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_has_a_piece_for_each_use_and_none_is_lost_beside_a_large_one() {
        let page = SubnetPage::sample();
        assert!(page.shares.iter().all(|s| s.place.1 >= 4), "{:?}", page.shares);
        let ends: Vec<u64> = page.shares.iter().map(|s| s.place.0 + s.place.1).collect();
        assert!(ends.is_sorted() && ends.iter().all(|e| *e <= 1010), "{ends:?}");
        let huge = Utilisation {
            addresses: u64::MAX,
            dynamic: 0,
            reserved: 0,
            machines: 1,
            reservations: 0,
            leased: 0,
            free: u64::MAX - 1,
            ranges: Vec::new(),
            warnings: Vec::new(),
        };
        assert_eq!(shares(&huge).len(), 1);
    }

    #[test]
    fn only_what_a_person_may_is_offered() {
        let operator = SubnetPage::sample().to_string();
        assert!(operator.contains("A new reservation") && !operator.contains("A new range"));
        assert!(
            SubnetPage { administrator: true, ..SubnetPage::sample() }.to_string().contains("A new range")
        );
    }
}
