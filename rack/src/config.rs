//! Settings of a rack: `rack.toml`.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What an operator may set. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RackConfig {
    /// The rack's name; the one in its certificate.
    pub name: String,
    /// Folder for snapshot, journal, leases and cache.
    pub data: PathBuf,
    /// Folder with `ca.pem`, `certificate.pem` and `key.pem`.
    pub certificates: PathBuf,
    /// Interfaces that machines are on.
    pub interfaces: Vec<String>,
    /// `host:port` of the regions' stream service. Regions tell the others.
    pub regions: Vec<String>,
    /// TCP port for machines: boot scripts, images, the agent.
    pub http_port: u16,
    /// UDP port of TFTP; firmware asks at 69.
    pub tftp_port: u16,
    /// Serve DHCP on the interfaces (for the subnets that ask for it).
    pub dhcp: bool,
    /// Answer names on the interfaces: the site's, and for machines all others.
    pub dns: bool,
    /// Port of that; machines ask at 53 and are told of no other.
    pub dns_port: u16,
    /// Serve time to machines, by chronyd.
    pub ntp: bool,
    /// Port of that; machines ask at 123 and are told of no other.
    pub ntp_port: u16,
    /// The image store of a region on the same box: blobs that are there are not copied.
    pub local_store: Option<PathBuf>,
    /// Bytes that blobs may take which no snapshot lists any more.
    pub cache_bytes: u64,
}

impl Default for RackConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            data: PathBuf::from("/var/lib/rackwright/rack"),
            certificates: PathBuf::from("/var/lib/rackwright/rack/certificates"),
            interfaces: Vec::new(),
            regions: Vec::new(),
            http_port: 5248,
            tftp_port: 69,
            dhcp: true,
            dns: true,
            dns_port: 53,
            ntp: true,
            ntp_port: 123,
            local_store: None,
            cache_bytes: 20 << 30,
        }
    }
}

impl RackConfig {
    /// Says what is wrong with it, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("`name` is empty: give the rack the name it was enrolled with".to_owned());
        }
        if self.interfaces.is_empty() {
            return Err(
                "`interfaces` is empty: name the interfaces that machines are on (see `ip -4 address`)"
                    .to_owned(),
            );
        }
        for region in &self.regions {
            let port = region
                .rsplit_once(':')
                .and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
            if port.is_none() {
                return Err(format!("`{region}` in `regions` is not an address: write it as host:port"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_an_error() {
        let error = serde_json::from_str::<RackConfig>(r#"{"nam": "r"}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `nam`"), "{error}");
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut config = RackConfig { name: "r".to_owned(), ..RackConfig::default() };
        assert!(config.check().unwrap_err().contains("`interfaces` is empty"));
        config.interfaces.push("eth0".to_owned());
        assert_eq!(config.check(), Ok(()));
        config.regions.push("region".to_owned());
        assert!(config.check().unwrap_err().contains("host:port"));
    }
}
