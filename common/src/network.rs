//! The network configuration of an installed system.

use crate::net::Mac;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What the installed system is told of its network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkPlan {
    /// One per interface.
    pub interfaces: Vec<InterfacePlan>,
    /// Name servers.
    pub nameservers: Vec<IpAddr>,
    /// Search domains.
    pub search: Vec<String>,
}

/// One interface of the installed system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfacePlan {
    /// Found by this hardware address.
    pub mac: Mac,
    /// Name in the installed system.
    pub name: String,
    /// How it gets its address.
    pub mode: LinkMode,
}

/// How an interface gets its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "mode")]
pub enum LinkMode {
    /// By DHCP.
    Dhcp,
    /// Fixed.
    Static {
        /// Address and prefix.
        address: Ipv4Net,
        /// Default route, on one interface at most.
        gateway: Option<std::net::Ipv4Addr>,
    },
    /// Up, without address.
    LinkUp,
}

impl NetworkPlan {
    /// As netplan/cloud-init network configuration, version 2.
    pub fn to_netplan(&self) -> serde_json::Value {
        let mut ethernets = serde_json::Map::new();
        for interface in &self.interfaces {
            let mut entry = serde_json::json!({
                "match": { "macaddress": interface.mac },
                "set-name": interface.name,
            });
            match &interface.mode {
                LinkMode::Dhcp => entry["dhcp4"] = true.into(),
                LinkMode::LinkUp => entry["optional"] = true.into(),
                LinkMode::Static { address, gateway } => {
                    entry["addresses"] = serde_json::json!([address]);
                    if let Some(gateway) = gateway {
                        entry["routes"] = serde_json::json!([{ "to": "default", "via": gateway }]);
                    }
                    entry["nameservers"] =
                        serde_json::json!({ "addresses": self.nameservers, "search": self.search });
                }
            }
            ethernets.insert(interface.name.clone(), entry);
        }
        serde_json::json!({ "network": { "version": 2, "ethernets": ethernets } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_interface_is_rendered_for_netplan() {
        let plan = NetworkPlan {
            interfaces: vec![InterfacePlan {
                mac: "52:54:00:00:00:01".parse().unwrap(),
                name: "eth0".into(),
                mode: LinkMode::Static {
                    address: "10.77.0.20/24".parse().unwrap(),
                    gateway: Some([10, 77, 0, 1].into()),
                },
            }],
            nameservers: vec!["10.77.0.1".parse().unwrap()],
            search: vec!["lab".into()],
        };
        let eth0 = &plan.to_netplan()["network"]["ethernets"]["eth0"];
        assert_eq!(eth0["addresses"][0], "10.77.0.20/24");
        assert_eq!(eth0["routes"][0]["via"], "10.77.0.1");
        assert_eq!(eth0["nameservers"]["search"][0], "lab");
    }
}
