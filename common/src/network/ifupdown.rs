//! `/etc/network/interfaces.d`, for images without netplan and cloud-init. Bonds want the package ifenslave in the image,
//! bridges bridge-utils, VLANs nothing; Open vSwitch its own package. An interface is found by its kernel name here, so
//! a `.link` file of udev gives the names.

use super::{BondSettings, BridgeType, LacpRate, LinkPlan, NetworkPlan, VirtualKind, VirtualPlan};
use std::fmt::Write;
use std::net::IpAddr;

impl NetworkPlan {
    /// One file for ifupdown.
    pub fn to_ifupdown(&self) -> String {
        let mut text = String::new();
        for interface in &self.interfaces {
            let bond = self.virtual_interfaces.iter().find_map(|made| match &made.kind {
                VirtualKind::Bond { members, .. } if members.contains(&interface.name) => Some(&made.name),
                _ => None,
            });
            let extra: Vec<String> = bond.map(|name| format!("bond-master {name}")).into_iter().collect();
            self.stanza(&mut text, &interface.name, &interface.whole(), &extra);
        }
        for made in &self.virtual_interfaces {
            self.stanza(&mut text, &made.name, &made.link, &made_of(made));
        }
        text
    }

    /// Files for `/etc/systemd/network` that give physical interfaces their names: file name and content.
    pub fn to_link_files(&self) -> Vec<(String, String)> {
        let file = |interface: &super::InterfacePlan| {
            let (mac, name) = (interface.mac, &interface.name);
            let content = format!("[Match]\nPermanentMACAddress={mac}\nType=ether\n\n[Link]\nName={name}\n");
            (format!("70-rackwright-{name}.link"), content)
        };
        self.interfaces.iter().map(file).collect()
    }

    fn stanza(&self, text: &mut String, name: &str, link: &LinkPlan, extra: &[String]) {
        let mut lines: Vec<String> = extra.to_vec();
        lines.extend(link.mtu.map(|mtu| format!("mtu {mtu}")));
        let mut stanzas = Vec::new();
        if link.dhcp {
            stanzas.push(("inet", "dhcp", Vec::new()));
        }
        for address in &link.addresses {
            let family = if address.addr().is_ipv4() { "inet" } else { "inet6" };
            let first = !stanzas.iter().any(|(f, ..)| *f == family);
            let of_family = |ip: &&IpAddr| ip.is_ipv4() == address.addr().is_ipv4();
            let mut own = vec![format!("address {address}")];
            if first {
                own.extend(link.gateways.iter().find(of_family).map(|g| format!("gateway {g}")));
                let routes = link.routes.iter().filter(|r| of_family(&&r.via));
                own.extend(routes.map(|r| {
                    let metric = if r.metric > 0 { format!(" metric {}", r.metric) } else { String::new() };
                    format!("up ip route add {} via {} dev $IFACE{metric}", r.to, r.via)
                }));
                let servers: Vec<String> = self.nameservers.iter().map(IpAddr::to_string).collect();
                if !servers.is_empty() {
                    own.push(format!("dns-nameservers {}", servers.join(" ")));
                }
                if !self.search.is_empty() {
                    own.push(format!("dns-search {}", self.search.join(" ")));
                }
            }
            stanzas.push((family, "static", own));
        }
        if stanzas.is_empty() {
            stanzas.push(("inet", "manual", Vec::new()));
        }
        writeln!(text, "auto {name}").expect("text takes text");
        for (at, (family, method, own)) in stanzas.into_iter().enumerate() {
            writeln!(text, "iface {name} {family} {method}").expect("text takes text");
            let shared = if at == 0 { lines.as_slice() } else { &[] };
            for line in shared.iter().chain(&own) {
                writeln!(text, "    {line}").expect("text takes text");
            }
        }
        text.push('\n');
    }
}

fn made_of(made: &VirtualPlan) -> Vec<String> {
    let mut lines = match &made.kind {
        VirtualKind::Vlan { id, on } => vec![format!("vlan-raw-device {on}"), format!("vlan-id {id}")],
        VirtualKind::Bond { members, settings } => bond(members, settings),
        VirtualKind::Bridge { members, settings } if settings.r#type == BridgeType::Ovs => {
            vec!["ovs_type OVSBridge".to_owned(), format!("ovs_ports {}", members.join(" "))]
        }
        VirtualKind::Bridge { members, settings } => {
            let ports = if members.is_empty() { "none".to_owned() } else { members.join(" ") };
            let delay = settings.forward_delay.or((!settings.stp).then_some(0));
            let mut lines = vec![
                format!("bridge_ports {ports}"),
                format!("bridge_stp {}", if settings.stp { "on" } else { "off" }),
            ];
            lines.extend(delay.map(|d| format!("bridge_fd {d}")));
            lines
        }
    };
    lines.extend(made.mac.map(|mac| format!("hwaddress ether {mac}")));
    lines
}

fn bond(members: &[String], settings: &BondSettings) -> Vec<String> {
    let mut lines = vec![
        format!("bond-slaves {}", members.join(" ")),
        format!("bond-mode {}", settings.mode.as_str()),
        format!("bond-miimon {}", settings.miimon.unwrap_or(100)),
    ];
    let rate = |rate| if rate == LacpRate::Fast { "1" } else { "0" };
    lines.extend(settings.lacp_rate.map(|r| format!("bond-lacp-rate {}", rate(r))));
    lines.extend(settings.xmit_hash_policy.map(|p| format!("bond-xmit-hash-policy {}", p.as_str())));
    lines.extend(settings.up_delay.map(|d| format!("bond-updelay {d}")));
    lines.extend(settings.down_delay.map(|d| format!("bond-downdelay {d}")));
    lines.extend(settings.min_links.map(|n| format!("bond-min-links {n}")));
    lines.extend(settings.primary.as_ref().map(|name| format!("bond-primary {name}")));
    lines
}
