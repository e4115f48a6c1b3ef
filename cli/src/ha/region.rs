//! What a region on a node has in its `region.toml`: how it reaches the cluster, who stands in front of it, what it shows.

use super::Place;
use super::inventory::{Inventory, Node, host};
use anyhow::{Context, Result};
use std::path::Path;

/// A region's port for racks and other regions.
const STREAM_PORT: u16 = 5241;

/// Prints the settings of a region on this node, which hold the database's password.
pub fn print(place: &Place) -> Result<()> {
    let inventory = Inventory::load(&place.config)?;
    let node = inventory.find(place.node.as_deref())?;
    let mut table = settings(place, &inventory, node)?;
    table.insert("name".into(), node.name.clone().into());
    print!("{}", toml::to_string(&table)?);
    Ok(())
}

/// All but its name and folder.
pub fn settings(place: &Place, inventory: &Inventory, node: &Node) -> Result<toml::Table> {
    let folder = std::path::absolute(&place.folder)?;
    let file = |name: &str| text(&folder.join(name));
    let mut table = toml::Table::new();
    table.insert("database_url".into(), inventory.database_url(&folder).expose().clone().into());
    table.insert("stream_address".into(), format!("{}:{STREAM_PORT}", host(node.address)).into());
    let proxies: Vec<_> = inventory.nodes.iter().map(|node| node.address.to_string()).collect();
    table.insert("trusted_proxies".into(), proxies.into());
    if inventory.https {
        let shown = [("certificate", file("region.pem")?), ("key", file("region-key.pem")?)];
        let shown = shown.map(|(key, file)| (key.to_owned(), toml::Value::from(file)));
        table.insert("tls".into(), toml::Table::from_iter(shown).into());
    }
    Ok(table)
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).context("a path that is no text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ha::inventory::parse_node;
    use rackwright_region::config::RegionConfig;

    #[test]
    fn a_region_reads_what_is_printed() {
        let nodes = ["one=10.0.0.1", "two=10.0.0.2", "three=10.0.0.3"].map(|text| parse_node(text).unwrap());
        let mut inventory = Inventory::make(nodes.to_vec(), Some("10.0.0.100/24".into()), true).unwrap();
        let place = Place {
            config: "/etc/x/ha.toml".into(),
            node: None,
            folder: "/etc/x/ha".into(),
            data: "/var/x".into(),
            patroni: None,
        };
        let read = |inventory: &Inventory| -> RegionConfig {
            settings(&place, inventory, &inventory.nodes[1]).unwrap().try_into().unwrap()
        };
        let plain = read(&inventory);
        assert_eq!((plain.stream_address().as_str(), plain.trusted_proxies.len()), ("10.0.0.2:5241", 3));
        assert!(plain.tls.is_none());
        inventory.https = true;
        let written = format!("{:?}", read(&inventory).tls);
        assert!(written.contains("/etc/x/ha/region-key.pem"), "{written}");
    }
}
