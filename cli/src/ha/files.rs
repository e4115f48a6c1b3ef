//! What the programs of a node read, made from the inventory and the templates in `packaging/ha`.

use super::certificates;
use super::inventory::{Inventory, Node, host};
use anyhow::{Context, Result, ensure};
use nix::unistd::{Group, User};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

/// The people's port for HTTPS.
const HTTPS: u16 = 443;

/// Whether a node makes the etcd cluster with the others, or comes to one that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Etcd {
    New,
    Existing,
}

/// Where things are on this box.
#[derive(Debug, Clone, Copy)]
pub struct Paths<'a> {
    /// What is written here.
    pub folder: &'a Path,
    /// What the programs keep.
    pub data: &'a Path,
    /// PostgreSQL's programs.
    pub programs: &'a Path,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The user `postgres`, whom most of the programs run as.
    Postgres,
    /// Root's, for the group of the region's user where there is one.
    Region,
}

/// A file to be written.
#[derive(Debug)]
pub struct File {
    pub name: &'static str,
    pub mode: u32,
    pub text: String,
    pub owner: Owner,
}

impl File {
    /// One of the user `postgres`.
    pub fn new(name: &'static str, mode: u32, text: String) -> Self {
        Self { name, mode, text, owner: Owner::Postgres }
    }
}

/// Writes all files, for root and the user `postgres`; others may not read them.
pub fn write(
    inventory: &Inventory,
    node: &Node,
    paths: Paths<'_>,
    interface: &str,
    etcd: Etcd,
) -> Result<()> {
    let owner = User::from_name("postgres")?
        .context("there is no user `postgres`; install the package postgresql")?;
    let (uid, gid) = (owner.uid.as_raw(), owner.gid.as_raw());
    for (folder, mode) in [
        // Regions read the authority's certificate there; what is secret is so by its own mode.
        (paths.folder.to_owned(), 0o755),
        (paths.data.to_owned(), 0o755),
        (paths.data.join("etcd"), 0o700),
        (paths.data.join("run"), 0o755),
    ] {
        let failed = || format!("cannot make {}; are you root?", folder.display());
        std::fs::create_dir_all(&folder).with_context(failed)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode))?;
        chown(&folder, Some(uid), Some(gid))?;
    }
    let mut files = render(inventory, node, paths, interface, etcd)?;
    files.extend(certificates::missing(inventory, node, paths.folder)?);
    let region = Group::from_name("rackwright")?.map_or(0, |group| group.gid.as_raw());
    for file in files {
        let path = paths.folder.join(file.name);
        let partial = path.with_extension("partial");
        let failed = || format!("cannot write {}", path.display());
        std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)
            .and_then(|mut out| std::io::Write::write_all(&mut out, file.text.as_bytes()))
            .with_context(failed)?;
        std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(file.mode))?;
        let (uid, gid) = match file.owner {
            Owner::Postgres => (uid, gid),
            Owner::Region => (0, region),
        };
        chown(&partial, Some(uid), Some(gid))?;
        std::fs::rename(&partial, &path).with_context(failed)?;
    }
    Ok(())
}

fn render(
    inventory: &Inventory,
    node: &Node,
    paths: Paths<'_>,
    interface: &str,
    etcd: Etcd,
) -> Result<Vec<File>> {
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is no text");
    let each = |line: &dyn Fn(usize, &Node) -> String, between: &str| {
        inventory.nodes.iter().enumerate().map(|(at, n)| line(at, n)).collect::<Vec<_>>().join(between)
    };
    let place = inventory.nodes.iter().position(|n| n == node).context("the node is not in the inventory")?;
    let virtual_address = inventory.virtual_address.clone().unwrap_or_default();
    let router = virtual_address.parse::<ipnet::IpNet>().map_or(1, |net| match net.addr() {
        std::net::IpAddr::V4(address) => address.octets()[3].max(1),
        std::net::IpAddr::V6(address) => address.octets()[15].max(1),
    });
    let folder = text(paths.folder)?;
    let values: Vec<(&str, String)> = vec![
        ("NODE", node.name.clone()),
        ("CLUSTER", inventory.cluster.clone()),
        ("HOST", host(node.address)),
        ("ADDRESS", node.address.to_string()),
        ("FOLDER", folder.clone()),
        ("DATA", text(paths.data)?),
        ("PROGRAMS", text(paths.programs)?),
        ("ETCD", each(&|_, n| format!("\"{}:2379\"", host(n.address)), ", ")),
        ("PEERS", each(&|_, n| format!("{}=https://{}:2380", n.name, host(n.address)), ",")),
        ("STATE", if etcd == Etcd::New { "new" } else { "existing" }.to_owned()),
        ("SYNCHRONOUS", if inventory.synchronous { "quorum" } else { "off" }.to_owned()),
        ("HBA", each(&|_, n| access(n), "\n")),
        ("SUPERUSER", inventory.secrets.superuser.expose().clone()),
        ("REPLICATION", inventory.secrets.replication.expose().clone()),
        ("REWIND", inventory.secrets.rewind.expose().clone()),
        ("REGION", inventory.secrets.region.expose().clone()),
        ("BIND", bind(inventory, &folder)),
        ("PORT", inventory.people_port.to_string()),
        (
            "SERVERS",
            each(
                &|_, n| {
                    let secured = if inventory.https {
                        format!(" ssl verify required ca-file {folder}/ca.pem verifyhost {}", n.name)
                    } else {
                        String::new()
                    };
                    format!(
                        "  server {} {}:{} check{secured}",
                        n.name,
                        host(n.address),
                        inventory.region_port
                    )
                },
                "\n",
            ),
        ),
        ("INTERFACE", interface.to_owned()),
        ("ROUTER", router.to_string()),
        ("PRIORITY", (200 - place.min(99)).to_string()),
        ("OTHERS", {
            let others = inventory.nodes.iter().filter(|n| *n != node);
            others.map(|n| format!("    {}", n.address)).collect::<Vec<_>>().join("\n")
        }),
        ("VIRTUAL", virtual_address),
    ];
    let mut files = Vec::new();
    for (name, mode, template) in TEMPLATES {
        let text = fill(template, &values).with_context(|| name.to_string())?;
        files.push(File::new(name, *mode, text));
    }
    let error_page = include_str!("../../../packaging/ha/503.http").replacen("\n\n", "\r\n\r\n", 1);
    files.push(File::new("503.http", 0o644, error_page));
    Ok(files)
}

/// Where people connect. With HTTPS whoever comes in plain is sent there.
fn bind(inventory: &Inventory, folder: &str) -> String {
    let plain = format!(":::{} v4v6", inventory.people_port);
    if !inventory.https {
        return plain;
    }
    let given = Path::new(certificates::PEOPLE);
    let certificate =
        if given.exists() { certificates::PEOPLE.to_owned() } else { format!("{folder}/people.pem") };
    format!(
        "{plain}\n  bind :::{HTTPS} v4v6 ssl crt {certificate} ssl-min-ver TLSv1.2 alpn http/1.1\n  \
         http-request redirect scheme https code 301 unless {{ ssl_fc }}\n  \
         http-response set-header Strict-Transport-Security max-age=31536000 if {{ ssl_fc }}"
    )
}

const TEMPLATES: &[(&str, u32, &str)] = &[
    ("patroni.yml", 0o600, include_str!("../../../packaging/ha/patroni.yml")),
    ("etcd.yml", 0o600, include_str!("../../../packaging/ha/etcd.yml")),
    ("post-bootstrap", 0o700, include_str!("../../../packaging/ha/post-bootstrap")),
    ("roles.sql", 0o600, include_str!("../../../packaging/ha/roles.sql")),
    ("haproxy.cfg", 0o644, include_str!("../../../packaging/ha/haproxy.cfg")),
    ("keepalived.conf", 0o644, include_str!("../../../packaging/ha/keepalived.conf")),
];

/// Who may come from a node: the cluster's own users.
fn access(node: &Node) -> String {
    let net = ipnet::IpNet::from(node.address);
    format!(
        "    - hostssl replication replicator {net} scram-sha-256\n    - hostssl all postgres,rewinder {net} scram-sha-256"
    )
}

/// Puts values where a template says `@NAME@`.
fn fill(template: &str, values: &[(&str, String)]) -> Result<String> {
    let mut text = template.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("@{name}@"), value);
    }
    let left = text.lines().find(|line| line.split('@').skip(1).step_by(2).any(is_placeholder));
    ensure!(left.is_none(), "a template asks for what there is not: {}", left.unwrap_or_default());
    Ok(text)
}

fn is_placeholder(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ha::inventory::parse_node;

    #[test]
    fn every_template_is_filled() {
        let nodes = ["one=10.0.0.1", "two=10.0.0.2", "three=10.0.0.3"].map(|text| parse_node(text).unwrap());
        let inventory = Inventory::make(nodes.to_vec(), Some("10.0.0.100/24".into()), true).unwrap();
        let paths =
            Paths { folder: "/etc/x".as_ref(), data: "/var/x".as_ref(), programs: "/usr/lib/p".as_ref() };
        let files = render(&inventory, &inventory.nodes[1], paths, "eth0", Etcd::New).unwrap();
        let text = |name: &str| &files.iter().find(|file| file.name == name).unwrap().text;
        assert!(text("etcd.yml").contains("one=https://10.0.0.1:2380,two=https://10.0.0.2:2380,three="));
        let patroni: serde_yaml_ng::Value = serde_yaml_ng::from_str(text("patroni.yml")).unwrap();
        assert_eq!(patroni["bootstrap"]["dcs"]["synchronous_mode"], "quorum");
        assert_eq!(patroni["postgresql"]["pg_hba"].as_sequence().unwrap().len(), 8);
        let keepalived = text("keepalived.conf");
        assert!(keepalived.contains("    10.0.0.1\n    10.0.0.3\n") && keepalived.contains("priority 199"));
        assert!(keepalived.contains("virtual_router_id 100"));
        assert!(text("503.http").contains("Retry-After: 2\r\n\r\n<!doctype"));
        assert!(text("haproxy.cfg").contains("\n  server two 10.0.0.2:5240 check\n"));
        let https = Inventory { https: true, ..inventory };
        let secured = render(&https, &https.nodes[1], paths, "eth0", Etcd::New).unwrap();
        let proxy = &secured.iter().find(|file| file.name == "haproxy.cfg").unwrap().text;
        assert!(proxy.contains("check ssl verify required ca-file /etc/x/ca.pem verifyhost two"), "{proxy}");
        assert!(proxy.contains("bind :::443 v4v6 ssl crt") && proxy.contains("redirect scheme https"));
        let inventory = https;
        for file in &files {
            let private = ["patroni.yml", "roles.sql"].contains(&file.name);
            assert_eq!(
                private,
                file.text.contains(inventory.secrets.region.expose()) || file.name == "patroni.yml"
            );
            assert!(!private || file.mode & 0o077 == 0, "{}", file.name);
        }
    }
}
