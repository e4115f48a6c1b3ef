//! What the new system is told: how cloud-init reaches Rackwright (its MAAS data source and its reporter), its network,
//! its name. An unknown key in the reporter's section makes cloud-init fail at every stage, so there is none.
//!
//! cloud-init takes one URL for its questions and one for its reports. Where several racks serve the network, both name
//! all of them: a name that the new system's `hosts` resolves to every rack, so that a client goes on to the next when one is
//! dead.

use crate::error::{Result, io};
use crate::report::Report;
use rackwright_common::agent::{InstallWork, MetadataSeed};
use std::fs::{self, Permissions};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Relative to the new system's root.
pub const CLOUD_CONFIG: &str = "etc/cloud/cloud.cfg.d/90_rackwright.cfg";
/// What a new system calls all racks of its network.
const RACKS: &str = "racks.rackwright.internal";
const NETWORK_CONFIG: &str = "etc/cloud/cloud.cfg.d/91_rackwright_network.cfg";
const TIME_CONFIG: &str = "etc/cloud/cloud.cfg.d/92_rackwright_time.cfg";
/// Run by cloud-init at the end of a first boot, before it reports that it is done. What it has made until then would be on
/// its disk half a minute later only: whoever cut the power of a machine that has just been deployed would get one without
/// its SSH host keys.
const SYNC_SCRIPT: &str = "var/lib/cloud/scripts/per-instance/rackwright-sync";
/// Programs that cloud-init's module `ntp` sets up. Without one of them it would install one, and fail where it cannot.
const TIME_CLIENTS: [&str; 5] = [
    "usr/sbin/chronyd",
    "lib/systemd/systemd-timesyncd",
    "usr/lib/systemd/systemd-timesyncd",
    "usr/sbin/ntpd",
    "sbin/ntpd",
];

/// Writes everything below the new system's root.
pub fn write(root: &Path, work: &InstallWork, report: &Report) -> Result<()> {
    let cloud_init = root.join("etc/cloud").is_dir();
    if !cloud_init {
        report.log("the image has no cloud-init: it will never report back\n");
    }
    let racks = report.link().addresses();
    put(&root.join(CLOUD_CONFIG), &cloud_config(&work.metadata, racks), 0o600)?;
    fs::remove_file(root.join("etc/cloud/cloud-init.disabled")).ok();
    if cloud_init {
        put(&root.join(SYNC_SCRIPT), "#!/bin/sh\nsync\n", 0o755)?;
    }
    if !work.network.interfaces.is_empty() {
        // JSON is YAML; cloud-init reads the network from its system configuration in this form.
        let network = format!("{:#}\n", work.network.to_netplan());
        put(&root.join(NETWORK_CONFIG), &network, 0o600)?;
        if !cloud_init {
            without_cloud_init(root, work, &network, report)?;
        }
    }
    if !work.ntp_servers.is_empty() && TIME_CLIENTS.iter().any(|client| root.join(client).exists()) {
        let servers: Vec<String> =
            work.ntp_servers.iter().map(|server| format!("{:?}", server.to_string())).collect();
        let time = format!("ntp: {{enabled: true, servers: [{}]}}\n", servers.join(", "));
        put(&root.join(TIME_CONFIG), &time, 0o644)?;
    }
    put(&root.join("etc/hostname"), &format!("{}\n", work.hostname), 0o644)?;
    name_in_hosts(root, &work.hostname)?;
    racks_in_hosts(root, &in_turn(&work.metadata.metadata_url, racks))?;
    forget_machine_id(root)
}

/// The network of an image that has no cloud-init to set it up: for netplan where it is, else for ifupdown.
fn without_cloud_init(root: &Path, work: &InstallWork, netplan: &str, report: &Report) -> Result<()> {
    if root.join("usr/sbin/netplan").exists() || root.join("etc/netplan").is_dir() {
        return put(&root.join("etc/netplan/90-rackwright.yaml"), netplan, 0o600);
    }
    if !root.join("etc/network").is_dir() {
        report.log("the image has neither cloud-init nor netplan nor ifupdown: its network is as it came\n");
        return Ok(());
    }
    for (name, content) in work.network.to_link_files() {
        put(&root.join("etc/systemd/network").join(name), &content, 0o644)?;
    }
    let main = "auto lo\niface lo inet loopback\n\nsource /etc/network/interfaces.d/*\n";
    put(&root.join("etc/network/interfaces"), main, 0o644)?;
    put(&root.join("etc/network/interfaces.d/rackwright"), &work.network.to_ifupdown(), 0o644)
}

/// cloud-init's settings. ds-identify, a shell script, reads the first line, so that must be plain YAML. A rack that takes a
/// report and does not answer is given up after ten seconds.
pub fn cloud_config(seed: &MetadataSeed, racks: &[String]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let credentials = format!(
        "consumer_key: {}, token_key: {}, token_secret: {}",
        quoted(seed.consumer_key.expose()),
        quoted(seed.token_key.expose()),
        quoted(seed.token_secret.expose())
    );
    format!(
        "datasource_list: [ MAAS ]\n\
         datasource:\n  MAAS: {{metadata_url: {}, {credentials}}}\n\
         reporting:\n  rackwright: {{type: webhook, endpoint: {}, {credentials}, timeout: 10, retries: 2}}\n",
        quoted(&at_any_rack(&seed.metadata_url, racks)),
        quoted(&at_any_rack(&seed.status_url, racks))
    )
}

/// Address and port of the rack in a URL.
fn rack_of(url: &str) -> Option<SocketAddr> {
    url.strip_prefix("http://")?.split('/').next()?.parse().ok()
}

/// The addresses at which racks answer what `url` asks, its own first; none when there is only that.
fn in_turn(url: &str, racks: &[String]) -> Vec<IpAddr> {
    let Some(own) = rack_of(url) else { return Vec::new() };
    let others = racks.iter().filter_map(|rack| rack.parse::<SocketAddr>().ok());
    let others: Vec<IpAddr> =
        others.filter(|rack| *rack != own && rack.port() == own.port()).map(|rack| rack.ip()).collect();
    if others.is_empty() { others } else { std::iter::once(own.ip()).chain(others).collect() }
}

/// The same URL, which any of the racks may answer.
fn at_any_rack(url: &str, racks: &[String]) -> String {
    match rack_of(url) {
        Some(own) if !in_turn(url, racks).is_empty() => {
            url.replacen(&own.to_string(), &format!("{RACKS}:{}", own.port()), 1)
        }
        _ => url.to_owned(),
    }
}

/// Where names are looked up, and where cloud-init makes that file anew from, if it is asked to.
fn racks_in_hosts(root: &Path, racks: &[IpAddr]) -> Result<()> {
    if racks.is_empty() {
        return Ok(());
    }
    let lines: String = racks.iter().map(|rack| format!("{rack} {RACKS}\n")).collect();
    let mut files = vec![root.join("etc/hosts")];
    let templates = fs::read_dir(root.join("etc/cloud/templates")).into_iter().flatten().flatten();
    let is_hosts = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("hosts.") && name.ends_with(".tmpl")
    };
    files.extend(templates.map(|entry| entry.path()).filter(is_hosts));
    for file in files {
        let text = fs::read_to_string(&file).map_err(io("read", &file))?;
        let others = text.lines().filter(|line| !line.ends_with(RACKS));
        let text: String = others.map(|line| format!("{line}\n")).collect();
        put(&file, &(text + &lines), 0o644)?;
    }
    Ok(())
}

/// Programs look up the machine's own name; without an entry they wait for a name server.
fn name_in_hosts(root: &Path, hostname: &str) -> Result<()> {
    let path = root.join("etc/hosts");
    let hosts =
        fs::read_to_string(&path).unwrap_or_else(|_| "127.0.0.1 localhost\n::1 localhost\n".to_owned());
    let others = hosts.lines().filter(|line| !line.trim_start().starts_with("127.0.1.1"));
    let text: String =
        others.map(|line| format!("{line}\n")).collect::<String>() + &format!("127.0.1.1 {hostname}\n");
    put(&path, &text, 0o644)
}

/// Two machines with one machine-id would get one DHCP lease. An empty file is filled at the first start.
fn forget_machine_id(root: &Path) -> Result<()> {
    let path = root.join("etc/machine-id");
    match fs::read_to_string(&path) {
        Ok(id) if id.trim().len() == 32 => put(&path, "", 0o444),
        _ => Ok(()),
    }
}

pub(super) fn put(path: &Path, text: &str, mode: u32) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io("create", folder))?;
    }
    // The image may have a link here that leads out of it.
    if path.is_symlink() {
        fs::remove_file(path).map_err(io("replace", path))?;
    }
    fs::write(path, text).map_err(io("write", path))?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(io("protect", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackwright_common::Secret;

    #[test]
    fn cloud_init_is_told_where_to_ask_and_to_report() {
        let seed = MetadataSeed {
            metadata_url: "http://10.0.0.1:5248/MAAS/metadata/".into(),
            status_url: "http://10.0.0.1:5248/MAAS/metadata/status/abc123".into(),
            consumer_key: Secret::new("ck".into()),
            token_key: Secret::new("tk".into()),
            token_secret: Secret::new("t\"s".into()),
        };
        let text = cloud_config(&seed, &["10.0.0.1:5248".to_owned()]);
        assert_eq!(
            text,
            "datasource_list: [ MAAS ]\n\
             datasource:\n  MAAS: {metadata_url: \"http://10.0.0.1:5248/MAAS/metadata/\", consumer_key: \"ck\", token_key: \"tk\", token_secret: \"t\\\"s\"}\n\
             reporting:\n  rackwright: {type: webhook, endpoint: \"http://10.0.0.1:5248/MAAS/metadata/status/abc123\", consumer_key: \"ck\", token_key: \"tk\", token_secret: \"t\\\"s\", timeout: 10, retries: 2}\n"
        );
    }

    #[test]
    fn any_rack_may_be_asked() {
        let url = "http://10.0.0.2:5248/MAAS/metadata/";
        let racks = ["10.0.0.1:5248", "10.0.0.2:5248", "10.0.0.3:9000"].map(str::to_owned);
        assert_eq!(at_any_rack(url, &racks), "http://racks.rackwright.internal:5248/MAAS/metadata/");
        assert_eq!(at_any_rack("http://rack/x", &racks), "http://rack/x");
        assert_eq!(at_any_rack(url, &racks[1..]), url, "nobody else listens at that port");

        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/cloud/templates")).unwrap();
        let template = root.path().join("etc/cloud/templates/hosts.debian.tmpl");
        fs::write(&template, "127.0.1.1 {{fqdn}}\n").unwrap();
        fs::write(root.path().join("etc/hosts"), "127.0.0.1 localhost").unwrap();
        for _again in 0..2 {
            racks_in_hosts(root.path(), &in_turn(url, &racks)).unwrap();
        }
        let lines = "10.0.0.2 racks.rackwright.internal\n10.0.0.1 racks.rackwright.internal\n";
        let hosts = fs::read_to_string(root.path().join("etc/hosts")).unwrap();
        assert_eq!(hosts, format!("127.0.0.1 localhost\n{lines}"));
        assert_eq!(fs::read_to_string(template).unwrap(), format!("127.0.1.1 {{{{fqdn}}}}\n{lines}"));
    }

    #[test]
    fn the_name_replaces_an_older_one() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/hosts"), "127.0.0.1 localhost\n127.0.1.1 builder\n").unwrap();
        fs::write(root.path().join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n").unwrap();
        name_in_hosts(root.path(), "node-1").unwrap();
        forget_machine_id(root.path()).unwrap();
        let hosts = fs::read_to_string(root.path().join("etc/hosts")).unwrap();
        assert_eq!(hosts, "127.0.0.1 localhost\n127.0.1.1 node-1\n");
        assert_eq!(fs::read_to_string(root.path().join("etc/machine-id")).unwrap(), "");
    }
}
