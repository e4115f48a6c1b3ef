//! Signed zones before programs that nobody here wrote: `dnssec-verify` of BIND and `ldns-verify-zone` look at the whole of one.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use rackwright_dns::dnssec::{SEED, Window, ZoneKey, sign};
use rackwright_dns::{Data, Name, Record, Zone};
use std::fmt::Write;
use std::process::Command;
use std::time::SystemTime;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn records(more: usize) -> Vec<Record> {
    let fixed = [
        ("lab.example", "NS", "ns.lab.example"),
        ("lab.example", "MX", "10 www.lab.example"),
        ("ns.lab.example", "A", "10.0.0.1"),
        ("www.lab.example", "A", "10.0.0.3"),
        ("www.lab.example", "A", "10.0.0.2"),
        ("www.lab.example", "AAAA", "fd00::2"),
        ("alias.lab.example", "CNAME", "www.lab.example"),
        ("deep.er.lab.example", "TXT", "\"one\" \"two\""),
        ("*.wild.lab.example", "TXT", "anything"),
        ("_sip._tcp.lab.example", "SRV", "0 5 5060 www.lab.example"),
        ("lab.example", "CAA", "0 issue \"ca.example\""),
        // Given away, with an address below the cut.
        ("sub.lab.example", "NS", "ns.sub.lab.example"),
        ("ns.sub.lab.example", "A", "10.0.0.5"),
    ];
    let many = (0..more).map(|n| (format!("n{n}.lab.example"), "A", format!("10.1.{}.{}", n >> 8, n & 255)));
    let fixed = fixed.into_iter().map(|(name, kind, data)| (name.to_owned(), kind, data.to_owned()));
    fixed
        .chain(many)
        .map(|(owner, kind, data)| {
            let data = Data::parse(kind.parse().unwrap(), &data).unwrap();
            Record { name: name(&owner), ttl: 60, data }
        })
        .collect()
}

fn signed(serial: u32, plain: &[Record], keys: &[ZoneKey], before: Option<&Zone>) -> Zone {
    let zone = |records: Vec<Record>| Zone::new(name("lab.example"), serial, 30, records).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let window = Window::at(&name("lab.example"), now);
    let added = sign(&zone(plain.to_vec()), keys, window, before);
    zone(plain.iter().cloned().chain(added).collect())
}

/// Has both programs look at a zone.
fn verify(zone: &Zone) {
    let mut text = format!("lab.example. {} IN SOA {}\n", zone.minimum(), zone.soa());
    for (owner, kind, ttl, wire) in zone.records() {
        let data = Data { kind, wire: wire.into() };
        // Names in data are full ones, which zone files say by a dot at the end; generic data has none.
        let data = if data.target().is_some() { format!("{data}.") } else { data.to_string() };
        writeln!(text, "{owner}. {ttl} IN {kind} {data}").unwrap();
    }
    let folder = std::env::temp_dir().join(format!("signed-zone-{}-{}", std::process::id(), zone.serial()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("zone");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let programs: [(&str, &[&str]); 2] =
        [("dnssec-verify", &["-z", "-o", "lab.example", file]), ("ldns-verify-zone", &[file])];
    for (program, arguments) in programs {
        let output = Command::new(program)
            .args(arguments)
            .output()
            .unwrap_or_else(|e| panic!("{program} does not start ({e}): it is needed for this test"));
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {said}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn programs_of_others_find_nothing_wrong_with_a_signed_zone() {
    let keys: Vec<ZoneKey> = [1, 2].map(|n| ZoneKey::from_seed(&[n; SEED]).unwrap()).into();
    let plain = records(300);
    let first = signed(1, &plain, &keys[..1], None);
    verify(&first);
    // Names come and go: what is kept of the signatures before fits what is new.
    let changed: Vec<Record> =
        records(310).into_iter().filter(|r| r.name != name("n7.lab.example")).collect();
    let second = signed(2, &changed, &keys[..1], Some(&first));
    verify(&second);
    // Both keys sign while they change.
    verify(&signed(3, &changed, &keys, Some(&second)));
}
