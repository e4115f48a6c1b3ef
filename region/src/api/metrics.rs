//! `/metrics` in Prometheus' text format: what `rackwright status` tells, as numbers. Labels name controllers and servers, never
//! machines, so that a site of ten thousand machines has as many series as one of ten.

use crate::model::controller::{DatabaseRole, Rack, SiteStatus};
use rackwright_common::ntp::{TimeReport, TimeState};
use std::fmt::Display;

/// The metrics of a site.
pub(super) fn render(status: &SiteStatus) -> String {
    let mut text = Text::default();
    text.metric("rackwright_machines", "Machines by status.");
    for (status, count) in &status.machines {
        text.sample(&[("status", status)], count);
    }
    text.metric("rackwright_operations_running", "Operations under way.");
    text.sample(&[], status.operations_running);
    text.metric(
        "rackwright_operations_owned",
        "Operations under way by the region that looked at them last.",
    );
    for (region, count) in &status.operations_by_region {
        text.sample(&[("region", region)], count);
    }
    text.metric(
        "rackwright_notifications_refused",
        "Notifications that their receiver refused: pending ones are tried again, failed ones were given up.",
    );
    for (state, count) in &status.notifications_refused {
        text.sample(&[("state", state)], count);
    }
    regions(&mut text, status);
    racks(&mut text, &status.racks);
    database(&mut text, status);
    text.0
}

fn regions(text: &mut Text, status: &SiteStatus) {
    let regions = &status.regions;
    text.metric("rackwright_region_up", "Whether a region was heard within three seconds.");
    for region in regions {
        text.sample(&[("region", &region.name), ("version", &region.version)], u8::from(region.connected));
    }
    text.metric("rackwright_region_draining", "Whether a region takes no new work.");
    for region in regions {
        text.sample(&[("region", &region.name)], u8::from(region.draining));
    }
    text.metric("rackwright_region_files_missing", "Files of images that a region's store lacks.");
    for region in regions {
        text.sample(&[("region", &region.name)], region.lacks.len());
    }
    let clocks = regions.iter().map(|r| (r.name.as_str(), r.time.as_ref()));
    clock(text, "region", clocks.collect());
    if let Some(takeover) = &status.last_takeover {
        text.metric(
            "rackwright_last_takeover_seconds",
            "From an owner's last word to the next owner, the last time that happened.",
        );
        text.sample(&[], takeover.seconds);
        text.metric("rackwright_last_takeover_timestamp_seconds", "When that was.");
        text.sample(&[], takeover.at.0.unix_timestamp());
    }
}

fn racks(text: &mut Text, racks: &[Rack]) {
    let mut each = |name: &str, help: &str, value: fn(&Rack) -> i64| {
        text.metric(name, help);
        for rack in racks {
            text.sample(&[("rack", &rack.name)], value(rack));
        }
    };
    each("rackwright_rack_up", "Whether a region hears a rack.", |rack| rack.connected.into());
    each("rackwright_rack_streams", "Regions that a rack has a stream to.", |rack| {
        i64::try_from(rack.regions.len()).unwrap_or(i64::MAX)
    });
    each("rackwright_rack_snapshot_made", "Newest generation of a rack's snapshot.", |rack| rack.generation);
    each("rackwright_rack_snapshot_running", "Generation that a rack runs.", |rack| rack.running);
    each("rackwright_rack_lease_blocks", "Blocks of dynamic addresses granted to a rack.", |rack| {
        rack.blocks
    });
    each("rackwright_rack_lease_addresses", "Dynamic addresses granted to a rack.", |rack| {
        rack.block_addresses
    });
    clock(text, "rack", racks.iter().map(|r| (r.name.as_str(), r.time.as_ref())).collect());
}

/// How controllers have the time. One that serves none has no line.
fn clock(text: &mut Text, label: &str, clocks: Vec<(&str, Option<&TimeReport>)>) {
    let serving: Vec<_> = clocks
        .into_iter()
        .filter_map(|(name, time)| Some((name, time.filter(|time| time.state != TimeState::Off)?)))
        .collect();
    text.metric(&format!("rackwright_{label}_time_synchronised"), "Whether a controller gives the time.");
    for (name, time) in &serving {
        text.sample(&[(label, name)], u8::from(time.is_synchronised()));
    }
    text.metric(
        &format!("rackwright_{label}_time_offset_seconds"),
        "By how much a controller's own clock is ahead of the time that it gives.",
    );
    for (name, time) in &serving {
        if let Some(offset) = time.offset_seconds() {
            text.sample(&[(label, name)], offset);
        }
    }
}

fn database(text: &mut Text, status: &SiteStatus) {
    text.metric("rackwright_database_up", "Whether this region reads its database.");
    text.sample(&[], 1);
    text.metric("rackwright_database_server", "Servers of the database by what they are.");
    for server in &status.database {
        for role in [DatabaseRole::Primary, DatabaseRole::Standby, DatabaseRole::Gone] {
            let is = u8::from(server.role == role);
            text.sample(&[("server", &server.name), ("role", role.as_str())], is);
        }
    }
    text.metric("rackwright_database_lag_bytes", "Log that a standby has not replayed.");
    for server in &status.database {
        if let Some(lag) = server.lag_bytes {
            text.sample(&[("server", &server.name)], lag);
        }
    }
}

/// What is told while the database cannot be read.
pub(super) fn without_database() -> &'static str {
    "# HELP rackwright_database_up Whether this region reads its database.\n# TYPE rackwright_database_up gauge\n\
     rackwright_database_up 0\n"
}

/// Text in the making: gauges, each with its samples after it.
#[derive(Default)]
struct Text(String, String);

impl Text {
    fn metric(&mut self, name: &str, help: &str) {
        name.clone_into(&mut self.1);
        self.0.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.0.push_str(&format!("{}{labels} {value}\n", self.1));
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_every_sample_follows_its_metric() {
        let mut text = Text::default();
        text.metric("a", "Help.");
        text.sample(&[("x", "q\"\\\n"), ("y", "z")], 1);
        text.sample(&[], 2.5);
        assert_eq!(text.0, "# HELP a Help.\n# TYPE a gauge\na{x=\"q\\\"\\\\\\n\",y=\"z\"} 1\na 2.5\n");
    }
}
