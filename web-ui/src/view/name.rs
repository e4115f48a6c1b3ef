//! Domains, records, what is published of both and derived from machines, and the servers that get copies.

use super::Layout;
use super::form::{Field, Form};
use super::group::encoded;
use crate::command;
use crate::format::Moment;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::Secret;
use rackwright_region::model::Role;
use rackwright_region::model::dns_key::DnsKey;
use rackwright_region::model::domain::{DnsRecord, Domain, PublishedName, Secondary, SecondaryKey, Zone};
use time::OffsetDateTime;

/// Kinds of record that people enter.
const KINDS: [(&str, &str); 9] = [
    ("A", "A: an IPv4 address"),
    ("AAAA", "AAAA: an IPv6 address"),
    ("CNAME", "CNAME: another name of the same"),
    ("MX", "MX: where mail goes"),
    ("TXT", "TXT: a text"),
    ("SRV", "SRV: where a service is"),
    ("NS", "NS: who answers for a part"),
    ("SSHFP", "SSHFP: fingerprint of an SSH key"),
    ("CAA", "CAA: who may issue certificates"),
];

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRow {
    /// The domain.
    pub domain: Domain,
    /// Serial of its zone; empty until it is published.
    pub serial: String,
    /// When that last changed.
    pub changed: Option<Moment>,
}

/// A zone that no domain has: reverse names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneRow {
    /// The zone.
    pub zone: Zone,
    /// When it last changed.
    pub changed: Moment,
}

/// A published name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRow {
    /// The name.
    pub name: PublishedName,
    /// Nobody entered it.
    pub derived: bool,
}

/// A server that gets copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondaryRow {
    /// The server.
    pub secondary: Secondary,
    /// Since when it is entered.
    pub since: Moment,
    /// When it got its last copy.
    pub last: Option<Moment>,
    /// Zones that it lags behind in, and the serial of each that it has.
    pub behind: Vec<(String, i64)>,
}

impl SecondaryRow {
    fn new(secondary: Secondary, now: OffsetDateTime) -> Self {
        let last = secondary.copies.iter().map(|copy| copy.copied_at).max();
        let behind = secondary.copies.iter().filter(|copy| copy.behind);
        Self {
            since: Moment::new(secondary.created_at, now),
            last: last.map(|at| Moment::new(at, now)),
            behind: behind.map(|copy| (copy.zone.clone(), copy.serial)).collect(),
            secondary,
        }
    }
}

/// The key of a secondary that was just entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// Its algorithm.
    pub algorithm: String,
    /// Secret; the `Debug` of it shows nothing.
    pub secret: Secret<String>,
}

impl From<SecondaryKey> for Made {
    fn from(key: SecondaryKey) -> Self {
        Self { name: key.name, algorithm: key.algorithm, secret: key.secret }
    }
}

/// All that the page shows.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// All domains.
    pub domains: Vec<Domain>,
    /// All zones.
    pub zones: Vec<Zone>,
    /// What people entered.
    pub records: Vec<DnsRecord>,
    /// What is published, as far as it fits the search.
    pub names: Vec<PublishedName>,
    /// Servers that get copies.
    pub secondaries: Vec<Secondary>,
    /// Keys that zones are signed with.
    pub keys: Vec<DnsKey>,
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "names.html")]
pub struct NamesPage {
    /// Around it.
    pub layout: Layout,
    /// May change domains and secondaries.
    pub administrator: bool,
    /// May change records.
    pub operator: bool,
    /// A key that is shown this once.
    pub made: Option<Made>,
    /// Domains.
    pub domains: Vec<DomainRow>,
    /// Zones of reverse names.
    pub reverse: Vec<ZoneRow>,
    /// What people entered.
    pub records: Vec<DnsRecord>,
    /// What is searched for.
    pub search: String,
    /// What is published of that.
    pub names: Vec<NameRow>,
    /// Servers that get copies, and what they copied.
    pub secondaries: Vec<SecondaryRow>,
    /// Keys that zones are signed with, and since when.
    pub keys: Vec<(DnsKey, Moment)>,
}

impl NamesPage {
    /// Of all names; `search` is what they were looked for with.
    pub fn new(layout: Layout, sources: Sources, search: String, now: OffsetDateTime) -> Self {
        let Sources { domains, zones, records, names, secondaries, keys } = sources;
        let zone_of = |domain: &Domain| zones.iter().find(|z| z.origin == domain.name);
        let entered = |n: &PublishedName| {
            records.iter().any(|r| r.name == n.name && r.kind == n.kind && r.data == n.data)
        };
        Self {
            administrator: layout.role >= Role::Administrator,
            operator: layout.role >= Role::Operator,
            layout,
            made: None,
            domains: domains
                .iter()
                .map(|domain| DomainRow {
                    domain: domain.clone(),
                    serial: zone_of(domain).map(|z| z.serial.to_string()).unwrap_or_default(),
                    changed: zone_of(domain).map(|z| Moment::new(z.changed_at, now)),
                })
                .collect(),
            reverse: zones
                .iter()
                .filter(|zone| domains.iter().all(|d| d.name != zone.origin))
                .map(|zone| ZoneRow { zone: zone.clone(), changed: Moment::new(zone.changed_at, now) })
                .collect(),
            names: names.into_iter().map(|name| NameRow { derived: !entered(&name), name }).collect(),
            records,
            search,
            secondaries: secondaries.into_iter().map(|s| SecondaryRow::new(s, now)).collect(),
            keys: keys
                .into_iter()
                .map(|key| {
                    let since = Moment::new(key.created_at, now);
                    (key, since)
                })
                .collect(),
        }
    }

    /// Where the list comes from anew: with what is searched for.
    pub fn address(&self) -> String {
        if self.search.is_empty() { "/names".into() } else { format!("/names?q={}", encoded(&self.search)) }
    }
}

fn ttl(value: impl Into<String>) -> Field {
    Field::text("ttl", "Time to live, seconds", value)
}

/// Makes a domain, or changes one.
pub fn edit_domain(csrf: &str, old: Option<&Domain>) -> Form {
    let name =
        Field::text("name", "Name", old.map_or("", |d| &d.name)).hint("such as lab.example").required();
    let ttl = ttl(old.map_or(60, |d| d.ttl).to_string()).hint("of records that have none of their own");
    let default = Field::check(
        "is_default",
        "The default domain: all controllers are in it, and machines that name no other",
        old.is_some_and(|d| d.is_default),
    );
    let (action, title, submit, pattern) = match old {
        None => ("/names/domains/new".to_owned(), "A new domain", "Make it", command::DOMAIN_CREATE),
        Some(d) => (format!("/names/domains/{}", d.id), "Domain", "Save", command::DOMAIN_SET),
    };
    let known = old.map(|d| ("domain", d.name.clone())).into_iter().collect();
    Form::new("edit", action, csrf, vec![name, ttl, default]).titled(title, submit).command(pattern, known)
}

/// Removes a domain.
pub fn delete_domain(csrf: &str, domain: &Domain) -> Form {
    let lost = match domain.records {
        0 => "It has no records. Names of machines in it are not answered any more.".to_owned(),
        1 => "The record in it goes too, and names of machines in it are not answered any more.".to_owned(),
        many => {
            format!("The {many} records in it go too, and names of machines in it are not answered any more.")
        }
    };
    Form::new("delete", format!("/names/domains/{}/delete", domain.id), csrf, Vec::new())
        .titled("Remove", format!("Remove {}", domain.name))
        .intro(lost)
        .danger()
        .command(command::DOMAIN_DELETE, vec![("domain", domain.name.clone())])
}

/// Enters a record, or changes what stands in one.
pub fn edit_record(csrf: &str, old: Option<&DnsRecord>, domain: &str) -> Form {
    let data = Field::text("data", "Data", old.map_or("", |r| &r.data))
        .hint("as zone files have it: 10.77.0.9, or 10 mail.lab.example; names in it in full")
        .required();
    let ttl = ttl(old.and_then(|r| r.ttl).map(|t| t.to_string()).unwrap_or_default())
        .hint("empty: that of its domain");
    match old {
        None => {
            let name =
                Field::text("name", "Name", "").hint(format!("in full, such as www.{domain}")).required();
            let kinds = KINDS.map(|(kind, label)| (kind.to_owned(), label.to_owned()));
            let kind = Field::choice("type", "Type", kinds, "A");
            Form::new("edit", "/names/records/new", csrf, vec![name, kind, data, ttl])
                .titled("A new record", "Enter it")
                .command(command::RECORD_CREATE, Vec::new())
        }
        Some(record) => Form::new("edit", format!("/names/records/{}", record.id), csrf, vec![data, ttl])
            .titled(format!("{} {}", record.name, record.kind), "Save")
            .command(command::RECORD_SET, vec![("id", record.id.to_string())]),
    }
}

/// Removes a record.
pub fn delete_record(csrf: &str, record: &DnsRecord) -> Form {
    Form::new("delete", format!("/names/records/{}/delete", record.id), csrf, Vec::new())
        .titled("Remove", format!("Remove {} {}", record.name, record.kind))
        .intro("Nobody is told it any more within a second; others may keep it for its time to live.")
        .danger()
        .command(command::RECORD_DELETE, vec![("id", record.id.to_string())])
}

/// Makes a key for a zone.
pub fn new_key(csrf: &str, zones: &[Zone]) -> Form {
    let choices: Vec<_> = zones.iter().map(|z| (z.origin.clone(), z.origin.clone())).collect();
    let first = zones.first().map(|z| z.origin.clone()).unwrap_or_default();
    let zone = Field::choice("zone", "Zone", choices, first).hint("a domain, or reverse names");
    Form::new("edit", "/names/keys/new", csrf, vec![zone])
        .titled("A new key", "Make it")
        .intro("The first key of a zone begins to sign it. A second one is for changing keys: both sign until the old one is removed.")
        .command(command::DNS_KEY_CREATE, Vec::new())
}

/// Removes a key.
pub fn delete_key(csrf: &str, key: &DnsKey) -> Form {
    let unsign =
        Field::check("unsign", "Also when it is the last one: the zone is not signed any more", false);
    Form::new("delete", format!("/names/keys/{}/delete", key.id), csrf, vec![unsign])
        .titled("Remove", format!("Remove the key {} of {}", key.tag, key.zone))
        .intro("First have its DS record taken from the zone above, and wait until nobody keeps that: whoever checks signatures would find none that hold.")
        .danger()
        .command(command::DNS_KEY_DELETE, vec![("id", key.id.to_string())])
}

/// Enters a server that gets copies.
pub fn new_secondary(csrf: &str) -> Form {
    let fields = vec![
        Field::text("name", "Name", "")
            .hint("also of its key: lower-case letters, digits and hyphens")
            .required(),
        Field::text("address", "Address", "").hint("where it is told of changes").required(),
        Field::text("port", "Port", "53"),
    ];
    Form::new("edit", "/names/secondaries/new", csrf, fields)
        .titled("A new secondary", "Enter it and show its key")
        .intro("A name server of another make that gets copies of all zones. Its key is shown once.")
        .command(command::SECONDARY_CREATE, Vec::new())
}

/// Removes such a server.
pub fn delete_secondary(csrf: &str, secondary: &Secondary) -> Form {
    let action = format!("/names/secondaries/{}/delete", encoded(&secondary.name));
    Form::new("delete", action, csrf, Vec::new())
        .titled("Remove", format!("Remove {}", secondary.name))
        .intro("Its key opens nothing any more. What it has copied it answers until that expires, a week at most.")
        .danger()
        .command(command::SECONDARY_DELETE, vec![("name", secondary.name.clone())])
}

#[cfg(test)]
impl NamesPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample::{MARKUP, of};
        use serde_json::json;
        let at = "2026-11-22T06:20:00Z";
        let sources = Sources {
            domains: vec![of(
                json!({ "id": 1, "name": MARKUP, "ttl": 60, "is_default": true, "records": 1 }),
            )],
            zones: vec![
                of(json!({ "origin": MARKUP, "serial": 7, "records": 3, "changed_at": at })),
                of(
                    json!({ "origin": format!("arpa {MARKUP}"), "serial": 8, "records": 3, "changed_at": at }),
                ),
            ],
            records: vec![of(
                json!({ "id": 1, "domain": MARKUP, "name": MARKUP, "type": "TXT", "data": MARKUP,
                                     "created_at": at }),
            )],
            names: vec![
                of(json!({ "name": MARKUP, "type": "TXT", "ttl": 60, "data": MARKUP })),
                of(json!({ "name": MARKUP, "type": "A", "ttl": 60, "data": MARKUP })),
            ],
            secondaries: vec![of(
                json!({ "name": MARKUP, "address": "192.0.2.53", "port": 53, "created_at": at,
                        "copies": [{ "zone": MARKUP, "serial": 6, "copied_at": at, "behind": true }] }),
            )],
            keys: vec![of(
                json!({ "id": 1, "zone": MARKUP, "tag": 4711, "algorithm": "ED25519", "dnskey": MARKUP, "ds": MARKUP,
                        "created_at": at }),
            )],
        };
        let layout = Layout { role: Role::Administrator, ..Layout::sample("Names") };
        let key = SecondaryKey {
            name: MARKUP.into(),
            algorithm: "hmac-sha256".into(),
            secret: Secret::new(MARKUP.into()),
        };
        let page = Self::new(layout, sources, MARKUP.into(), super::sample_now());
        Self { made: Some(key.into()), ..page }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_entered_is_derived_and_what_no_domain_has_is_a_zone_of_its_own() {
        let page = NamesPage::sample();
        let derived: Vec<_> = page.names.iter().map(|row| (row.name.kind.as_str(), row.derived)).collect();
        assert_eq!(derived, [("TXT", false), ("A", true)]);
        assert_eq!((page.domains[0].serial.as_str(), page.reverse.len()), ("7", 1));
        assert_eq!(page.reverse[0].zone.serial, 8);
        assert!(format!("{:?}", page.made).contains("(secret)"), "a secret does not get into logs");
    }

    #[test]
    fn a_viewer_is_led_to_no_form() {
        let sources = Sources { domains: vec![], ..Sources::default() };
        let layout = Layout { role: Role::Viewer, ..Layout::sample("Names") };
        let html = NamesPage::new(layout, sources, String::new(), crate::view::sample_now()).to_string();
        assert!(!html.contains("/new\""), "{html}");
    }
}
