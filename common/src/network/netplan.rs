//! netplan's YAML, version 2, as JSON, which is YAML. cloud-init reads the same; keys that only one of them knows are
//! written only where they are asked for.

use super::{
    BondSettings, BridgeSettings, BridgeType, LacpRate, LinkPlan, NetworkPlan, VirtualKind, VirtualPlan,
};
use serde_json::{Map, Value, json};

impl NetworkPlan {
    /// As netplan/cloud-init network configuration, version 2.
    pub fn to_netplan(&self) -> Value {
        let mut network = json!({ "version": 2 });
        let mut ethernets = Map::new();
        for interface in &self.interfaces {
            let mut entry = json!({
                "match": { "macaddress": interface.mac },
                "set-name": interface.name,
            });
            let link = interface.whole();
            if !link.has_address() {
                entry["optional"] = true.into();
            }
            self.write_link(&mut entry, &link);
            ethernets.insert(interface.name.clone(), entry);
        }
        network["ethernets"] = ethernets.into();
        for made in &self.virtual_interfaces {
            let (section, mut entry) = self.virtual_entry(made);
            self.write_link(&mut entry, &made.link);
            if let Some(mac) = made.mac {
                entry["macaddress"] = json!(mac);
            }
            network[section][&made.name] = entry;
        }
        json!({ "network": network })
    }

    fn virtual_entry(&self, made: &VirtualPlan) -> (&'static str, Value) {
        match &made.kind {
            VirtualKind::Vlan { id, on } => ("vlans", json!({ "id": id, "link": on })),
            VirtualKind::Bond { members, settings } => {
                ("bonds", json!({ "interfaces": members, "parameters": bond(settings) }))
            }
            VirtualKind::Bridge { members, settings } => {
                let mut entry = json!({ "interfaces": members });
                match settings.r#type {
                    BridgeType::Standard => entry["parameters"] = bridge(settings),
                    BridgeType::Ovs => entry["openvswitch"] = json!({ "rstp": settings.stp }),
                }
                ("bridges", entry)
            }
        }
    }

    fn write_link(&self, entry: &mut Value, link: &LinkPlan) {
        if let Some(mtu) = link.mtu {
            entry["mtu"] = mtu.into();
        }
        if link.dhcp {
            entry["dhcp4"] = true.into();
        }
        if !link.addresses.is_empty() {
            entry["addresses"] = json!(link.addresses);
            entry["nameservers"] = json!({ "addresses": self.nameservers, "search": self.search });
        }
        let defaults = link.gateways.iter().map(|via| match via {
            std::net::IpAddr::V4(_) => json!({ "to": "default", "via": via }),
            std::net::IpAddr::V6(_) => json!({ "to": "::/0", "via": via }),
        });
        let others = link.routes.iter().map(|route| {
            let mut entry = json!({ "to": route.to, "via": route.via });
            if route.metric > 0 {
                entry["metric"] = route.metric.into();
            }
            entry
        });
        let routes: Vec<Value> = defaults.chain(others).collect();
        if !routes.is_empty() {
            entry["routes"] = routes.into();
        }
    }
}

fn bond(settings: &BondSettings) -> Value {
    let mut entry = json!({
        "mode": settings.mode,
        "mii-monitor-interval": settings.miimon.unwrap_or(100),
    });
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            entry[key] = value;
        }
    };
    set(
        "lacp-rate",
        settings.lacp_rate.map(|rate| json!(if rate == LacpRate::Fast { "fast" } else { "slow" })),
    );
    set("transmit-hash-policy", settings.xmit_hash_policy.map(|policy| json!(policy.as_str())));
    set("up-delay", settings.up_delay.map(Value::from));
    set("down-delay", settings.down_delay.map(Value::from));
    set("min-links", settings.min_links.map(Value::from));
    set("primary", settings.primary.as_ref().map(|name| json!(name)));
    entry
}

fn bridge(settings: &BridgeSettings) -> Value {
    let delay = settings.forward_delay.or((!settings.stp).then_some(0));
    let mut entry = json!({ "stp": settings.stp });
    if let Some(delay) = delay {
        entry["forward-delay"] = delay.into();
    }
    entry
}
