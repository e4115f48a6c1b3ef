//! Switches, their ports, and who is plugged in there.

use super::form::{Field, Form};
use super::{Fact, Layout, Pill, Tone, known};
use crate::command;
use crate::format::Moment;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::switch::SwitchVlan;
use rackwright_region::model::Role;
use rackwright_region::model::switch::{PortDetail, Switch, SwitchDetail};
use time::OffsetDateTime;

/// A switch in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Number.
    pub id: i64,
    /// Its name here.
    pub name: String,
    /// What it calls itself, or says it is.
    pub about: String,
    /// Where its agent is.
    pub address: String,
    /// How racks are let in.
    pub access: String,
    /// Whether it can be read.
    pub state: Pill,
    /// Why not.
    pub error: String,
    /// How many ports it has.
    pub ports: i64,
    /// When it was read.
    pub read: Option<Moment>,
    /// By whom.
    pub rack: String,
}

impl Row {
    fn new(s: &Switch, now: OffsetDateTime) -> Self {
        let state = match (&s.error, s.read_at) {
            (Some(_), _) => Pill::new(Tone::Bad, "Silent"),
            (None, Some(_)) => Pill::new(Tone::Good, "Read"),
            (None, None) => Pill::new(Tone::Busy, "Not read yet"),
        };
        Self {
            id: s.id,
            name: s.name.clone(),
            about: if s.system.is_empty() { s.description.clone() } else { s.system.clone() },
            address: if s.port == 161 { s.address.clone() } else { format!("{}:{}", s.address, s.port) },
            access: s.access.clone(),
            state,
            error: s.error.clone().unwrap_or_default(),
            ports: s.port_count,
            read: s.read_at.map(|at| Moment::new(at, now)),
            rack: s.rack.clone().unwrap_or_default(),
        }
    }
}

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "switches.html")]
pub struct SwitchesPage {
    /// Around it.
    pub layout: Layout,
    /// By name.
    pub rows: Vec<Row>,
    /// The visitor may enter some.
    pub administrator: bool,
}

impl SwitchesPage {
    /// Of all switches.
    pub fn new(layout: Layout, all: &[Switch], now: OffsetDateTime) -> Self {
        Self {
            rows: all.iter().map(|s| Row::new(s, now)).collect(),
            administrator: layout.role >= Role::Administrator,
            layout,
        }
    }
}

/// Somebody at a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There {
    /// Machine and interface, or hardware address.
    pub text: String,
    /// The machine's page.
    pub page: Option<String>,
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRow {
    /// Number.
    pub number: u32,
    /// Name.
    pub name: String,
    /// What an operator wrote on it.
    pub alias: String,
    /// Link and speed.
    pub link: Pill,
    /// Its VLAN, with its name.
    pub vlan: String,
    /// VLANs that it carries with a tag.
    pub tagged: String,
    /// The first who were heard there.
    pub there: Vec<There>,
    /// How many more.
    pub more: usize,
    /// The other end of the cable, as it calls itself.
    pub neighbour: String,
    /// It may be given another VLAN: those the switch has, the present one marked.
    pub choices: Vec<(u16, String, bool)>,
}

impl PortRow {
    fn new(detail: &PortDetail, vlans: &[SwitchVlan], operator: bool) -> Self {
        let port = &detail.port;
        let label = |v: &SwitchVlan| {
            if v.name.is_empty() { v.vid.to_string() } else { format!("{} {}", v.vid, v.name) }
        };
        let of = |vid: u16| vlans.iter().find(|v| v.vid == vid).map_or_else(|| vid.to_string(), label);
        let speed = match port.speed_mbps {
            0 => "up".to_owned(),
            mbps if mbps % 1000 == 0 => format!("{} Gbit/s", mbps / 1000),
            mbps => format!("{mbps} Mbit/s"),
        };
        let there: Vec<There> = detail
            .heard
            .iter()
            .take(3)
            .map(|h| There {
                text: match (&h.machine_name, &h.interface) {
                    (Some(name), Some(interface)) => format!("{name} {interface}"),
                    _ => h.mac.to_string(),
                },
                page: h.machine.as_ref().map(|m| format!("/machines/{m}")),
            })
            .collect();
        let neighbour = port.neighbour.as_ref();
        let own = |v: &SwitchVlan| (v.vid, label(v), port.pvid == Some(v.vid));
        Self {
            number: port.number,
            name: port.name.clone(),
            alias: port.alias.clone(),
            link: if port.up { Pill::new(Tone::Good, speed) } else { Pill::new(Tone::Quiet, "down") },
            vlan: port.pvid.map(of).unwrap_or_default(),
            tagged: port.tagged.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
            more: detail.heard_count - there.len(),
            there,
            neighbour: neighbour
                .map(|n| format!("{} {}", n.system.as_ref().unwrap_or(&n.chassis), n.port))
                .unwrap_or_default(),
            choices: if operator && port.is_access() { vlans.iter().map(own).collect() } else { Vec::new() },
        }
    }
}

/// One switch.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "switch.html")]
pub struct SwitchPage {
    /// Around it.
    pub layout: Layout,
    /// The switch.
    pub row: Row,
    /// What is known of it.
    pub facts: Vec<Fact>,
    /// Its ports.
    pub ports: Vec<PortRow>,
    /// The visitor may read it now and put ports into VLANs.
    pub operator: bool,
    /// The visitor may change where it is.
    pub administrator: bool,
    /// Why the last action was not done.
    pub problem: String,
}

impl SwitchPage {
    /// Of a switch.
    pub fn new(layout: Layout, found: &SwitchDetail, now: OffsetDateTime) -> Self {
        let s = &found.switch;
        let operator = layout.role >= Role::Operator;
        Self {
            row: Row::new(s, now),
            facts: known(vec![
                Fact::new("Calls itself", &s.system),
                Fact::new("Is", &s.description),
                Fact::code("Agent", format!("{}:{}", s.address, s.port)),
                Fact::new("Access", &s.access),
                Fact::new("Read", format!("every {} s", s.poll_seconds)),
                Fact::new("By", s.rack.clone().unwrap_or_default()),
            ]),
            ports: found.ports.iter().map(|p| PortRow::new(p, &found.vlans, operator)).collect(),
            operator,
            administrator: layout.role >= Role::Administrator,
            problem: String::new(),
            layout,
        }
    }
}

/// Enters a switch, or changes where one is.
pub fn form(csrf: &str, old: Option<&Switch>) -> Form {
    let pairs = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect()
    };
    let versions = pairs(&[("v3", "SNMPv3, with user and passwords"), ("v2c", "SNMPv2c, with a community")]);
    let version = if old.is_some_and(|s| s.access.starts_with("SNMPv2")) { "v2c" } else { "v3" };
    let hashes = pairs(&[("sha256", "SHA-256"), ("sha512", "SHA-512"), ("sha1", "SHA-1")]);
    let ciphers = pairs(&[("aes128", "AES-128"), ("aes256", "AES-256")]);
    let kept = if old.is_some() { "stays as it is when empty" } else { "never shown again" };
    let fields = vec![
        Field::text("name", "Name", old.map_or("", |s| &s.name))
            .hint("lower-case letters, digits, hyphens")
            .required(),
        Field::text("address", "Address", old.map_or("", |s| &s.address))
            .hint("of its SNMP agent")
            .required(),
        Field::text("port", "Port", old.map_or(161, |s| s.port).to_string()).hint("UDP").required(),
        Field::text("poll_seconds", "Read every", old.map_or(60, |s| s.poll_seconds).to_string())
            .hint("seconds, 10 to 86400")
            .required(),
        Field::choice("version", "Version", versions, version),
        Field::password("community", "Community").hint(format!("SNMPv2c; {kept}")),
        Field::text("username", "User", "").hint("SNMPv3"),
        Field::choice("authentication", "Hash", hashes, "sha256").hint("SNMPv3"),
        Field::password("authentication_password", "Its password").hint(format!("SNMPv3; {kept}")),
        Field::choice("privacy", "Cipher", ciphers, "aes128").hint("SNMPv3"),
        Field::password("privacy_password", "Password of the cipher").hint(format!("SNMPv3; {kept}")),
    ];
    match old {
        None => Form::new("edit", "/switches/new", csrf, fields)
            .titled("A new switch", "Enter it")
            .intro("Racks read its ports, VLANs and neighbours by SNMP. The right to read is enough, unless ports are to be put into VLANs from here.")
            .command(command::SWITCH_CREATE, Vec::new()),
        Some(s) => Form::new("edit", format!("/switches/{}", s.id), csrf, fields)
            .titled("Where it is and how it is read", "Save")
            .command(command::SWITCH_SET, vec![("id", s.id.to_string())]),
    }
}

/// Removes a switch.
pub fn delete(csrf: &str, switch: &Switch) -> Form {
    Form::new("delete", format!("/switches/{}/delete", switch.id), csrf, Vec::new())
        .titled("Remove", format!("Remove {}", switch.name))
        .intro("Racks do not read it any more. Nothing is changed at the switch.")
        .danger()
        .command(command::SWITCH_DELETE, vec![("id", switch.id.to_string())])
}

#[cfg(test)]
impl SwitchesPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        Self::new(Layout::sample("Switches"), &[super::sample::switch().switch], super::sample_now())
    }
}

#[cfg(test)]
impl SwitchPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let page = Self::new(Layout::sample("Switches"), &super::sample::switch(), super::sample_now());
        Self { problem: super::sample::MARKUP.into(), ..page }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_ports_may_change_their_vlan_and_trunks_not() {
        let page = SwitchPage::sample();
        let [access, trunk] = &page.ports[..] else { panic!("{:?}", page.ports) };
        assert_eq!(
            access.choices.iter().map(|(vid, _, own)| (*vid, *own)).collect::<Vec<_>>(),
            [(10, true), (20, false)]
        );
        assert_eq!((trunk.choices.len(), trunk.tagged.as_str()), (0, "20"));
        assert_eq!(access.there[0].page.as_deref(), Some("/machines/k3x9ab"));
        let viewer = Layout { role: Role::Viewer, ..Layout::sample("Switches") };
        let seen = SwitchPage::new(viewer, &super::super::sample::switch(), super::super::sample_now());
        assert!(seen.ports.iter().all(|p| p.choices.is_empty()));
        assert!(!seen.to_string().contains("<form method=\"post\" action=\"/switches"));
    }
}
