//! The accessibility checker axe-core, as one script. npm brings it the first time.

use super::browser::Browser;
use std::process::Command;

/// The script.
pub fn fetch() -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/axe");
    let file = format!("{folder}/node_modules/axe-core/axe.min.js");
    if !std::path::Path::new(&file).exists() {
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder])
            .status();
        assert!(npm.expect("is the package npm installed?").success(), "npm could not fetch axe-core");
    }
    std::fs::read_to_string(file).unwrap()
}

/// Looks for serious faults of accessibility; `only` limits it to one rule.
pub fn faults(browser: &mut Browser, axe: &str, only: &str) -> Vec<String> {
    if browser.value("typeof axe === 'undefined'") == true {
        browser.value(&format!("{axe}; true"));
    }
    let options = if only.is_empty() {
        "{}".into()
    } else {
        format!("{{ runOnly: {{ type: 'rule', values: [{only:?}] }} }}")
    };
    let found = browser.value(&format!("axe.run(document, {options}).then(r => ({{ bad: r.violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v => v.id + ': ' + v.help + ' ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | ')), passes: r.passes.length }}))"));
    assert!(found["passes"].as_u64().unwrap() > 0, "axe looked at nothing: {found}");
    found["bad"].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}
