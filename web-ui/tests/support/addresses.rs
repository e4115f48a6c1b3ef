//! Every address that the pages answer, in one table that is held against the router's own source: a page that is added there and
//! not here fails `visits`.

use super::support::Site;
use std::collections::BTreeMap;

/// What is behind a route for GET.
pub enum Behind {
    /// Pages, with what is to be filled in in braces.
    Pages(&'static [&'static str]),
    /// What pages fetch again, or a file; one address of it.
    Part(&'static str),
    /// No page of its own; why.
    NoPage(&'static str),
}

use Behind::{NoPage, Pages, Part};

/// Routes for GET, as the router has them.
pub const ROUTES: &[(&str, Behind)] = &[
    ("/", Pages(&["/"])),
    ("/login", Pages(&["/login"])),
    ("/login/provider", NoPage("leads to the provider; `login_provider` walks it")),
    ("/login/return", NoPage("comes from the provider; `login_provider` walks it")),
    ("/login/leave", NoPage("comes from the provider; `login_provider` walks it")),
    ("/machines", Pages(&["/machines", "/machines?q=ceph&status=ready", "/machines?q=nothing-fits"])),
    // Ready, deploying, failed, deployed, new, in rescue mode.
    (
        "/machines/{id}",
        Pages(&[
            "/machines/p5t8rw",
            "/machines/m7d2qz",
            "/machines/d8e2f5",
            "/machines/g4h6j3",
            "/machines/k3x9ab",
            "/machines/y7z4a9",
            "/machines/v3w5x8",
        ]),
    ),
    ("/machines/{id}/edit", Pages(&["/machines/p5t8rw/edit"])),
    (
        "/machines/{id}/network",
        Pages(&["/machines/p5t8rw/network", "/machines/p5t8rw/network?interface={bond}"]),
    ),
    ("/machines/{id}/terminal", Pages(&["/machines/p5t8rw/terminal"])),
    ("/machines/{id}/runs/{run}", Pages(&["/machines/m7d2qz/runs/{run}"])),
    ("/machines/table", Part("/machines/table")),
    ("/machines/chips", Part("/machines/chips")),
    ("/machines/{id}/row", Part("/machines/p5t8rw/row")),
    ("/machines/{id}/part/head", Part("/machines/p5t8rw/part/head")),
    ("/machines/{id}/part/hardware", Part("/machines/p5t8rw/part/hardware")),
    ("/machines/{id}/part/tests", Part("/machines/m7d2qz/part/tests")),
    ("/machines/{id}/part/comparison", Part("/machines/m7d2qz/part/comparison")),
    ("/machines/{id}/part/changes", Part("/machines/p5t8rw/part/changes")),
    ("/machines/{id}/part/events", Part("/machines/p5t8rw/part/events")),
    ("/machines/{id}/part/activity", Part("/machines/m7d2qz/part/activity")),
    ("/machines/{id}/part/console", Part("/machines/m7d2qz/part/console")),
    ("/machines/{id}/console", Part("/machines/m7d2qz/console")),
    ("/bulk/{id}", Pages(&["/bulk/{ended}", "/bulk/{running}"])),
    ("/operations", Pages(&["/operations"])),
    ("/operations/{id}", Pages(&["/operations/112", "/operations/118"])),
    ("/operations/{id}/part", Part("/operations/112/part")),
    ("/operations/{id}/log", Part("/operations/112/log")),
    ("/events", Pages(&["/events", "/events?level=debug&actor=ann"])),
    ("/notifications", Pages(&["/notifications", "/notifications?rule=night"])),
    ("/images", Pages(&["/images"])),
    ("/images/new", Pages(&["/images/new"])),
    ("/images/{reference}", Pages(&["/images/debian-12@3"])),
    ("/controllers", Pages(&["/controllers"])),
    ("/names", Pages(&["/names"])),
    (
        "/names/{noun}/{id}",
        Pages(&[
            "/names/domains/new",
            "/names/domains/{domain}",
            "/names/records/new",
            "/names/records/{record}",
            "/names/secondaries/new",
            "/names/secondaries/ns-1",
        ]),
    ),
    ("/networks", Pages(&["/networks"])),
    (
        "/networks/{noun}/{id}",
        Pages(&[
            "/networks/spaces/new",
            "/networks/fabrics/new",
            "/networks/fabrics/{fabric}",
            "/networks/vlans/new",
            "/networks/vlans/{vlan}",
            "/networks/subnets/new",
            "/networks/subnets/{subnet}",
        ]),
    ),
    ("/groups", Pages(&["/groups"])),
    (
        "/groups/{noun}/{name}",
        Pages(&["/groups/pool/new", "/groups/pool/research", "/groups/zone/row-a", "/groups/tag/ceph"]),
    ),
    ("/start", Pages(&["/start"])),
    ("/devices", Pages(&["/devices"])),
    ("/devices/{id}", Pages(&["/devices/new", "/devices/{device}"])),
    ("/discoveries", Pages(&["/discoveries"])),
    ("/switches", Pages(&["/switches"])),
    ("/switches/{id}", Pages(&["/switches/{switch}"])),
    ("/switches/{id}/edit", Pages(&["/switches/new/edit", "/switches/{switch}/edit"])),
    ("/account", Pages(&["/account"])),
    ("/audit", Pages(&["/audit", "/audit?actor=admin"])),
    ("/users", Pages(&["/users"])),
    ("/users/{name}", Pages(&["/users/ben", "/users/admin"])),
    ("/scripts", Pages(&["/scripts"])),
    ("/scripts/{name}", Pages(&["/scripts/disk-quick", "/scripts/burn-in"])),
    ("/settings", Pages(&["/settings"])),
    ("/settings/login", Pages(&["/settings/login"])),
];

/// What stands in braces, and where it is found.
const FILLED_IN: &[(&str, &str)] = &[
    ("{run}", "SELECT min(id) FROM script_run WHERE machine_id = 'm7d2qz'"),
    ("{bond}", "SELECT id FROM virtual_interface WHERE name = 'bond0'"),
    ("{ended}", "SELECT min(id) FROM bulk"),
    ("{running}", "SELECT max(id) FROM bulk"),
    ("{domain}", "SELECT id FROM domain WHERE name = 'lab.example'"),
    ("{record}", "SELECT min(id) FROM dns_record"),
    ("{fabric}", "SELECT id FROM fabric WHERE name = 'lab'"),
    ("{vlan}", "SELECT id FROM vlan WHERE name = 'machines'"),
    ("{subnet}", "SELECT id FROM subnet WHERE name = 'machines'"),
    ("{device}", "SELECT min(id) FROM device"),
    ("{switch}", "SELECT min(id) FROM switch"),
];

/// Every page: its address in the table, and on this site.
pub async fn pages(site: &Site) -> Vec<(&'static str, String)> {
    let every = ROUTES.iter().flat_map(|(_, behind)| match behind {
        Pages(pages) => *pages,
        Part(_) | NoPage(_) => &[],
    });
    let numbers = numbers(site).await;
    every.map(|page| (*page, fill_in(&numbers, page))).collect()
}

/// What each brace is on this site.
pub async fn numbers(site: &Site) -> BTreeMap<&'static str, String> {
    let mut numbers = BTreeMap::new();
    for (brace, sql) in FILLED_IN {
        numbers.insert(*brace, super::things::id(site, sql).await.to_string());
    }
    numbers
}

fn fill_in(numbers: &BTreeMap<&str, String>, page: &str) -> String {
    let filled = numbers.iter().fold(page.to_owned(), |page, (brace, number)| page.replace(brace, number));
    assert!(!filled.contains('{'), "nothing fills {page} in");
    filled
}

/// The routes for GET in the router's source.
pub fn routes_of_the_router() -> Vec<String> {
    let source = include_str!("../../src/page/mod.rs");
    let start = source.find("fn pages()").expect("the router is made in `pages`");
    let routes = source[start..].split(".route(").skip(1).filter_map(|rest| {
        let (path, rest) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
        rest.trim_start_matches([',', ' ', '\n']).starts_with("get(").then(|| path.to_owned())
    });
    let routes: Vec<_> = routes.collect();
    // A route that is written in another way would not be seen.
    let all = source.matches(".route(").count() + source.matches("get_service").count();
    let posts = source.matches(", post(").count();
    assert!(routes.len() + posts >= all, "a route is written in a way that this test does not read");
    routes
}
