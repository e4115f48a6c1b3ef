//! What the new system is told: how cloud-init reaches Rackwright (its MAAS data source and its reporter), its network,
//! its name. An unknown key in the reporter's section makes cloud-init fail at every stage, so there is none.

use crate::error::{Result, io};
use crate::report::Report;
use rackwright_common::agent::{InstallWork, MetadataSeed};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Relative to the new system's root.
pub const CLOUD_CONFIG: &str = "etc/cloud/cloud.cfg.d/90_rackwright.cfg";
const NETWORK_CONFIG: &str = "etc/cloud/cloud.cfg.d/91_rackwright_network.cfg";

/// Writes everything below the new system's root.
pub fn write(root: &Path, work: &InstallWork, report: &Report) -> Result<()> {
    let cloud_init = root.join("etc/cloud").is_dir();
    if !cloud_init {
        report.log("the image has no cloud-init: it will never report back\n");
    }
    put(&root.join(CLOUD_CONFIG), &cloud_config(&work.metadata), 0o600)?;
    fs::remove_file(root.join("etc/cloud/cloud-init.disabled")).ok();
    if !work.network.interfaces.is_empty() {
        // JSON is YAML; cloud-init reads the network from its system configuration in this form.
        let network = format!("{:#}\n", work.network.to_netplan());
        put(&root.join(NETWORK_CONFIG), &network, 0o600)?;
        if !cloud_init {
            without_cloud_init(root, work, &network, report)?;
        }
    }
    put(&root.join("etc/hostname"), &format!("{}\n", work.hostname), 0o644)?;
    name_in_hosts(root, &work.hostname)?;
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

/// cloud-init's settings. ds-identify, a shell script, reads the first line, so that must be plain YAML.
pub fn cloud_config(seed: &MetadataSeed) -> String {
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
         reporting:\n  rackwright: {{type: webhook, endpoint: {}, {credentials}}}\n",
        quoted(&seed.metadata_url),
        quoted(&seed.status_url)
    )
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
        let text = cloud_config(&seed);
        assert_eq!(
            text,
            "datasource_list: [ MAAS ]\n\
             datasource:\n  MAAS: {metadata_url: \"http://10.0.0.1:5248/MAAS/metadata/\", consumer_key: \"ck\", token_key: \"tk\", token_secret: \"t\\\"s\"}\n\
             reporting:\n  rackwright: {type: webhook, endpoint: \"http://10.0.0.1:5248/MAAS/metadata/status/abc123\", consumer_key: \"ck\", token_key: \"tk\", token_secret: \"t\\\"s\"}\n"
        );
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
