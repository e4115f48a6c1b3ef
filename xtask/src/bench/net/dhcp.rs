//! Exchanges of four messages, as a relay passes them on: by [`exchanges`], and by perfdhcp.

use super::exchanges::Told;
use super::{Bench, CLIENTS, LOAD, NETWORK, Peer, RACK, Row, Served, address, exchanges, processor_time};
use anyhow::{Context, Result, ensure};
use rackwright_dhcp::MacAddr;
use rackwright_lab::process::ProcessId;
use serde_json::json;
use std::process::Command;

/// Rates that are offered, one after the other.
const LADDER: [u32; 30] = [
    100, 250, 500, 1000, 1500, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10_000, 11_000, 12_000,
    14_000, 16_000, 18_000, 20_000, 22_000, 24_000, 26_000, 28_000, 30_000, 32_000, 34_000, 36_000, 38_000,
    40_000,
];
/// The processor of the server alone, and that of the load.
const SERVER: &str = "0";
const GENERATOR: &str = "1";
/// Most exchanges that may be lost, per cent.
const LOST: f64 = 1.0;
/// The first MAC of perfdhcp's clients is 00:0c:01:02:03:04. It loses a carry, so four of them are before that.
const BASE: u32 = 0x0102_0300;
/// Clients that have an address.
const KNOWN: u32 = CLIENTS + 4;

pub(super) fn measure(bench: &Bench<'_>, database: &str) -> Result<[Row; 2]> {
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
    let ours = both(bench, RACK, &bench.rack)?;
    let pid = format!("KEA_PIDFILE_DIR={}", bench.folder("kea"));
    let kea = bench.beside(
        "kea",
        &["env", &pid, "KEA_LOCKFILE_DIR=none", "kea-dhcp4", "-c", &kea_config(bench)?],
        || serves(bench, address("kea")),
        |process| both(bench, address("kea"), process),
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
        |process| both(bench, address("dnsmasq"), process),
    )?;
    let row = |what, rate: fn(&Rates) -> Served, goal| Row {
        what,
        ours: rate(&ours),
        peers: vec![
            Peer { name: "Kea", served: rate(&kea), goal },
            Peer { name: "dnsmasq", served: rate(&dnsmasq), goal: None },
        ],
    };
    Ok([
        row(
            "DHCP, exchanges of four messages per second before 1 % is lost (20,000 known clients; one processor for the server)",
            |rates| rates.alone,
            Some(3.0),
        ),
        row("the same by perfdhcp, which shares all processors with the server", |rates| rates.shared, None),
    ])
}

/// What a server reached.
struct Rates {
    /// With a processor of its own, under [`exchanges`].
    alone: Served,
    /// Under perfdhcp.
    shared: Served,
}

fn both(bench: &Bench<'_>, server: &str, process: &ProcessId) -> Result<Rates> {
    let processors = std::thread::available_parallelism()?.get();
    ensure!(processors > 1, "this needs two processors: one for the server, one for the load");
    let shared = climb(bench, server, process, perfdhcp)?;
    bind(process, SERVER)?;
    let alone = climb(bench, server, process, own);
    bind(process, &format!("0-{}", processors - 1))?;
    Ok(Rates { alone: alone?, shared })
}

/// Keeps all threads of a process to these processors.
fn bind(process: &ProcessId, processors: &str) -> Result<()> {
    let pid = process.pid().to_string();
    let output = Command::new("taskset").args(["-a", "-c", "-p", processors, &pid]).output();
    let output = output.context("taskset")?;
    ensure!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A client's.
pub(super) fn mac(number: u32) -> [u8; 6] {
    let [a, b, c, d] = (BASE + number).to_be_bytes();
    [0, 0x0c, a, b, c, d]
}

/// MAC and address of each client.
fn clients() -> impl Iterator<Item = (String, String)> {
    (0..KNOWN).map(|n| {
        let at = n + 256;
        (MacAddr(mac(n)).to_string(), format!("10.64.{}.{}", at >> 8, at & 255))
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
    let said = say_perfdhcp(bench, server, 20, 1)?;
    let lost = lost(&said).with_context(|| said.clone())?;
    ensure!(lost < 50.0, "{said}");
    Ok(())
}

fn say_perfdhcp(bench: &Bench<'_>, server: &str, rate: u32, seconds: u32) -> Result<String> {
    let (rate, seconds, clients) = (rate.to_string(), seconds.to_string(), CLIENTS.to_string());
    bench.load(
        "perfdhcp",
        &["-4", "-l", LOAD, "-r", &rate, "-R", &clients, "-p", &seconds, "-W", "500000", server],
    )
}

fn perfdhcp(bench: &Bench<'_>, server: &str, rate: u32) -> Result<Told> {
    let said = say_perfdhcp(bench, server, rate, bench.seconds)?;
    let (Some(lost), Some(rate)) = (lost(&said), reached(&said)) else {
        anyhow::bail!("perfdhcp says\n{said}");
    };
    Ok(Told { rate, lost })
}

fn own(bench: &Bench<'_>, server: &str, rate: u32) -> Result<Told> {
    let program = std::env::current_exe()?;
    let program = program.to_str().context("the path of this program")?;
    let (rate, seconds) = (rate.to_string(), bench.seconds.to_string());
    let said = bench
        .load("taskset", &["-c", GENERATOR, program, "bench", exchanges::NAME, server, &rate, &seconds])?;
    Told::read(&said).with_context(|| said)
}

/// The highest rate reached with so few lost. Each is tried a second time before it counts as missed, as another program that
/// wakes up for a moment is enough to lose 1 %.
fn climb(
    bench: &Bench<'_>,
    server: &str,
    process: &ProcessId,
    load: impl Fn(&Bench<'_>, &str, u32) -> Result<Told>,
) -> Result<Served> {
    let mut best = Served::default();
    let mut missed = 0;
    let mut ladder = LADDER.into_iter().peekable();
    while let Some(offered) = ladder.peek().copied().filter(|_| missed < 2) {
        let before = processor_time(process)?;
        let Told { rate, lost } = load(bench, server, offered)?;
        eprintln!("  {server}: offered {offered}, reached {rate:.0}, lost {lost:.2} %");
        if lost >= LOST {
            missed += 1;
            continue;
        }
        if rate > best.rate {
            let used = processor_time(process)? - before;
            best = Served { rate, micros: used * 1e6 / (rate * f64::from(bench.seconds)) };
        }
        missed = 0;
        ladder.next();
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
