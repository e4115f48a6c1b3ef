use super::*;
use crate::scripts::metadata;
use rackwright_common::inventory::{Disk, Inventory};
use serde_json::json;

fn script(parameters: &str) -> ScriptMetadata {
    let body = format!(
        "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: trial\n# timeout: 60\n# parameters:\n{}\
         # --- End MAAS 1.0 script metadata ---\n",
        parameters.lines().map(|l| format!("#   {l}\n")).collect::<String>()
    );
    metadata::parse(&body).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn two_disks() -> Inventory {
    let disk = |name: &str, serial: Option<&str>| Disk {
        name: name.into(),
        serial: serial.map(Into::into),
        ..Disk::default()
    };
    let stick = Disk { removable: true, ..disk("sdz", Some("USB")) };
    Inventory { disks: vec![disk("vda", Some("S1")), disk("vdb", None), stick], ..Inventory::default() }
}

#[test]
fn values_become_text_that_fits() {
    let script = script(
        "runtime: {type: runtime, min: 1, max: 3600}\nurl: {type: url}\nfast: {type: boolean}\n\
         mode: {type: choice, choices: [[r, Read], w]}\nword: {min: 2, max: 4}",
    );
    let good = json!({ "runtime": "1:00", "url": "http://a/b", "fast": true, "mode": "w", "word": "abc" });
    let normal = normal(&script, &object(good)).unwrap();
    assert_eq!(
        Value::from(normal),
        json!({ "runtime": "60", "url": "http://a/b", "fast": "true", "mode": "w", "word": "abc" })
    );
}

#[test]
fn a_value_that_does_not_fit_is_named_with_what_would() {
    let script = script(
        "runtime: {type: runtime, min: 1, max: 3600}\nurl: {type: url}\nfast: {type: boolean}\n\
         mode: {type: choice, choices: [r, w]}\nword: {min: 2}\nstorage: {type: storage}",
    );
    for (name, value, cure) in [
        ("runtime", json!(0), "expected seconds from 1 to 3600"),
        ("runtime", json!("soon"), "expected seconds from 1 to 3600"),
        ("runtime", json!([1]), "expected text, a number, or true or false"),
        ("url", json!("10.0.0.1"), "expected an address such as http://10.0.0.1/"),
        ("fast", json!("perhaps"), "expected true or false"),
        ("mode", json!("x"), "expected one of r, w"),
        ("word", json!("a"), "expected a text, its length of 2 at least"),
        ("word", json!("a\0b"), "expected at most 4096 bytes of text"),
        ("storage", json!(" , "), "expected `all`, or names"),
    ] {
        let fault = normal(&script, &object(json!({ name: value.clone() }))).unwrap_err();
        assert_eq!(fault.name, name);
        assert_eq!(fault.message, format!("`{name}` of the script `trial`: {cure}"), "{value}");
    }
    let fault = normal(&script, &object(json!({ "speed": 1 }))).unwrap_err();
    assert_eq!(
        fault.message,
        "the script `trial` has no parameter `speed`; it has `runtime`, `url`, `fast`, `mode`, `word`, `storage`",
        "in the order of the header"
    );
}

#[test]
fn defaults_fill_what_is_not_given_and_what_is_needed_is_asked_for() {
    let needs = script("word: {type: string}\nextra: {type: string, required: false}\nrun: {type: runtime}");
    assert_eq!(fill(&needs, &Map::new()).unwrap_err().message, "the script `trial` needs a value for `word`");
    let filled = fill(&needs, &object(json!({ "word": "x" }))).unwrap();
    assert_eq!(
        Value::from(filled),
        json!({ "word": "x", "run": "60" }),
        "a runtime is the timeout, as in MAAS"
    );
    let secret = script("key: {type: password, default: hunter2}");
    assert!(
        fill(&secret, &Map::new()).unwrap().is_empty(),
        "a password's default is not stored with the run"
    );
}

#[test]
fn hardware_is_chosen_by_serial_or_name() {
    let script = script("storage: {type: storage}");
    let chosen = |what: &str| targets(&script, &object(json!({ "storage": what })), Some(&two_disks()));
    assert_eq!(chosen("all"), ["S1", "vdb"], "what can be pulled out is not tested unless it is named");
    assert_eq!(chosen("/dev/vda"), ["S1"]);
    assert_eq!(chosen("vdb, s1, vda"), ["vdb", "S1"], "each once");
    assert_eq!(chosen("sdz"), ["USB"]);
    assert_eq!(chosen("gone"), ["gone"]);
    let given = object(json!({ "storage": "vda,gone" }));
    let fault = unknown_target(&script, &given, &two_disks()).unwrap_err();
    assert_eq!(fault.message, "the machine has no `gone`; it has vda (S1), vdb (vdb), sdz (USB)");
}

#[test]
fn arguments_are_maas_ones_and_passwords_are_none() {
    let script = script(
        "storage: {type: storage, argument_format: '{path}'}\nruntime: {type: runtime}\nkey: {type: password}\n\
         fast: {type: boolean}\nword: {type: string}",
    );
    let formats: Vec<_> =
        declared(&script).unwrap().iter().map(|p| p.argument_format("false").unwrap_or_default()).collect();
    assert_eq!(formats, ["{path}", "--runtime={input}", "", "", "--word={input}"]);
}

#[test]
fn a_longer_run_has_a_longer_limit() {
    let script = script("runtime: {type: runtime, default: 10}");
    let limit = |seconds: &str| timeout(&script, &object(json!({ "runtime": seconds })));
    assert_eq!((limit("5"), limit("10"), limit("11"), limit("100")), (60, 60, 120, 600));
}
