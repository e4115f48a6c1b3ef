//! Queries by dnsperf about names of one zone.

use super::{Bench, NAMES, Peer, RACK, Row, Served, address, processor_time};
use anyhow::{Context, Result, ensure};
use rackwright_lab::process::ProcessId;

const ZONE: &str = "lab.example";

pub(super) fn measure(bench: &Bench<'_>, database: &str) -> Result<Row> {
    bench.sql(database, &format!("INSERT INTO domain (name) VALUES ('{ZONE}')"))?;
    bench.sql(
        database,
        &format!(
            "INSERT INTO dns_record (domain_id, name, type, data)
             SELECT d.id, 'n' || g || '.{ZONE}', 'A', host('10.64.0.0'::inet + g)
             FROM domain d, generate_series(1, {NAMES}) g WHERE d.name = '{ZONE}'"
        ),
    )?;
    let questions: String = (0..NAMES).map(|n| format!("n{}.{ZONE} A\n", n * 7919 % NAMES + 1)).collect();
    let questions = bench.file("load", "questions", &questions)?;
    let rate = |server: &str, process: &ProcessId| queries(bench, server, &questions, process);
    rackwright_lab::poll::until(super::LIMIT, "the rack to answer the last name", || {
        answers(bench, RACK).map(Some)
    })?;
    let ours = rate(RACK, &bench.rack)?;
    let zone = zone();
    let knot = bench.beside(
        "knot",
        &["knotd", "-c", &knot_config(bench, &zone)?],
        || answers(bench, address("knot")),
        |process| rate(address("knot"), process),
    )?;
    let bind = bench.beside(
        "bind",
        &["named", "-g", "-n", "2", "-c", &bind_config(bench, &zone)?],
        || answers(bench, address("bind")),
        |process| rate(address("bind"), process),
    )?;
    Ok(Row {
        what: "DNS, queries per second (dnsperf, 8 clients, UDP, 20,000 names)",
        ours,
        peers: vec![
            Peer { name: "BIND", served: bind, goal: Some(1.2) },
            Peer { name: "Knot", served: knot, goal: Some(1.0) },
        ],
    })
}

fn zone() -> String {
    let mut text = format!(
        "$ORIGIN {ZONE}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 604800 30\n@ NS ns\nns A 10.64.255.3\n"
    );
    for n in 1..=NAMES {
        text.push_str(&format!("n{n} A 10.64.{}.{}\n", n >> 8, n & 255));
    }
    text
}

fn knot_config(bench: &Bench<'_>, zone: &str) -> Result<String> {
    let file = bench.file("knot", "zone", zone)?;
    let folder = bench.folder("knot");
    let config = format!(
        "server:\n  listen: {}@53\n  rundir: {folder}\n  udp-workers: 2\ndatabase:\n  storage: {folder}\n\
         zone:\n- domain: {ZONE}\n  file: {file}\n",
        address("knot")
    );
    bench.file("knot", "config", &config)
}

fn bind_config(bench: &Bench<'_>, zone: &str) -> Result<String> {
    let file = bench.file("bind", "zone", zone)?;
    let folder = bench.folder("bind");
    let config = format!(
        "options {{ directory \"{folder}\"; pid-file \"{folder}/pid\"; session-keyfile \"{folder}/session\"; recursion no;\n\
         listen-on {{ {}; }}; listen-on-v6 {{ none; }}; dnssec-validation no; notify no; }};\ncontrols {{ }};\n\
         zone \"{ZONE}\" {{ type primary; file \"{file}\"; }};\n",
        address("bind")
    );
    bench.file("bind", "config", &config)
}

/// An error unless the server there knows the last name of the zone.
fn answers(bench: &Bench<'_>, server: &str) -> Result<()> {
    let name = format!("n{NAMES}.{ZONE}");
    let said = bench.load("dig", &[&format!("@{server}"), "+short", "+time=1", "+tries=1", &name])?;
    ensure!(said.trim() == "10.64.78.32", "{said}");
    Ok(())
}

fn queries(bench: &Bench<'_>, server: &str, questions: &str, process: &ProcessId) -> Result<Served> {
    let seconds = bench.seconds.to_string();
    let before = processor_time(process)?;
    let said = bench.load("dnsperf", &["-s", server, "-d", questions, "-c", "8", "-l", &seconds])?;
    let used = processor_time(process)? - before;
    let rate = rate(&said).with_context(|| format!("dnsperf says\n{said}"))?;
    Ok(Served { rate, micros: used * 1e6 / (rate * f64::from(bench.seconds)) })
}

/// The rate, if nearly all was answered, and answered well.
fn rate(said: &str) -> Option<f64> {
    let value = |key: &str| said.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim);
    let completed = value("Queries completed:")?.split_once('(')?.1.split_once('%')?.0.parse::<f64>().ok()?;
    let good = value("Response codes:")?.contains("NOERROR") && !value("Response codes:")?.contains(',');
    value("Queries per second:")?.parse().ok().filter(|_| completed > 99.0 && good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dnsperf_says_is_read_and_a_server_that_refuses_has_no_rate() {
        let said = "  Queries sent:         100\n  Queries completed:    100 (100.00%)\n\n  Response codes:       NOERROR 100 (100.00%)\n  Queries per second:   98123.5\n";
        assert_eq!(rate(said), Some(98_123.5));
        assert_eq!(rate(&said.replace("NOERROR", "REFUSED")), None);
        assert_eq!(rate(&said.replace("(100.00%)\n\n", "(90.00%)\n\n")), None);
        assert!(zone().contains("\nn20000 A 10.64.78.32\n"));
    }
}
