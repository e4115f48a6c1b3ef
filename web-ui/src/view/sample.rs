//! Models for the tests of the views: one machine as they are, and one whose every text is markup, since names, LLDP
//! and logs come from machines that nobody trusts.

use super::network::Sources;
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::controller::{Rack, Region, SiteStatus};
use rackwright_region::model::discovery::{Discovery, WiringFault};
use rackwright_region::model::event::Event;
use rackwright_region::model::hardware_change::HardwareChange;
use rackwright_region::model::image::Image;
use rackwright_region::model::machine::Machine;
use rackwright_region::model::network::{Fabric, IpRange, Lease, Reservation, Subnet, Utilisation, Vlan};
use rackwright_region::model::notification::{Notification, NotificationRule};
use rackwright_region::model::operation::{LogChunk, OperationDetail};
use rackwright_region::model::script::{Script, ScriptRun};
use rackwright_region::model::script_history::{ScriptHistory, SiteRun};
use rackwright_region::model::switch::SwitchDetail;
use rackwright_region::model::user::{SessionInfo, SshKey, Token, User};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What hostile texts are.
pub const MARKUP: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>";

/// A value as the API writes it.
pub fn of<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a sample fits its model")
}

/// An operator.
pub fn actor() -> Actor {
    Actor::new(1, "ann", Role::Operator, None)
}

fn machine_json() -> Value {
    let mut machine = json!({
        "id": "k3x9ab", "hostname": "node-21", "status": "deploying", "status_message": "",
        "status_since": "2026-11-22T06:28:00Z", "locked": false, "owner": "ann", "pool": "default", "zone": "row-a",
        "tags": ["gpu", "rack-7"], "architecture": "x86_64", "vendor": "Supermicro", "product": "SYS-111C-NR",
        "cpu_cores": 16, "memory_mib": 65536, "storage_bytes": 1_920_383_410_176_i64, "power_state": "on",
        "power_driver": "ipmi", "addresses": ["10.77.0.21"], "image": "debian-12@3",
        "operation": { "id": 7, "kind": "deploy", "step": "install", "message": "writing debian-12 to nvme0n1" },
        "last_seen_at": "2026-11-22T06:29:57Z", "version": 12,
    });
    let rest = json!({
        "description": "the spare one", "system_uuid": "4c4c4544-0042-3510-8054-b7c04f4e3332",
        "system_serial": "S411795X", "efi": true, "secure_boot": false, "boot": "ephemeral",
        "storage_layout": { "kind": "flat" }, "ssh_keys": [],
        "interfaces": [
            { "id": 1, "mac": "52:54:00:00:00:15", "name": "eno1", "boot": true, "link": true, "subnet": 1,
              "address": "10.77.0.21", "mode": "auto" },
            { "id": 2, "mac": "52:54:00:00:00:16", "name": "eno2", "boot": false, "link": false, "mode": "link-up" },
        ],
        "bmc": { "driver": "ipmi", "address": "10.78.0.21", "port": 623, "username": "rackwright",
                 "has_password": true, "settings": {}, "source": "in-band", "error": null },
        "inventory": inventory(), "failed_tests": [],
        "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-22T06:28:00Z",
    });
    let rest = rest.as_object().expect("it is an object").clone();
    machine.as_object_mut().expect("it is an object").extend(rest);
    machine
}

fn inventory() -> Value {
    json!({
        "system": { "vendor": "Supermicro", "product": "SYS-111C-NR", "board": "Supermicro X13SEW-F" },
        "firmware": { "vendor": "American Megatrends", "version": "2.1", "date": "02/14/2026", "efi": true },
        "cpu": { "architecture": "x86_64", "model": "Intel(R) Xeon(R) Silver 4514Y", "sockets": 1, "cores": 16,
                 "threads": 32, "max_mhz": 3400, "virtualization": true },
        "numa_nodes": [{ "node": 0, "cpus": "0-31", "memory_mib": 65536 }],
        "memory_mib": 65536,
        "dimms": [
            { "slot": "DIMM_A1", "size_mib": 32768, "kind": "DDR5", "speed_mts": 4800, "vendor": "Samsung",
              "part": "M321R4GA3BB6", "serial": "A1B2C3" },
            { "slot": "DIMM_B1", "size_mib": 32768, "kind": "DDR5", "speed_mts": 4800 },
            { "slot": "DIMM_C1" }, { "slot": "DIMM_D1" },
        ],
        "disks": [{ "name": "nvme0n1", "model": "SAMSUNG MZQL21T9", "serial": "S64GNE0R", "size_bytes": 1_920_383_410_176_u64,
                    "sector_bytes": 512, "rotational": false, "transport": "nvme", "firmware": "GDC5602Q" }],
        "interfaces": [
            { "name": "eno1", "mac": "52:54:00:00:00:15", "driver": "ice", "product": "E810-XXV", "speed_mbps": 25000,
              "link": true, "boot": true,
              "lldp": { "chassis": "aa:bb:cc:dd:ee:ff", "port": "Ethernet7", "system": "sw-a1", "vlan": 20 } },
            { "name": "eno2", "mac": "52:54:00:00:00:16", "driver": "ice", "link": false },
        ],
        "bmc": { "address": "10.78.0.21", "firmware": "1.02.15" },
    })
}

/// A machine that is being deployed.
pub fn machine() -> Machine {
    of(machine_json())
}

/// Makes every free text markup, and leaves alone what has a form of its own.
fn poison(value: &mut Value, keep: &[&str]) {
    match value {
        Value::String(text) => *text = MARKUP.into(),
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, keep)),
        Value::Object(map) => {
            map.iter_mut()
                .filter(|(name, _)| !keep.contains(&name.as_str()))
                .for_each(|(_, v)| poison(v, keep));
        }
        _ => {}
    }
}

const FORMED: [&str; 24] = [
    "id",
    "hostname",
    "status_since",
    "power_state",
    "power_driver",
    "addresses",
    "last_seen_at",
    "system_uuid",
    "storage_layout",
    "mac",
    "driver",
    "settings",
    "created_at",
    "updated_at",
    "at",
    "machine",
    "level",
    "deadline",
    "step_since",
    "finished_at",
    "given_at",
    "uuid",
    "started_at",
    "ended_at",
];

/// A machine whose every text is markup.
pub fn hostile() -> Machine {
    let mut value = machine_json();
    let formed = ["status", "address"].into_iter().chain(FORMED).collect::<Vec<_>>();
    poison(&mut value, &formed);
    // Here `status` is free text no more, and these are.
    value["status"] = "broken".into();
    value["bmc"]["error"] = MARKUP.into();
    value["bmc"]["address"] = MARKUP.into();
    value["failed_tests"] = json!([MARKUP]);
    of(value)
}

fn event(id: i64, seconds: f64, kind: &str, message: &str, data: Value) -> Value {
    let at = time::macros::datetime!(2026-11-22 06:28:00 UTC) + time::Duration::seconds_f64(seconds);
    let at = rackwright_region::model::Timestamp(at);
    json!({ "id": id, "at": at, "kind": kind, "level": "warning", "machine": "k3x9ab", "operation": 7,
            "actor": "rackwright", "message": message, "data": data })
}

fn events_json() -> Vec<Value> {
    let boot = |stage: &str| ("machine.boot", format!("seen: {stage}"), json!({ "stage": stage }));
    let step = |label: &str| ("operation.step", label.to_owned(), json!({}));
    let cloud_init = |name: &str| {
        ("machine.cloud-init", format!("{name} finish"), json!({ "name": name, "event_type": "finish" }))
    };
    let status = |change: &str| ("machine.status", change.to_owned(), json!({}));
    let list = [
        (0.0, status("Ready → Deploying")),
        (1.5, step("switching on, to boot from the network")),
        (2.0, step("waiting for the ephemeral environment")),
        (4.0, boot("discover")),
        (4.3, boot("ack")),
        (4.5, boot("loader")),
        (5.0, boot("discover")),
        (5.1, boot("ack")),
        (5.2, boot("script")),
        (5.6, boot("kernel")),
        (6.6, boot("initrd")),
        (9.0, ("machine.agent", "the ephemeral environment is up".to_owned(), json!({}))),
        (9.1, step("installing")),
        (39.6, step("waiting for the installed system")),
        (47.0, boot("discover")),
        (47.3, boot("ack")),
        (47.5, boot("script")),
        (51.0, cloud_init("init-network")),
        (56.0, cloud_init("modules-config")),
        (61.8, cloud_init("modules-final")),
        (62.0, status("Deploying → Deployed")),
    ];
    (1..).zip(list).map(|(id, (at, (kind, message, data)))| event(id, at, kind, &message, data)).collect()
}

fn operation_json() -> Value {
    json!({
        "id": 7, "kind": "deploy", "machine": "k3x9ab", "hostname": "node-21", "status": "done",
        "step": "await-system", "message": "", "error": null, "attempt": 1, "percent": 50.0,
        "deadline": "2026-11-22T08:28:00Z", "requested_by": "ann", "created_at": "2026-11-22T06:28:00Z",
        "step_since": "2026-11-22T06:28:39Z", "finished_at": "2026-11-22T06:29:02Z",
        "console_tail": ["[   12.3] Kernel panic - not syncing"],
        "items": [
            { "id": 1, "kind": "install", "subject": "debian-12", "status": "done", "percent": 100.0, "message": "done",
              "error": "", "given_at": "2026-11-22T06:28:09.2Z", "finished_at": "2026-11-22T06:28:39Z", "duration_ms": 29800 },
            { "id": 2, "kind": "reboot", "status": "done", "message": "", "error": "",
              "given_at": "2026-11-22T06:28:39Z", "finished_at": "2026-11-22T06:28:39.5Z" },
        ],
    })
}

/// A deployment that took 62 s, with its events, oldest first.
pub fn deployment() -> (OperationDetail, Vec<Event>) {
    (of(operation_json()), events_json().into_iter().map(of).collect())
}

/// The same while it runs, with markup in every text.
pub fn hostile_operation() -> (OperationDetail, Vec<Event>) {
    let mut value = operation_json();
    poison(&mut value, &[&FORMED[..], &["status"]].concat());
    value["status"] = "running".into();
    value["error"] = MARKUP.into();
    value["items"][1]["status"] = "given".into();
    value["items"][1]["percent"] = 40.0.into();
    let events = events_json().into_iter().map(|mut event| {
        poison(&mut event, &[&FORMED[..], &["kind"]].concat());
        of(event)
    });
    (of(value), events.collect())
}

/// A log with markup.
pub fn hostile_log() -> Vec<LogChunk> {
    vec![of(json!({ "position": 5, "item": 1, "at": "2026-11-22T06:28:10Z", "text": MARKUP }))]
}

/// A test run.
pub fn run(id: i64, status: &str) -> ScriptRun {
    of(json!({
        "id": id, "machine": "k3x9ab", "operation": 6, "name": "disk-quick", "script_type": "testing",
        "hardware_type": "storage", "target": "S64GNE0R", "status": status, "exit_code": 1,
        "results": { "read_mib_s": 2712.4321, "smart": "PASSED" }, "suppressed": false,
        "started_at": "2026-11-22T06:20:00Z", "ended_at": "2026-11-22T06:20:30Z",
    }))
}

/// A test run with markup in every text.
pub fn hostile_run() -> ScriptRun {
    let markup = || MARKUP.to_owned();
    ScriptRun {
        name: markup(),
        target: markup(),
        hardware_type: markup(),
        status: markup(),
        results: json!({ MARKUP: MARKUP }),
        suppressed: true,
        stdout: Some(markup()),
        stderr: Some(markup()),
        ..run(3, "failed")
    }
}

/// An image with markup.
pub fn image() -> Image {
    of(json!({
        "id": 1, "name": MARKUP, "version": 3, "kind": "os", "title": MARKUP, "architecture": MARKUP, "manifest": {},
        "files": [{ "name": MARKUP, "sha256": MARKUP, "size": 412_000_000, "uncompressed_size": 2_000_000_000 }],
        "created_at": "2026-11-21T10:00:00Z", "on_racks": [MARKUP],
    }))
}

/// A script with markup.
pub fn script() -> Script {
    of(json!({
        "id": 1, "name": MARKUP, "version": 1, "builtin": true, "created_at": "2026-11-21T10:00:00Z",
        "metadata": { "name": MARKUP, "title": MARKUP, "script_type": "testing", "destructive": true },
    }))
}

/// A script of the site with markup, its versions and a run.
pub fn script_in_full() -> (Script, ScriptHistory) {
    let mut full = script();
    (full.builtin, full.version, full.body) = (false, 2, Some(MARKUP.into()));
    full.metadata.description = MARKUP.into();
    full.metadata.tags = vec![MARKUP.into()];
    full.metadata.parameters = [(MARKUP.to_owned(), json!({ MARKUP: MARKUP }))].into();
    full.metadata.results = json!({ MARKUP: { "title": MARKUP } });
    let version = |version: i32| json!({ "version": version, "created_at": "2026-11-21T10:00:00Z" });
    let history = json!({ "versions": [version(2), version(1)], "runs": [] });
    let run = SiteRun { run: hostile_run(), hostname: MARKUP.into(), version: 1 };
    (full, ScriptHistory { runs: vec![run], ..of(history) })
}

/// An operator who is disabled.
pub fn users() -> Vec<User> {
    vec![of(json!({ "id": 9, "name": MARKUP, "role": "operator", "disabled": true, "has_password": false,
                    "created_at": "2026-11-21T10:00:00Z" }))]
}

/// Two on the page, one of them unread, and one that was refused; and a rule.
pub fn notifications() -> (Vec<Notification>, Vec<NotificationRule>) {
    let event = json!({ "id": 9, "at": "2026-11-22T06:00:00Z", "kind": MARKUP, "level": "error", "machine": "k3x9ab",
                        "actor": MARKUP, "message": MARKUP, "data": {} });
    let one = |id: i64, state: &str, unread: bool| {
        of(json!({ "id": id, "rule": MARKUP, "state": state, "unread": unread, "attempt": 2, "error": MARKUP,
                   "created_at": "2026-11-22T06:00:00Z", "event": event }))
    };
    let rule = json!({ "name": MARKUP, "kinds": [MARKUP], "pool": MARKUP, "channel": { "kind": "webhook", "url": MARKUP } });
    (vec![one(7, "shown", true), one(6, "shown", false), one(5, "failed", false)], vec![of(rule)])
}

/// A token that works and one that does not any more.
pub fn tokens() -> Vec<Token> {
    let token = |id, expires: &str| {
        of(json!({ "id": id, "name": MARKUP, "created_at": "2026-11-01T10:00:00Z", "expires_at": expires }))
    };
    vec![token(1, "2027-02-01T10:00:00Z"), token(2, "2026-11-20T10:00:00Z")]
}

/// An SSH key.
pub fn sessions() -> Vec<SessionInfo> {
    of(
        json!([{ "id": 4, "user": "ann", "current": true, "source": MARKUP, "program": MARKUP, "created_at": "2026-11-21T10:00:00Z",
                "last_used_at": "2026-11-22T06:29:00Z", "expires_at": "2026-12-06T06:29:00Z" }]),
    )
}

/// SSH keys of somebody.
pub fn keys() -> Vec<SshKey> {
    vec![of(
        json!({ "id": 1, "public_key": format!("ssh-ed25519 AAAA {MARKUP}"), "created_at": "2026-11-01T10:00:00Z" }),
    )]
}

/// A region, a rack that is behind, and one that is gone and had refused a snapshot.
pub fn controllers() -> (Vec<Region>, Vec<Rack>) {
    let region = json!({ "name": MARKUP, "version": MARKUP, "connected": true, "stream": MARKUP,
                         "draining": true, "racks": [MARKUP], "lacks": [MARKUP], "lacks_because": MARKUP,
                         "time": { "state": "synchronised", "message": MARKUP, "stratum": 3, "offset_ns": 1000 },
                         "started_at": "2026-11-22T06:00:00Z", "last_seen_at": "2026-11-22T06:29:59Z" });
    let rack = json!({ "id": 1, "name": MARKUP, "version": MARKUP, "connected": true,
                       "addresses": [{ "interface": MARKUP, "network": "10.77.0.1/24", "http_port": 5248 }],
                       "time": { "state": "unsynchronised", "message": MARKUP },
                       "running": 41, "generation": 42, "regions": [MARKUP], "blocks": 2, "block_addresses": 64, "created_at": "2026-11-20T10:00:00Z" });
    let mut gone = rack.clone();
    gone["connected"] = false.into();
    gone["error"] = MARKUP.into();
    gone["blocks_free_at"] = "2026-11-23T10:00:00Z".into();
    (vec![of(region)], vec![of(rack), of(gone)])
}

/// A site with three Ready machines and a broken one.
pub fn site_status() -> SiteStatus {
    let (regions, racks) = controllers();
    let machines = [("ready".to_owned(), 3), ("broken".to_owned(), 1)].into();
    let status = json!({
        "version": "0", "machines": {}, "operations_running": 1, "operations_by_region": { MARKUP: 1 },
        "last_takeover": { "operation": 7, "at": "2026-11-22T06:20:00Z", "from": MARKUP, "to": MARKUP, "seconds": 10.42 },
        "database": [{ "name": MARKUP, "role": "primary" }, { "name": MARKUP, "role": "standby", "lag_bytes": 4096 },
                     { "name": MARKUP, "role": "gone" }],
        "regions": [], "racks": [],
    });
    SiteStatus { machines, regions, racks, ..of(status) }
}

/// A network with markup in its names.
pub fn network() -> Sources {
    let vlan: Vlan = of(json!({ "id": 1, "fabric": 1, "vid": 0, "name": MARKUP, "mtu": 1500, "dhcp": true,
                                "space": 1, "dhcp_options": [{ "code": 224, "type": "text", "value": MARKUP }] }));
    let subnet: Subnet = of(json!({
        "id": 1, "vlan": 1, "name": MARKUP, "cidr": "10.77.0.0/24", "gateway": "10.77.0.1", "dns_servers": [],
        "domain": MARKUP, "lease_seconds": 600,
    }));
    let used: Utilisation = of(json!({
        "addresses": 254, "dynamic": 100, "reserved": 10, "machines": 40, "reservations": 1, "leased": 10, "free": 103,
    }));
    let range: IpRange = of(json!({ "id": 1, "subnet": 1, "kind": "dynamic", "first": "10.77.0.100",
                                    "last": "10.77.0.199", "comment": MARKUP }));
    let reservation: Reservation =
        of(json!({ "id": 1, "subnet": 1, "mac": "52:54:00:00:00:01", "address": "10.77.0.5",
                                              "hostname": MARKUP, "created_at": "2026-11-21T10:00:00Z" }));
    let lease: Lease = of(json!({ "address": "10.77.0.101", "mac": "52:54:00:00:00:02", "hostname": MARKUP,
                                  "machine": "k3x9ab", "rack": MARKUP, "expires_at": "2026-11-22T06:35:00Z" }));
    Sources {
        fabrics: vec![Fabric { id: 1, name: MARKUP.into() }],
        vlans: vec![vlan],
        spaces: vec![of(json!({ "id": 1, "name": MARKUP, "description": MARKUP, "vlans": [1] }))],
        routes: vec![of(
            json!({ "id": 1, "subnet": 1, "destination": "10.200.0.0/16", "gateway": "10.77.0.1", "metric": 0 }),
        )],
        subnets: vec![(subnet, used)],
        ranges: vec![range],
        reservations: vec![reservation],
        leases: vec![lease],
    }
}

/// A printer that nobody knows, and a machine.
pub fn discoveries() -> Vec<Discovery> {
    let one = json!({
        "id": 1, "mac": "52:54:00:00:00:09", "vendor": MARKUP, "address": "10.77.0.9", "hostname": MARKUP, "rack": MARKUP,
        "interface": MARKUP, "subnet": 1, "known": "unknown", "first_seen_at": "2026-11-22T06:20:00Z",
        "last_seen_at": "2026-11-22T06:29:00Z",
        "lldp": { "chassis": MARKUP, "port": MARKUP, "system": MARKUP, "description": MARKUP, "vlan": 20 },
    });
    let mut machine = one.clone();
    (machine["id"], machine["address"]) = (2.into(), "10.99.0.7".into());
    (machine["known"], machine["machine"]) = ("machine".into(), "k3x9ab".into());
    machine["machine_name"] = MARKUP.into();
    vec![of(one), of(machine)]
}

/// A switch with an access port and a trunk.
pub fn switch() -> SwitchDetail {
    of(json!({
        "id": 1, "name": MARKUP, "address": MARKUP, "port": 161, "access": MARKUP, "poll_seconds": 60, "system": MARKUP,
        "description": MARKUP, "port_count": 2, "rack": MARKUP, "error": MARKUP, "read_at": "2026-11-22T06:29:00Z",
        "created_at": "2026-11-22T06:20:00Z",
        "vlans": [{ "vid": 10, "name": MARKUP }, { "vid": 20, "name": "" }],
        "ports": [
            { "number": 1, "name": MARKUP, "alias": MARKUP, "up": true, "speed_mbps": 10000, "pvid": 10, "untagged": [10],
              "neighbour": { "chassis": MARKUP, "port": MARKUP, "system": MARKUP },
              "heard_count": 4, "heard": [
                { "mac": "52:54:00:00:00:09", "vid": 10, "machine": "k3x9ab", "machine_name": MARKUP, "interface": MARKUP },
                { "mac": "52:54:00:00:00:0a", "vid": 10 },
            ] },
            { "number": 2, "name": "swp2", "up": false, "pvid": 10, "untagged": [10], "tagged": [20], "heard": [], "heard_count": 0 },
        ],
    }))
}

/// A part that is gone, with markup.
pub fn hardware_change() -> HardwareChange {
    of(json!({
        "id": 4, "machine": "k3x9ab", "hostname": "node-21", "operation": 7, "at": "2026-11-22T06:20:00Z", "kind": "gone",
        "part": MARKUP, "before": MARKUP, "after": "", "message": MARKUP, "accepted_at": null, "accepted_by": null,
    }))
}

/// A cable in the wrong port.
pub fn wiring_faults() -> Vec<WiringFault> {
    vec![of(json!({
        "machine": "k3x9ab", "name": MARKUP, "interface": MARKUP, "switch": MARKUP, "port": MARKUP, "seen_vid": 20,
        "model_vid": 10, "message": MARKUP, "since": "2026-11-22T06:20:00Z",
    }))]
}
