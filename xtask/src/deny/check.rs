//! The rules of `deny.toml` that we use, and what breaks them.

use super::spdx;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;

/// `deny.toml`, as far as it is used. Every other key is an error: cargo-deny would obey it and this check not.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rules {
    #[serde(default)]
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Graph {
    #[serde(default)]
    targets: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Licenses {
    allow: BTreeSet<String>,
    /// How sure one has to be of a licence's text; this check reads no texts.
    #[serde(rename = "confidence-threshold")]
    _confidence_threshold: f64,
    private: Private,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Private {
    ignore: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    multiple_versions: String,
    wildcards: String,
    allow_wildcard_paths: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: String,
    unknown_git: String,
}

/// What cargo says of the packages.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    /// An empty list: it is never published.
    publish: Option<Vec<String>>,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    req: String,
    path: Option<String>,
}

/// What breaks the rules.
#[derive(Debug)]
pub struct Problems {
    /// Packages looked at.
    pub packages: usize,
    /// One sentence each.
    pub list: Vec<String>,
}

/// The registry of everybody, by both of its protocols.
const REGISTRIES: &[&str] =
    &["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

impl Rules {
    /// Reads `deny.toml`.
    pub fn parse(text: &str) -> Result<Self> {
        let rules: Self = toml::from_str(text).context(
            "deny.toml has something that only cargo-deny knows; install it, or teach `xtask/src/deny`",
        )?;
        let b = &rules.bans;
        ensure!(b.multiple_versions == "allow", "without cargo-deny `multiple-versions` can only be `allow`");
        ensure!(
            b.wildcards == "deny" && b.allow_wildcard_paths,
            "without cargo-deny wildcards are denied, except in paths"
        );
        let s = &rules.sources;
        ensure!(
            s.unknown_registry == "deny" && s.unknown_git == "deny",
            "without cargo-deny unknown sources are denied"
        );
        ensure!(rules.graph.targets.len() <= 1, "without cargo-deny there is one target at most");
        Ok(rules)
    }

    /// The targets whose dependencies count; all when empty.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.graph.targets.iter().map(String::as_str)
    }
}

/// Everything that breaks the rules, by package.
pub fn problems(rules: &Rules, metadata: &Metadata) -> Result<Problems> {
    let linked: BTreeSet<&str> = metadata.resolve.nodes.iter().map(|n| n.id.as_str()).collect();
    let mut list = Vec::new();
    let packages: Vec<_> = metadata.packages.iter().filter(|p| linked.contains(p.id.as_str())).collect();
    ensure!(!packages.is_empty(), "cargo names no packages");
    for package in &packages {
        let name = format!("{} {}", package.name, package.version);
        list.extend(licence(rules, package).map(|what| format!("{name}: {what}")));
        list.extend(source(package).map(|what| format!("{name}: {what}")));
        if package.source.is_none() {
            list.extend(wildcards(package).map(|what| format!("{name}: {what}")));
        }
    }
    list.sort();
    Ok(Problems { packages: packages.len(), list })
}

fn licence(rules: &Rules, package: &Package) -> Option<String> {
    let private = package.source.is_none() && package.publish.as_ref().is_some_and(Vec::is_empty);
    if rules.licenses.private.ignore && private {
        return None;
    }
    let Some(expression) = package.license.as_deref() else {
        return Some("it declares no licence".to_owned());
    };
    match spdx::is_allowed(expression, &|name| rules.licenses.allow.contains(name)) {
        Ok(true) => None,
        Ok(false) => Some(format!("its licence `{expression}` is not allowed")),
        Err(error) => Some(format!("{error:#}: `{expression}`")),
    }
}

fn source(package: &Package) -> Option<String> {
    let source = package.source.as_deref()?;
    (!REGISTRIES.contains(&source)).then(|| format!("it comes from {source}"))
}

fn wildcards(package: &Package) -> impl Iterator<Item = String> {
    let open = package.dependencies.iter().filter(|d| d.req == "*" && d.path.is_none());
    open.map(|d| format!("it takes any version of {}", d.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const RULES: &str = "[licenses]\nallow = [\"MIT\"]\nconfidence-threshold = 0.9\nprivate = { ignore = true }\n\
        [bans]\nmultiple-versions = \"allow\"\nwildcards = \"deny\"\nallow-wildcard-paths = true\n\
        [sources]\nunknown-registry = \"deny\"\nunknown-git = \"deny\"\n";

    fn found(package: Value) -> Vec<String> {
        let mut whole = json!({ "id": "a", "name": "a", "version": "1.0.0", "license": "MIT", "source": REGISTRIES[0],
                                "publish": null, "dependencies": [] });
        whole.as_object_mut().unwrap().extend(package.as_object().unwrap().clone());
        let metadata = json!({ "packages": [whole, { "id": "unused", "name": "b", "version": "1.0.0", "license": "GPL-3.0",
            "source": null, "publish": null, "dependencies": [] }], "resolve": { "nodes": [{ "id": "a" }] } });
        let metadata = serde_json::from_value(metadata).unwrap();
        problems(&Rules::parse(RULES).unwrap(), &metadata).unwrap().list
    }

    #[test]
    fn what_is_in_order_passes() {
        assert_eq!(found(json!({})), [""; 0]);
        assert_eq!(found(json!({ "source": null, "publish": [], "license": null })), [""; 0], "our own");
        let path = json!([{ "name": "ours", "req": "*", "path": "/x" }, { "name": "theirs", "req": "^1", "path": null }]);
        assert_eq!(found(json!({ "source": null, "dependencies": path })), [""; 0]);
    }

    #[test]
    fn each_rule_can_be_broken() {
        assert_eq!(found(json!({ "license": "GPL-3.0" })), ["a 1.0.0: its licence `GPL-3.0` is not allowed"]);
        assert_eq!(found(json!({ "license": null })), ["a 1.0.0: it declares no licence"]);
        assert_eq!(found(json!({ "license": "MIT OR" })), ["a 1.0.0: a licence ends too early: `MIT OR`"]);
        let git = "git+https://example.org/a#1";
        assert_eq!(found(json!({ "source": git })), [format!("a 1.0.0: it comes from {git}")]);
        let any = json!([{ "name": "b", "req": "*", "path": null }]);
        assert_eq!(
            found(json!({ "source": null, "dependencies": any })),
            ["a 1.0.0: it takes any version of b"]
        );
    }

    #[test]
    fn a_rule_that_is_not_known_is_an_error() {
        for more in ["[licenses.x]\n", "[advisories]\nyanked = \"deny\"\n", "[graph]\nexclude = []\n"] {
            assert!(Rules::parse(&format!("{RULES}{more}")).is_err(), "{more}");
        }
        assert!(Rules::parse(&RULES.replace("\"allow\"\n", "\"deny\"\n")).is_err(), "multiple versions");
    }

    #[test]
    fn the_rules_in_git_are_known() {
        let text = std::fs::read_to_string(rackwright_lab::state::workspace().join("deny.toml")).unwrap();
        Rules::parse(&text).unwrap();
    }
}
