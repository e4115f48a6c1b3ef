//! `ha.toml`: the nodes of a site with several, and the secrets they share. One file, the same on every node.

use anyhow::{Context, Result, bail, ensure};
use rackwright_common::Secret;
use rackwright_link::Ca;
use rackwright_region::auth::token::random;
use rackwright_region::db::with_root_certificate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const HEAD: &str = "# The nodes of this site's database cluster, and its secrets: the same file on every node.\n\
                    # Whoever has it has the database.\n\n";

/// Each server shows a certificate of the cluster's authority for its own address.
pub const VERIFIED: &str = "sslmode=verify-full";

/// Everything that the nodes have in common.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// The cluster's name.
    pub cluster: String,
    /// A change is acknowledged when two nodes have it. Without, the last moments before a failover may be lost.
    pub synchronous: bool,
    /// The address for people, with its prefix length, such as `10.0.0.100/24`.
    pub virtual_address: Option<String>,
    /// The port of that address.
    pub people_port: u16,
    /// Where the nodes' regions serve people.
    pub region_port: u16,
    /// People are served by HTTPS, and sent there from plain HTTP.
    #[serde(default)]
    pub https: bool,
    /// By node: the fence agent that switches its box off for certain, with its arguments; `-o off` and `-o status` are added.
    /// A primary whose box falls silent is then replaced at once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fence: BTreeMap<String, Vec<String>>,
    /// An odd number of nodes, three usually.
    pub nodes: Vec<Node>,
    /// What nobody else may know.
    pub secrets: Secrets,
}

/// One box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name in the cluster.
    pub name: String,
    /// Its address, under which the others reach it.
    pub address: IpAddr,
}

/// Passwords of the database and the cluster's authority.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    #[serde(with = "rackwright_common::secret::exposed")]
    pub superuser: Secret<String>,
    #[serde(with = "rackwright_common::secret::exposed")]
    pub replication: Secret<String>,
    #[serde(with = "rackwright_common::secret::exposed")]
    pub rewind: Secret<String>,
    #[serde(with = "rackwright_common::secret::exposed")]
    pub region: Secret<String>,
    pub authority: String,
    #[serde(with = "rackwright_common::secret::exposed")]
    pub authority_key: Secret<String>,
}

impl Inventory {
    /// A new one with secrets of its own.
    pub fn make(nodes: Vec<Node>, virtual_address: Option<String>, synchronous: bool) -> Result<Self> {
        let authority = Ca::create()?;
        let secret = || Secret::new(random());
        let inventory = Self {
            cluster: "rackwright".into(),
            synchronous,
            virtual_address,
            people_port: 80,
            region_port: 5240,
            https: false,
            fence: BTreeMap::new(),
            nodes,
            secrets: Secrets {
                superuser: secret(),
                replication: secret(),
                rewind: secret(),
                region: secret(),
                authority: authority.certificate_pem().to_owned(),
                authority_key: Secret::new(authority.key_pem().expose().clone()),
            },
        };
        inventory.check()?;
        Ok(inventory)
    }

    /// Reads it.
    pub fn load(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read {shown}; `rackwright ha setup --nodes …` makes it on the first node, copy it to the others")
        })?;
        let mode = std::fs::metadata(path)?.permissions().mode();
        ensure!(mode & 0o077 == 0, "{shown} holds secrets and others may read it: `chmod 600 {shown}`");
        let inventory: Self = toml::from_str(&text).with_context(|| format!("{shown} is wrong"))?;
        inventory.check().with_context(|| shown.to_string())?;
        Ok(inventory)
    }

    /// Writes it for its owner alone; never over another one.
    pub fn save(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(HEAD.as_bytes())?;
        file.write_all(toml::to_string(self)?.as_bytes())?;
        Ok(file.sync_all()?)
    }

    fn check(&self) -> Result<()> {
        let count = self.nodes.len();
        ensure!(
            count >= 3 && count % 2 == 1,
            "{count} nodes: a majority needs an odd number, three at least"
        );
        for (at, node) in self.nodes.iter().enumerate() {
            let Node { name, address } = node;
            ensure!(
                is_name(name),
                "`{name}` is no node name: lower-case letters, digits, inner hyphens, 32 at most"
            );
            let twice = self.nodes[..at].iter().any(|other| other.name == *name || other.address == *address);
            ensure!(!twice, "the node {name} ({address}) stands there twice");
        }
        ensure!(is_name(&self.cluster), "`{}` is no cluster name", self.cluster);
        for (name, command) in &self.fence {
            ensure!(self.nodes.iter().any(|node| node.name == *name), "fence: there is no node {name}");
            let program = command.first().with_context(|| format!("fence: {name} has an empty command"))?;
            ensure!(program.starts_with('/'), "fence: {name}: `{program}` is to be a whole path");
        }
        if let Some(address) = &self.virtual_address {
            let parsed = address.parse::<ipnet::IpNet>();
            let net = parsed.with_context(|| {
                format!("`{address}` is no address with a prefix length, such as 10.0.0.100/24")
            })?;
            ensure!(
                self.nodes.iter().all(|node| node.address != net.addr()),
                "{address} is a node's own address"
            );
            ensure!(
                net.prefix_len() < net.max_prefix_len(),
                "{address}: say how long the network's prefix is, such as /24"
            );
        }
        Ok(())
    }

    /// The node of this name; without one, the node whose address this box has.
    pub fn find(&self, name: Option<&str>) -> Result<&Node> {
        if let Some(name) = name {
            let found = self.nodes.iter().find(|node| node.name == name);
            return found.with_context(|| format!("there is no node {name}; there are {}", self.names()));
        }
        let own: Vec<_> = self.nodes.iter().filter(|node| interface_of(node.address).is_ok()).collect();
        match own.as_slice() {
            [node] => Ok(node),
            [] => {
                bail!("this box has no address of a node ({}); say which one it is with --node", self.names())
            }
            _ => bail!("this box has the addresses of several nodes; say which one it is with --node"),
        }
    }

    fn names(&self) -> String {
        self.nodes.iter().map(|node| format!("{} {}", node.name, node.address)).collect::<Vec<_>>().join(", ")
    }

    /// What regions write into `database_url`; the node's files are in this folder.
    pub fn database_url(&self, folder: &Path) -> Secret<String> {
        let hosts: Vec<_> = self.nodes.iter().map(|node| host(node.address)).collect();
        let url = format!(
            "postgres://rackwright:{}@{}/rackwright?{VERIFIED}",
            self.secrets.region.expose(),
            hosts.join(",")
        );
        Secret::new(with_root_certificate(&url, &folder.join("ca.pem")))
    }
}

/// As it stands in a URL.
pub fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// The interface of this box that has the address.
pub fn interface_of(address: IpAddr) -> Result<String> {
    let has = |found: &nix::ifaddrs::InterfaceAddress| {
        let Some(storage) = found.address else { return false };
        match address {
            IpAddr::V4(address) => storage.as_sockaddr_in().is_some_and(|a| a.ip() == address),
            IpAddr::V6(address) => storage.as_sockaddr_in6().is_some_and(|a| a.ip() == address),
        }
    };
    let found = nix::ifaddrs::getifaddrs()?.find(has);
    found
        .map(|found| found.interface_name)
        .with_context(|| format!("this box does not have the address {address}"))
}

fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= 32
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(plain)
}

/// `one=10.0.0.1`.
pub fn parse_node(text: &str) -> Result<Node, String> {
    let wrong = || format!("`{text}` is no node; write NAME=ADDRESS, such as one=10.0.0.1");
    let (name, address) = text.split_once('=').ok_or_else(wrong)?;
    Ok(Node { name: name.to_owned(), address: address.parse().map_err(|_| wrong())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(texts: &[&str]) -> Vec<Node> {
        texts.iter().map(|text| parse_node(text).unwrap()).collect()
    }

    #[test]
    fn it_is_written_once_for_its_owner_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ha.toml");
        let three = nodes(&["one=10.0.0.1", "two=10.0.0.2", "three=fd00::3"]);
        let made = Inventory::make(three, Some("10.0.0.100/24".into()), true).unwrap();
        made.save(&path).unwrap();
        assert!(made.save(&path).is_err(), "secrets are made once");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Inventory::load(&path).unwrap();
        assert_eq!(read.nodes, made.nodes);
        let url = read.database_url("/etc/x".as_ref()).expose().clone();
        let ends = "@10.0.0.1,10.0.0.2,[fd00::3]/rackwright?sslmode=verify-full&sslrootcert=/etc/x/ca.pem";
        assert!(url.ends_with(ends), "{url}");
        assert!(!format!("{read:?}").contains(made.secrets.region.expose()));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Inventory::load(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn mistakes_are_named() {
        let make = |texts: &[&str], address: Option<&str>| {
            Inventory::make(nodes(texts), address.map(str::to_owned), true).unwrap_err().to_string()
        };
        assert!(make(&["one=10.0.0.1", "two=10.0.0.2"], None).contains("odd number"));
        assert!(make(&["a=10.0.0.1", "b=10.0.0.2", "c=10.0.0.2"], None).contains("twice"));
        assert!(make(&["A=10.0.0.1", "b=10.0.0.2", "c=10.0.0.3"], None).contains("no node name"));
        let three = ["a=10.0.0.1", "b=10.0.0.2", "c=10.0.0.3"];
        assert!(make(&three, Some("10.0.0.3/24")).contains("a node's own address"));
        assert!(make(&three, Some("10.0.0.9")).contains("prefix length"));
        assert!(parse_node("one").unwrap_err().contains("NAME=ADDRESS"));
    }
}
