//! Whether a controller may be missing for a while: nothing may depend on it alone, and nothing else may be missing already.

use super::Kind;
use rackwright_region::model::controller::{DatabaseRole, Rack, SiteStatus};

/// A standby that is further behind has not caught up yet, bytes.
const BEHIND: i64 = 16 << 20;

/// Why not; empty when it is safe.
pub fn refusals(status: &SiteStatus, kind: Kind, name: &str) -> Vec<String> {
    let mut why = database(status);
    match kind {
        Kind::Region => region(status, name, &mut why),
        Kind::Rack => rack(status, name, &mut why),
    }
    why
}

/// The networks of a rack, and who serves them meanwhile.
pub fn networks(status: &SiteStatus, kind: Kind, name: &str) -> Vec<String> {
    let Some(rack) = status.racks.iter().find(|rack| kind == Kind::Rack && rack.name == name) else {
        return Vec::new();
    };
    let network = |address: &rackwright_common::link::RackAddress| {
        let network = address.network.trunc();
        let others: Vec<_> = others(status, rack, network).map(|other| other.name.as_str()).collect();
        format!("{network} by {}", others.join(", "))
    };
    rack.addresses.iter().map(network).collect()
}

fn others<'a>(
    status: &'a SiteStatus,
    rack: &'a Rack,
    network: ipnet::Ipv4Net,
) -> impl Iterator<Item = &'a Rack> {
    let serves = move |other: &&Rack| {
        let there = other.addresses.iter().any(|address| address.network.trunc() == network);
        other.name != rack.name && other.connected && !other.regions.is_empty() && there
    };
    status.racks.iter().filter(serves)
}

fn database(status: &SiteStatus) -> Vec<String> {
    let mut why = Vec::new();
    let servers = &status.database;
    if !servers.is_empty() && !servers.iter().any(|server| server.role == DatabaseRole::Primary) {
        why.push("no server of the database takes changes".to_owned());
    }
    let ready = |server: &&rackwright_region::model::controller::DatabaseServer| {
        server.role == DatabaseRole::Standby && server.lag_bytes.is_none_or(|lag| lag < BEHIND)
    };
    if servers.len() > 1 && !servers.iter().any(|server| ready(&server)) {
        why.push("no standby of the database has caught up (`rackwright ha ctl list`)".to_owned());
    }
    why
}

fn region(status: &SiteStatus, name: &str, why: &mut Vec<String>) {
    match status.regions.iter().find(|region| region.name == name) {
        None => why.push(format!("there is no region {name}")),
        Some(region) if !region.connected => why.push(format!("{name} does not live")),
        Some(_) => {}
    }
    let left = status.regions.iter().filter(|r| r.name != name && r.connected && !r.draining);
    let left: Vec<_> = left.map(|region| region.name.as_str()).collect();
    if left.is_empty() {
        why.push("no other region lives and takes work".to_owned());
    }
    for rack in status.racks.iter().filter(|rack| rack.connected) {
        if !rack.regions.iter().any(|region| left.contains(&region.as_str())) {
            why.push(format!("{} has no stream to another region", rack.name));
        }
    }
}

fn rack(status: &SiteStatus, name: &str, why: &mut Vec<String>) {
    let Some(rack) = status.racks.iter().find(|rack| rack.name == name) else {
        why.push(format!("there is no rack {name}"));
        return;
    };
    if rack.regions.is_empty() {
        why.push(format!("no region hears {name}"));
    }
    for address in &rack.addresses {
        let network = address.network.trunc();
        let mut others = others(status, rack, network).peekable();
        if others.peek().is_none() {
            why.push(format!("no other rack serves {network}"));
        } else if !others.any(|other| other.running == other.generation) {
            why.push(format!("no other rack of {network} runs its newest snapshot"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status() -> SiteStatus {
        let region = |name: &str| {
            json!({ "name": name, "version": "1", "connected": true, "stream": "x:1", "racks": ["r1", "r2"],
                    "started_at": "2026-01-01T00:00:00Z", "last_seen_at": "2026-01-01T00:00:00Z" })
        };
        let rack = |name: &str, last: u8| {
            json!({ "id": last, "name": name, "version": "1", "connected": true, "running": 3, "generation": 3,
                    "addresses": [{ "interface": "eth1", "network": format!("10.0.0.{last}/24"), "http_port": 5248 }],
                    "regions": ["one", "two"] })
        };
        serde_json::from_value(json!({
            "version": "1", "machines": {}, "operations_running": 0,
            "database": [{ "name": "a", "role": "primary" }, { "name": "b", "role": "standby", "lag_bytes": 5 }],
            "regions": [region("one"), region("two")], "racks": [rack("r1", 1), rack("r2", 2)],
        }))
        .unwrap()
    }

    #[test]
    fn what_others_can_stand_in_for_may_be_stopped() {
        assert_eq!(refusals(&status(), Kind::Region, "one"), [] as [&str; 0]);
        assert_eq!(refusals(&status(), Kind::Rack, "r1"), [] as [&str; 0]);
        assert_eq!(networks(&status(), Kind::Rack, "r1"), ["10.0.0.0/24 by r2"]);
    }

    #[test]
    fn what_is_the_last_of_its_kind_may_not() {
        let mut site = status();
        site.regions[1].connected = false;
        site.racks[1].regions.clear();
        assert_eq!(
            refusals(&site, Kind::Region, "one"),
            [
                "no other region lives and takes work",
                "r1 has no stream to another region",
                "r2 has no stream to another region"
            ]
        );
        assert_eq!(refusals(&site, Kind::Rack, "r1"), ["no other rack serves 10.0.0.0/24"]);
        site.regions[1] = status().regions[1].clone();
        site.regions[1].draining = true;
        assert_eq!(refusals(&site, Kind::Region, "one")[0], "no other region lives and takes work");
    }

    #[test]
    fn nothing_is_stopped_while_the_database_has_no_standby() {
        let mut site = status();
        site.database[1].role = DatabaseRole::Gone;
        assert!(refusals(&site, Kind::Region, "one")[0].starts_with("no standby"));
        site.database[1].role = DatabaseRole::Standby;
        site.database[1].lag_bytes = Some(BEHIND);
        assert!(refusals(&site, Kind::Rack, "r1")[0].starts_with("no standby"));
        site.database[0].role = DatabaseRole::Gone;
        assert!(refusals(&site, Kind::Rack, "r1")[0].starts_with("no server"));
        site.database.truncate(1);
        site.database[0].role = DatabaseRole::Primary;
        assert_eq!(
            refusals(&site, Kind::Rack, "r1"),
            [] as [&str; 0],
            "a site with one server cannot lose it by this"
        );
    }
}
