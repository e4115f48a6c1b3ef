//! The LAN parameters program of `ipmi_sim`: what the BMC says about its own network, in band above all.
//!
//! Called as `PROGRAM lan-config FOLDER get PARAMETER…` or `… set|check PARAMETER VALUE …`; `get` prints
//! `parameter:value` lines. The address is the plan's and cannot be changed: setting is accepted and ignored.

use crate::machine::MachineHandle;
use anyhow::{Context, Result, bail};
use std::net::Ipv4Addr;
use std::path::Path;

/// Answers for the BMC of the machine in `folder`.
pub fn run(folder: &Path, arguments: &[String]) -> Result<String> {
    let machine = MachineHandle::open(folder)?;
    let address = machine.plan().bmc.as_ref().context("the machine has no BMC")?.address;
    match arguments {
        [verb, parameters @ ..] if verb == "get" => parameters
            .iter()
            .map(|parameter| Ok(format!("{parameter}:{}\n", value(parameter, address)?)))
            .collect(),
        [verb, ..] if verb == "set" || verb == "check" => Ok(String::new()),
        _ => bail!("get, set or check"),
    }
}

fn value(parameter: &str, address: Ipv4Addr) -> Result<String> {
    let [_, b, c, d] = address.octets();
    Ok(match parameter {
        "ip_addr" => address.to_string(),
        "ip_addr_src" => "static".to_owned(),
        "mac_addr" => format!("52:54:01:{b:02x}:{c:02x}:{d:02x}"),
        "subnet_mask" => "255.255.255.0".to_owned(),
        "default_gw_ip_addr" | "backup_gw_ip_addr" => Ipv4Addr::UNSPECIFIED.to_string(),
        "default_gw_mac_addr" | "backup_gw_mac_addr" => "00:00:00:00:00:00".to_owned(),
        _ => bail!("unknown parameter {parameter}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_plans() {
        let address = Ipv4Addr::new(10, 78, 0, 11);
        assert_eq!(value("ip_addr", address).unwrap(), "10.78.0.11");
        assert_eq!(value("mac_addr", address).unwrap(), "52:54:01:4e:00:0b");
        assert!(value("vlan", address).is_err());
    }
}
