//! `region.toml`: what an operator sets of a region, with `RACKWRIGHT_REGION_*` variables over it.

use crate::door::TlsSetting;
use crate::lifecycle::Timing;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Settings of one region. Unknown keys are errors.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegionConfig {
    /// Name of this region; must differ from the others'.
    pub name: String,
    /// Folder for the master key, the authority's key, the administrator's token and the image store.
    pub data: PathBuf,
    /// `postgres://…` of the database.
    pub database_url: String,
    /// Most connections to it.
    pub database_connections: u32,
    /// Where REST API and web pages are served.
    pub listen: SocketAddr,
    /// HTTPS at `listen`: `"own"` for a certificate of the site's own authority (`ca/ca.pem` in the data folder), or
    /// `{ certificate = "FILE", key = "FILE" }` in PEM, read again when they change. Without it all is plain HTTP.
    pub tls: Option<TlsSetting>,
    /// Further host names in the own certificate; this box's name and addresses are in it.
    pub tls_names: Vec<String>,
    /// With `tls`: serve plain HTTP beside HTTPS at the same port, rather than send it away.
    pub plain_http: bool,
    /// Addresses of proxies in front of the regions. Whom they serve is read from `X-Forwarded-For`, so that the log and the
    /// limit on log-ins tell people apart.
    pub trusted_proxies: Vec<IpAddr>,
    /// Where racks connect.
    pub stream_listen: SocketAddr,
    /// `host:port` under which racks reach `stream_listen`; made from it when absent.
    pub stream_address: Option<String>,
    /// Answer names of the site.
    pub dns: bool,
    /// Where, such as `10.0.0.1:53`; at port 53 of all addresses of this box that no rack answers at when empty.
    pub dns_listen: Vec<SocketAddr>,
    /// Answers by datagram that one network gets about one name in a second; 0 for as many as it asks for.
    pub dns_answers_per_second: u32,
    /// Serve time to racks, by chronyd.
    pub ntp: bool,
    /// Port of that; racks ask at 123.
    pub ntp_port: u16,
    /// Operations that this region works on at the same time.
    pub workers: usize,
    /// Serve DHCP on networks that racks bring along, without asking a person first.
    pub serve_new_networks: bool,
    /// How long things may take.
    pub timing: Timing,
}

impl Default for RegionConfig {
    fn default() -> Self {
        Self {
            name: "region".into(),
            data: PathBuf::from("/var/lib/rackwright/region"),
            database_url: "postgres:///rackwright".into(),
            database_connections: 32,
            listen: SocketAddr::from(([0, 0, 0, 0], 5240)),
            tls: None,
            tls_names: Vec::new(),
            plain_http: false,
            trusted_proxies: Vec::new(),
            stream_listen: SocketAddr::from(([0, 0, 0, 0], 5241)),
            stream_address: None,
            dns: true,
            dns_listen: Vec::new(),
            dns_answers_per_second: 100,
            ntp: true,
            ntp_port: 123,
            workers: 4,
            serve_new_networks: false,
            timing: Timing::default(),
        }
    }
}

impl RegionConfig {
    /// Settings that the regions of a site have in common, as `region.toml` has them.
    pub fn in_common(&self) -> Map<String, Value> {
        let tls = self.tls.as_ref().filter(|tls| matches!(tls, TlsSetting::Own(_)));
        let proxies = !self.trusted_proxies.is_empty();
        let settings = [
            ("tls", tls.map(serde_json::to_value)),
            ("plain_http", Some(Ok(self.plain_http.into()))),
            ("serve_new_networks", Some(Ok(self.serve_new_networks.into()))),
            ("timing", Some(serde_json::to_value(&self.timing))),
            // A region of the version before does not know it.
            ("trusted_proxies", proxies.then(|| serde_json::to_value(&self.trusted_proxies))),
        ];
        settings.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.ok()?))).collect()
    }

    /// What racks dial.
    pub fn stream_address(&self) -> String {
        self.stream_address.clone().unwrap_or_else(|| {
            let ip = self.stream_listen.ip();
            let host = if ip.is_unspecified() { "127.0.0.1".to_owned() } else { ip.to_string() };
            format!("{host}:{}", self.stream_listen.port())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Own;

    #[test]
    fn what_regions_have_in_common_is_read_as_settings_and_names_nothing_of_one_box() {
        let config = RegionConfig {
            tls: Some(TlsSetting::Own(Own::Own)),
            timing: Timing { boot_seconds: 77, ..Timing::default() },
            trusted_proxies: vec!["10.0.0.1".parse().unwrap()],
            ..RegionConfig::default()
        };
        let common = config.in_common();
        let read: RegionConfig = serde_json::from_value(Value::Object(common.clone())).unwrap();
        assert_eq!(read.timing.boot_seconds, 77);
        let keys: Vec<_> = common.keys().map(String::as_str).collect();
        assert_eq!(keys, ["plain_http", "serve_new_networks", "timing", "tls", "trusted_proxies"]);
    }
}
