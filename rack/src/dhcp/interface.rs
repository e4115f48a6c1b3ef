//! The box's own interfaces.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::LinkAddr;

use super::DhcpError;

/// A served interface as it is now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Interface {
    /// Its name.
    pub(super) name: String,
    /// Its IPv4 addresses with their networks, the first being the main one.
    pub(super) addresses: Vec<Ipv4Net>,
    /// Its number and Ethernet address; `None` for what is not Ethernet.
    pub(super) link: Option<LinkAddr>,
}

impl Interface {
    /// Whether it is ours.
    pub(super) fn has(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|net| net.addr() == address)
    }

    /// Its Ethernet address.
    pub(super) fn mac(&self) -> Option<[u8; 6]> {
        self.link.as_ref().and_then(LinkAddr::addr)
    }
}

/// Reads the named interfaces; one that is missing or has no address is an error.
pub(super) fn read(names: &[String]) -> Result<Vec<Interface>, DhcpError> {
    let entries: Vec<_> = getifaddrs().map_err(|e| DhcpError::Interfaces(e.into()))?.collect();
    let mut interfaces = Vec::new();
    for name in names {
        let mut interface = Interface { name: name.clone(), addresses: Vec::new(), link: None };
        for entry in entries.iter().filter(|e| e.interface_name == *name) {
            let address = entry.address.as_ref();
            if let Some(ip) = address.and_then(|a| a.as_sockaddr_in()).map(|a| a.ip()) {
                let mask = entry.netmask.as_ref().and_then(|m| m.as_sockaddr_in()).map(|m| m.ip());
                let net = mask.and_then(|m| Ipv4Net::with_netmask(ip, m).ok());
                interface.addresses.push(net.unwrap_or_else(|| Ipv4Net::from(ip)));
            } else if let Some(link) = address.and_then(|a| a.as_link_addr()) {
                interface.link = Some(*link).filter(|l| l.addr().is_some_and(|mac| mac != [0; 6]));
            }
        }
        if interface.addresses.is_empty() {
            return Err(DhcpError::Interface(name.clone()));
        }
        interfaces.push(interface);
    }
    Ok(interfaces)
}
