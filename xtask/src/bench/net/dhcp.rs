//! Exchanges of four messages by perfdhcp, which speaks as a relay does.

use super::{Bench, CLIENTS, LOAD, NETWORK, Peer, RACK, Row, Served, address, processor_time};
use anyhow::{Context, Result, ensure};
use rackwright_lab::process::ProcessId;
use serde_json::json;

/// Rates that are offered, one after the other.
const LADDER: [u32; 17] = [
    100, 250, 500, 1000, 1500, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10_000, 12_000, 16_000, 24_000,
];
/// Most exchanges that may be lost, per cent.
const LOST: f64 = 1.0;
/// The first MAC of perfdhcp's clients is 00:0c:01:02:03:04. It loses a carry, so four of them are before that.
const BASE: u32 = 0x0102_0300;
/// Clients that have an address.
const KNOWN: u32 = CLIENTS + 4;

pub(super) fn measure(bench: &Bench<'_>, database: &str) -> Result<Row> {
    bench.sql(database, "UPDATE vlan SET dhcp = TRUE")?;
    bench.sql(
        database,
        &format!(
            "INSERT INTO reservation (subnet_id, mac, address)
             SELECT s.id, '00:0c:' || regexp_replace(lpad(to_hex({BASE} + g), 8, '0'), '(..)(..)(..)(..)', '\\1:\\2:\\3:\\4'),
                    '10.64.0.0'::inet + 256 + g
             FROM subnet s, generate_series(0, {KNOWN} - 1) g WHERE s.cidr = '{NETWORK}'"
        ),
    )?;
    rackwright_lab::poll::until(super::LIMIT, "the rack to give addresses", || {
        serves(bench, RACK).map(Some)
    })?;
    let ours = climb(bench, RACK, &bench.rack)?;
    let pid = format!("KEA_PIDFILE_DIR={}", bench.folder("kea"));
    let kea = bench.beside(
        "kea",
        &["env", &pid, "KEA_LOCKFILE_DIR=none", "kea-dhcp4", "-c", &kea_config(bench)?],
        || serves(bench, address("kea")),
        |process| climb(bench, address("kea"), process),
    )?;
    let leases = format!("--dhcp-leasefile={}/leases", bench.folder("dnsmasq"));
    let hosts = format!("--dhcp-hostsfile={}", dnsmasq_hosts(bench)?);
    let dnsmasq = bench.beside(
        "dnsmasq",
        &[
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            "--no-ping",
            "--user=root",
            "--dhcp-range=10.64.0.0,static,255.255.0.0,1h",
            "--dhcp-lease-max=100000",
            "--pid-file=",
            &leases,
            &hosts,
        ],
        || serves(bench, address("dnsmasq")),
        |process| climb(bench, address("dnsmasq"), process),
    )?;
    Ok(Row {
        what: "DHCP, exchanges of four messages per second before 1 % is lost (perfdhcp, 20,000 known clients)",
        ours,
        peers: vec![
            Peer { name: "Kea", served: kea, goal: Some(3.0) },
            Peer { name: "dnsmasq", served: dnsmasq, goal: None },
        ],
    })
}

/// MAC and address of each client.
fn clients() -> impl Iterator<Item = (String, String)> {
    (0..KNOWN).map(|n| {
        let [a, b, c, d] = (BASE + n).to_be_bytes();
        let at = n + 256;
        (format!("00:0c:{a:02x}:{b:02x}:{c:02x}:{d:02x}"), format!("10.64.{}.{}", at >> 8, at & 255))
    })
}

fn kea_config(bench: &Bench<'_>) -> Result<String> {
    let reservations: Vec<_> =
        clients().map(|(mac, address)| json!({ "hw-address": mac, "ip-address": address })).collect();
    let leases = format!("{}/leases.csv", bench.folder("kea"));
    let config = json!({ "Dhcp4": {
        "interfaces-config": { "interfaces": ["eth1"], "dhcp-socket-type": "udp" },
        "lease-database": { "type": "memfile", "persist": true, "name": leases },
        "multi-threading": { "enable-multi-threading": true, "thread-pool-size": 2, "packet-queue-size": 64 },
        "valid-lifetime": 3600,
        "subnet4": [{ "id": 1, "subnet": NETWORK, "reservations": reservations,
                      "pools": [{ "pool": "10.64.128.0 - 10.64.200.255" }] }],
        "loggers": [{ "name": "kea-dhcp4", "severity": "ERROR", "output_options": [{ "output": "stderr" }] }],
    }});
    bench.file("kea", "config", &config.to_string())
}

fn dnsmasq_hosts(bench: &Bench<'_>) -> Result<String> {
    let lines: String = clients().map(|(mac, address)| format!("{mac},{address}\n")).collect();
    bench.file("dnsmasq", "hosts", &lines)
}

/// An error unless a client gets an address.
fn serves(bench: &Bench<'_>, server: &str) -> Result<()> {
    let said = perfdhcp(bench, server, 20, 1)?;
    let lost = lost(&said).with_context(|| said.clone())?;
    ensure!(lost < 50.0, "{said}");
    Ok(())
}

fn perfdhcp(bench: &Bench<'_>, server: &str, rate: u32, seconds: u32) -> Result<String> {
    let (rate, seconds, clients) = (rate.to_string(), seconds.to_string(), CLIENTS.to_string());
    bench.load(
        "perfdhcp",
        &["-4", "-l", LOAD, "-r", &rate, "-R", &clients, "-p", &seconds, "-W", "500000", server],
    )
}

/// The highest rate reached with so few lost.
fn climb(bench: &Bench<'_>, server: &str, process: &ProcessId) -> Result<Served> {
    let mut best = Served::default();
    for offered in LADDER {
        let before = processor_time(process)?;
        let said = perfdhcp(bench, server, offered, bench.seconds)?;
        let (lost, reached) = (lost(&said), reached(&said));
        let (Some(lost), Some(reached)) = (lost, reached) else {
            anyhow::bail!("perfdhcp says\n{said}");
        };
        eprintln!("  {server}: offered {offered}, reached {reached:.0}, lost {lost:.2} %");
        if lost >= LOST {
            break;
        }
        if reached > best.rate {
            let used = processor_time(process)? - before;
            let exchanges = reached * f64::from(bench.seconds);
            best = Served { rate: reached, micros: used * 1e6 / exchanges };
        }
    }
    Ok(best)
}

/// Exchanges per second.
fn reached(said: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.trim().strip_prefix("Rate:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The greater loss of the two halves, per cent.
fn lost(said: &str) -> Option<f64> {
    let ratios = said.lines().filter_map(|line| {
        line.trim().strip_prefix("drops ratio:")?.trim().trim_end_matches('%').trim().parse::<f64>().ok()
    });
    let ratios: Vec<f64> = ratios.collect();
    (ratios.len() >= 2).then(|| ratios.into_iter().fold(0.0, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_perfdhcp_says_is_read() {
        let said = "Rate: 3957.2 4-way exchanges/second, expected rate: 4000\n***Statistics for: DISCOVER-OFFER***\ndrops ratio: 0.7 %\n***Statistics for: REQUEST-ACK***\ndrops ratio: 0.1 %\n";
        assert_eq!((reached(said), lost(said)), (Some(3957.2), Some(0.7)));
        assert_eq!(lost("drops ratio: -nan %"), None);
        assert_eq!(clients().next().unwrap(), ("00:0c:01:02:03:00".to_owned(), "10.64.1.0".to_owned()));
        assert_eq!(clients().count(), 20_004);
    }
}
