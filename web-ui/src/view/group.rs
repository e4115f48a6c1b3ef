//! Pools, zones and tags: how machines are grouped.

use super::Layout;
use super::form::{Field, Form};
use crate::command;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::Role;
use rackwright_region::model::network::Group;

/// A kind of group with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `pool`, `zone` or `tag`: the word in addresses and filters.
    pub noun: &'static str,
    /// For people.
    pub title: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The groups, and the address of each one's machines.
    pub rows: Vec<(Group, String)>,
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "groups.html")]
pub struct GroupsPage {
    /// Around it.
    pub layout: Layout,
    /// May change them.
    pub administrator: bool,
    /// The three kinds.
    pub sections: Vec<Section>,
}

impl GroupsPage {
    /// Of all groups.
    pub fn new(layout: Layout, pools: Vec<Group>, zones: Vec<Group>, tags: Vec<Group>) -> Self {
        let section = |noun, title, about, groups: Vec<Group>| {
            let listed = |g: Group| {
                let value = if g.name.contains(' ') { format!("\"{}\"", g.name) } else { g.name.clone() };
                (g, format!("/machines?q={noun}%3A{}", encoded(&value)))
            };
            Section { noun, title, about, rows: groups.into_iter().map(listed).collect() }
        };
        Self {
            administrator: layout.role >= Role::Administrator,
            layout,
            sections: vec![
                section("pool", "Resource pools", "who may use machines", pools),
                section("zone", "Zones", "where machines are", zones),
                section("tag", "Tags", "what machines are like; made by giving one to a machine", tags),
            ],
        }
    }
}

/// As a part of an address (RFC 3986 §2.3).
pub fn encoded(text: &str) -> String {
    let one = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

/// Makes a pool or zone, or changes what is said of one.
pub fn edit(csrf: &str, noun: &'static str, old: Option<&Group>) -> Form {
    let pattern = if noun == "pool" { command::POOL_SET } else { command::ZONE_SET };
    let about = Field::text("description", "Description", old.map_or("", |g| &g.description));
    match old {
        None => {
            let name =
                Field::text("name", "Name", "").hint("lower-case letters, digits and hyphens").required();
            Form::new("edit", format!("/groups/{noun}/new"), csrf, vec![name, about])
                .titled(format!("A new {noun}"), "Make it")
                .command(pattern, Vec::new())
        }
        Some(g) => Form::new("edit", format!("/groups/{noun}/{}", encoded(&g.name)), csrf, vec![about])
            .titled("Description", "Save")
            .command(pattern, vec![("name", g.name.clone())]),
    }
}

/// Removes one.
pub fn delete(csrf: &str, noun: &'static str, group: &Group) -> Form {
    let (pattern, lost) = match noun {
        "pool" => (command::POOL_DELETE, "It goes when no machine is in it any more."),
        "zone" => (command::ZONE_DELETE, "It goes when no machine is in it any more."),
        _ => (command::TAG_DELETE, "It is taken away from all machines that have it."),
    };
    Form::new("delete", format!("/groups/{noun}/{}/delete", encoded(&group.name)), csrf, Vec::new())
        .titled("Remove", format!("Remove {}", group.name))
        .intro(lost)
        .danger()
        .command(pattern, vec![("name", group.name.clone())])
}

#[cfg(test)]
impl GroupsPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let group = || {
            vec![Group {
                name: super::sample::MARKUP.into(),
                description: super::sample::MARKUP.into(),
                machines: 2,
            }]
        };
        let layout = Layout { role: Role::Administrator, ..Layout::sample("Groups") };
        Self::new(layout, group(), group(), group())
    }
}
