//! The certificates of a node, all of the inventory's authority: one for the database, etcd and Patroni; one that the region
//! shows to HAProxy; one that HAProxy shows to people, unless there is one of somebody else's authority.

use super::files::{File, Owner};
use super::inventory::{Inventory, Node};
use anyhow::Result;
use rackwright_common::Secret;
use rackwright_link::{Ca, Credentials};
use std::net::IpAddr;
use std::path::Path;

/// A certificate with its key, PEM, for the people's address: who has one of an authority that browsers know puts it here.
pub const PEOPLE: &str = "/etc/rackwright/people.pem";

/// Those that are not there yet: one that fits is kept, so that a second set-up changes nothing.
pub fn missing(inventory: &Inventory, node: &Node, folder: &Path) -> Result<Vec<File>> {
    let key = Secret::new(inventory.secrets.authority_key.expose().clone());
    let authority = Ca::from_pem(inventory.secrets.authority.clone(), key)?;
    let issue = |names: Vec<String>| authority.issue_member(&node.name, &names);
    let own = || vec![node.address.to_string(), node.name.clone()];
    let lacks = |name: &str| !folder.join(name).exists();
    let mut files = Vec::new();
    if lacks("key.pem") {
        let issued = issue(own())?;
        files.push(File::new("ca.pem", 0o644, issued.ca_pem.clone()));
        files.extend(pair("certificate.pem", "key.pem", issued, 0o600, Owner::Postgres));
    }
    if inventory.https && lacks("region-key.pem") {
        files.extend(pair("region.pem", "region-key.pem", issue(own())?, 0o640, Owner::Region));
    }
    if inventory.https && lacks("people.pem") {
        let nodes = inventory.nodes.iter().flat_map(|n| [n.address.to_string(), n.name.clone()]);
        let issued = issue(nodes.chain(people(inventory).map(|address| address.to_string())).collect())?;
        let both = format!("{}{}", issued.certificate_pem, issued.key_pem.expose());
        files.push(File::new("people.pem", 0o600, both));
    }
    Ok(files)
}

/// The key last: it says that both are there.
fn pair(
    certificate: &'static str,
    key: &'static str,
    issued: Credentials,
    mode: u32,
    owner: Owner,
) -> [File; 2] {
    let (shown, secret) = (issued.certificate_pem, issued.key_pem.expose().clone());
    [File::new(certificate, 0o644, shown), File { owner, ..File::new(key, mode, secret) }]
}

/// The people's address.
fn people(inventory: &Inventory) -> Option<IpAddr> {
    inventory.virtual_address.as_ref()?.parse::<ipnet::IpNet>().ok().map(|net| net.addr())
}
