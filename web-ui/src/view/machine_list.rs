//! The list of machines.

use super::{Layout, Pill, Tone, joined};
use crate::format::{self, Moment};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::Status;
use rackwright_region::model::Page;
use rackwright_region::model::machine::{MachineQuery, MachineSummary};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "machine_row.html")]
pub struct Row {
    /// Identifier.
    pub id: String,
    /// It can be chosen, to do something with many.
    pub pick: bool,
    /// Name.
    pub hostname: String,
    /// Addresses, or what it is.
    pub under_name: String,
    /// Status.
    pub status: Pill,
    /// Why, or what it waits for.
    pub reason: String,
    /// Since when.
    pub since: Moment,
    /// Protected.
    pub locked: bool,
    /// Power.
    pub power: Pill,
    /// Its driver, or that there is none.
    pub power_driver: String,
    /// Whose.
    pub owner: String,
    /// Cores; empty before commissioning.
    pub cores: String,
    /// Memory.
    pub memory: String,
    /// Disks.
    pub disks: String,
    /// Pool and zone.
    pub place: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Installed system.
    pub image: String,
}

impl Row {
    /// Of a machine.
    pub fn new(m: &MachineSummary, pick: bool, now: OffsetDateTime) -> Self {
        let some = |known: bool, text: String| if known { text } else { String::new() };
        let addresses = m.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let product = joined([m.vendor.as_deref(), m.product.as_deref()], " ");
        Self {
            id: m.id.to_string(),
            pick,
            hostname: m.hostname.to_string(),
            under_name: if addresses.is_empty() { product } else { addresses },
            status: Pill::of_status(m.status),
            reason: format::capital(m.operation.as_ref().map_or(&m.status_message, |o| &o.message)),
            since: Moment::new(m.status_since, now),
            locked: m.locked,
            power: Pill::of_power(m.power_state),
            power_driver: m.power_driver.map_or_else(|| "no BMC".to_owned(), |d| d.to_string()),
            owner: m.owner.clone().unwrap_or_default(),
            cores: some(m.cpu_cores > 0, m.cpu_cores.to_string()),
            memory: some(m.memory_mib > 0, format::mib(m.memory_mib.unsigned_abs())),
            disks: some(m.storage_bytes > 0, format::bytes(m.storage_bytes.unsigned_abs())),
            place: format!("{} / {}", m.pool, m.zone),
            tags: m.tags.clone(),
            image: m.image.clone().unwrap_or_default(),
        }
    }
}

/// How many machines have a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chip {
    /// The status, or that these are all.
    pub label: &'static str,
    /// Colour.
    pub tone: Tone,
    /// How many.
    pub count: i64,
    /// Where they are listed.
    pub href: String,
    /// They are listed here.
    pub current: bool,
}

/// The numbers above the list.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "machine_chips.html")]
pub struct Chips {
    /// One per status that some machine has, all of them first.
    pub chips: Vec<Chip>,
    /// Where to get them anew.
    pub live: String,
}

impl Chips {
    /// Of the machines by status.
    pub fn new(counts: &BTreeMap<String, i64>, query: &MachineQuery) -> Self {
        let all = Chip {
            label: "All",
            tone: Tone::Quiet,
            count: counts.values().sum(),
            href: "/machines".into(),
            current: query.status.is_none() && query.q.is_none(),
        };
        let of = |status: &Status| {
            let count = counts.get(status.as_str()).copied().filter(|n| *n > 0)?;
            Some(Chip {
                label: status.label(),
                tone: Tone::of_status(*status),
                count,
                href: format!("/machines?status={}", status.as_str()),
                current: query.status.as_deref() == Some(status.as_str()),
            })
        };
        let chips = std::iter::once(all).chain(Status::ALL.iter().filter_map(of)).collect();
        Self { chips, live: format!("/machines/chips?{}", encoded(query)) }
    }
}

/// The head of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its text.
    pub label: &'static str,
    /// Numbers stand at the right.
    pub number: bool,
    /// The list in its order, or the other way round when it is so already; empty where there is none.
    pub href: String,
    /// The list is in its order now: `ascending` or `descending`.
    pub sorted: &'static str,
}

/// Columns: text, what the API calls its order, whether it holds numbers, whether the greatest are wanted first.
const COLUMNS: [(&str, &str, bool, bool); 9] = [
    ("Name", "name", false, false),
    ("Status", "status", false, false),
    ("Power", "power", false, false),
    ("Owner", "owner", false, false),
    ("Cores", "cores", true, true),
    ("Memory", "memory", true, true),
    ("Disks", "disks", true, true),
    ("Pool / zone", "pool", false, false),
    ("Image", "", false, false),
];

fn heads(query: &MachineQuery) -> Vec<Head> {
    let now = query.sort.as_deref().unwrap_or("name");
    let head = |(label, order, number, greatest): (&'static str, &'static str, bool, bool)| {
        let turned = format!("-{order}");
        let sorted = if now == order {
            "ascending"
        } else if now == turned {
            "descending"
        } else {
            ""
        };
        let next = match (sorted, greatest) {
            ("ascending", _) | ("", true) => turned,
            _ => order.to_owned(),
        };
        let query = MachineQuery { sort: Some(next), cursor: None, ..query.clone() };
        let href = if order.is_empty() { String::new() } else { address("/machines", &query) };
        Head { label, number, href, sorted }
    };
    COLUMNS.into_iter().map(head).collect()
}

/// The rows of a page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "machine_table.html")]
pub struct Table {
    /// The machines.
    pub rows: Vec<Row>,
    /// They can be chosen.
    pub pick: bool,
    /// The columns.
    pub heads: Vec<Head>,
    /// How many the filter lets through.
    pub total: i64,
    /// A filter is set.
    pub filtered: bool,
    /// Where to get this table anew.
    pub live: String,
    /// The next page.
    pub next: Option<String>,
}

impl Table {
    /// Of a page of machines.
    pub fn new(page: &Page<MachineSummary>, query: &MachineQuery, pick: bool, now: OffsetDateTime) -> Self {
        let next = page.next_cursor.as_ref().map(|cursor| {
            let next = MachineQuery { cursor: Some(cursor.clone()), ..query.clone() };
            format!("/machines?{}", encoded(&next))
        });
        let anything = MachineQuery { sort: None, limit: None, cursor: None, ..query.clone() };
        Self {
            rows: page.items.iter().map(|m| Row::new(m, pick, now)).collect(),
            pick,
            heads: heads(query),
            total: page.total,
            filtered: anything != MachineQuery::default(),
            live: format!("/machines/table?{}", encoded(query)),
            next,
        }
    }
}

/// The list with these filters.
pub fn address(path: &str, query: &MachineQuery) -> String {
    let filters = encoded(query);
    if filters.is_empty() { path.to_owned() } else { format!("{path}?{filters}") }
}

/// The filters as a query string. The names are fixed and the values are percent-encoded.
fn encoded(query: &MachineQuery) -> String {
    let fields = [
        ("q", &query.q),
        ("status", &query.status),
        ("tag", &query.tag),
        ("zone", &query.zone),
        ("pool", &query.pool),
        ("owner", &query.owner),
        ("sort", &query.sort),
        ("cursor", &query.cursor),
    ];
    let pairs = fields.into_iter().filter_map(|(name, value)| {
        let value = value.as_ref().filter(|v| !v.is_empty())?;
        let bytes = value.bytes().map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
            other => format!("%{other:02X}"),
        });
        Some(format!("{name}={}", bytes.collect::<String>()))
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "machine_list.html")]
pub struct MachineList {
    /// Around it.
    pub layout: Layout,
    /// The filter, as it is typed.
    pub filter: String,
    /// The order, when it is not by name.
    pub sort: String,
    /// Words that the filter box completes.
    pub completions: Vec<String>,
    /// What is wrong with the filter.
    pub problem: String,
    /// What can be done with many machines: name, label.
    pub verbs: Vec<(&'static str, &'static str)>,
    /// Numbers.
    pub chips: Chips,
    /// Rows.
    pub table: Table,
}

/// What the list is made of, besides the machines.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// Machines by status.
    pub counts: &'a BTreeMap<String, i64>,
    /// Names of the pools.
    pub pools: &'a [String],
    /// Names of the zones.
    pub zones: &'a [String],
}

impl MachineList {
    /// Of a page of machines.
    pub fn new(
        layout: Layout,
        page: &Page<MachineSummary>,
        around: &Surroundings<'_>,
        query: &MachineQuery,
        now: OffsetDateTime,
    ) -> Self {
        let used = Status::ALL.iter().filter(|s| around.counts.contains_key(s.as_str()));
        let completions = used.map(|s| format!("status:{}", s.as_str()));
        let completions = completions.chain(around.pools.iter().map(|p| format!("pool:{p}")));
        let completions = completions.chain(around.zones.iter().map(|z| format!("zone:{z}")));
        let verbs = super::bulk::choices(layout.highest);
        Self {
            filter: crate::filter::text(query),
            sort: query.sort.clone().unwrap_or_default(),
            completions: completions.chain(["tag:".to_owned(), "owner:".to_owned()]).collect(),
            problem: String::new(),
            chips: Chips::new(around.counts, query),
            table: Table::new(page, query, !verbs.is_empty(), now),
            verbs,
            layout,
        }
    }
}

#[cfg(test)]
impl MachineList {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let items = vec![super::sample::hostile().summary, super::sample::machine().summary];
        let page = Page { items, total: 201, next_cursor: Some("bQ".into()) };
        let counts = BTreeMap::from([("ready".to_owned(), 3), ("deploying".to_owned(), 1)]);
        let query = MachineQuery { q: Some("<i>&".into()), ..MachineQuery::default() };
        let markup = [super::sample::MARKUP.to_owned()];
        let around = Surroundings { counts: &counts, pools: &markup, zones: &markup };
        Self::new(Layout::sample("Machines"), &page, &around, &query, super::sample_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{sample, sample_now};

    #[test]
    fn a_row_says_what_a_busy_machine_waits_for() {
        let row = Row::new(&sample::machine().summary, true, sample_now());
        assert_eq!(row.reason, "Writing debian-12 to nvme0n1");
        assert_eq!((row.cores.as_str(), row.memory.as_str(), row.disks.as_str()), ("16", "64 GiB", "1.9 TB"));
        assert_eq!(row.under_name, "10.77.0.21");
    }

    #[test]
    fn the_next_page_keeps_the_filters() {
        let list = MachineList::sample();
        assert_eq!(list.table.next.as_deref(), Some("/machines?q=%3Ci%3E%26&cursor=bQ"));
        assert!(list.table.filtered);
    }

    #[test]
    fn a_column_sorts_and_turns_round() {
        let query =
            MachineQuery { sort: Some("-memory".into()), q: Some("x".into()), ..MachineQuery::default() };
        let heads = heads(&query);
        let of = |label: &str| {
            heads.iter().find(|h| h.label == label).map(|h| (h.href.as_str(), h.sorted)).unwrap()
        };
        assert_eq!(of("Memory"), ("/machines?q=x&sort=memory", "descending"));
        assert_eq!(of("Cores"), ("/machines?q=x&sort=-cores", ""));
        assert_eq!(of("Name"), ("/machines?q=x&sort=name", ""));
        assert_eq!(of("Image"), ("", ""));
        let by_name = super::heads(&MachineQuery::default());
        assert_eq!((by_name[0].href.as_str(), by_name[0].sorted), ("/machines?sort=-name", "ascending"));
    }

    #[test]
    fn viewers_choose_nothing_and_whoever_has_a_role_in_a_pool_does() {
        use rackwright_region::model::Role;
        let chosen = |role| {
            let list = MachineList::sample();
            let layout = Layout { role: Role::Viewer, highest: role, ..list.layout };
            let page = Page { items: vec![sample::machine().summary], total: 1, next_cursor: None };
            let around = Surroundings { counts: &BTreeMap::new(), pools: &[], zones: &[] };
            MachineList::new(layout, &page, &around, &MachineQuery::default(), sample_now()).to_string()
        };
        assert!(chosen(Role::Operator).contains(r#"name="machine" value="k3x9ab""#));
        assert!(!chosen(Role::Viewer).contains(r#"name="machine""#));
        assert!(!chosen(Role::Viewer).contains(r#"id="bulk""#));
    }

    #[test]
    fn an_empty_site_says_how_machines_get_here() {
        let page = Page { items: Vec::new(), total: 0, next_cursor: None };
        let empty = Table::new(&page, &MachineQuery::default(), true, sample_now()).to_string();
        assert!(empty.contains("No machines yet"), "{empty}");
        let query = MachineQuery { q: Some("x".into()), ..MachineQuery::default() };
        let none = Table::new(&page, &query, true, sample_now()).to_string();
        assert!(none.contains("No machine fits"), "{none}");
    }
}
