//! MAAS's metadata header: YAML in comment lines between two markers. Scripts written for MAAS are taken as they
//! are; fields that only MAAS itself acts on (`recommission`, `apply_configured_networking`, …) are read over.
//!
//! What a line is wrong about is said with its number in the script.

use super::parameters;
use rackwright_common::script::{HardwareType, Parallel, ScriptMetadata, ScriptType};
use serde_yaml_ng::{Mapping, Value};
use std::collections::BTreeMap;

const START: &str = "--- Start MAAS 1.0 script metadata ---";
const END: &str = "--- End MAAS 1.0 script metadata ---";

/// The header cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct HeaderError {
    /// Line of the script, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// The comment lines of a header without their marks, and the line on which it begins.
struct Header<'a> {
    first: usize,
    lines: Vec<&'a str>,
}

/// Reads the metadata of a script. A script without header has the defaults, and no name.
pub fn parse(body: &str) -> Result<ScriptMetadata, HeaderError> {
    if !body.starts_with("#!") {
        return Err(HeaderError { line: 1, message: "a script begins with `#!` and its interpreter".into() });
    }
    match find(body)? {
        Some(header) => header.parse(),
        None => Ok(ScriptMetadata::default()),
    }
}

fn find(body: &str) -> Result<Option<Header<'_>>, HeaderError> {
    let mut header: Option<Header<'_>> = None;
    for (i, line) in body.lines().enumerate() {
        match &mut header {
            None if line.contains(START) => header = Some(Header { first: i + 2, lines: Vec::new() }),
            None => {}
            Some(_) if line.contains(END) => return Ok(header),
            Some(found) => {
                let text = line.trim_start().strip_prefix('#').ok_or_else(|| HeaderError {
                    line: i + 1,
                    message: format!("the header goes on until `# {END}`; each of its lines begins with `#`"),
                })?;
                found.lines.push(text.strip_prefix(' ').unwrap_or(text));
            }
        }
    }
    match header {
        Some(open) => {
            Err(HeaderError { line: open.first - 1, message: format!("the header has no end: `# {END}`") })
        }
        None => Ok(None),
    }
}

impl Header<'_> {
    /// The line on which a top-level key stands.
    fn line_of(&self, key: &str) -> usize {
        let at = self
            .lines
            .iter()
            .position(|l| l.strip_prefix(key).is_some_and(|r| r.trim_start().starts_with(':')));
        self.first + at.unwrap_or(0)
    }

    fn parse(&self) -> Result<ScriptMetadata, HeaderError> {
        let yaml: Value = serde_yaml_ng::from_str(&self.lines.join("\n")).map_err(|e| {
            let line = self.first + e.location().map_or(0, |at| at.line() - 1);
            HeaderError { line, message: format!("not valid YAML: {e}") }
        })?;
        let fields = match yaml {
            Value::Mapping(fields) => fields,
            Value::Null => Mapping::new(),
            _ => {
                return Err(HeaderError { line: self.first, message: "expected `name: value` lines".into() });
            }
        };
        let mut metadata = ScriptMetadata::default();
        for (key, value) in &fields {
            let Some(key) = key.as_str() else { continue };
            set(&mut metadata, key, value).map_err(|message| HeaderError {
                line: self.line_of(key),
                message: format!("{key}: {message}"),
            })?;
        }
        match parameters::declared(&metadata) {
            Ok(_) => Ok(metadata),
            Err(fault) => {
                let line = self.line_of("parameters");
                Err(HeaderError { line, message: format!("parameters: {fault}") })
            }
        }
    }
}

fn set(metadata: &mut ScriptMetadata, key: &str, value: &Value) -> Result<(), String> {
    match key {
        "name" => metadata.name = name(value)?,
        "title" => metadata.title = text(value)?,
        "description" => metadata.description = text(value)?,
        "tags" => metadata.tags = words(value)?,
        "script_type" | "type" => {
            metadata.script_type = choice(
                value,
                &[
                    (0, &["commissioning", "commission"], ScriptType::Commissioning),
                    (2, &["testing", "test"], ScriptType::Testing),
                    (3, &["release"], ScriptType::Release),
                ],
            )?;
        }
        "hardware_type" => {
            metadata.hardware_type = choice(
                value,
                &[
                    (0, &["node", "controller", "other", "generic"], HardwareType::Node),
                    (1, &["cpu", "processor"], HardwareType::Cpu),
                    (2, &["memory", "ram"], HardwareType::Memory),
                    (3, &["storage", "disk", "ssd"], HardwareType::Storage),
                    (4, &["network", "net", "interface"], HardwareType::Network),
                    (5, &["gpu", "graphics"], HardwareType::Gpu),
                ],
            )?;
        }
        "parallel" => {
            metadata.parallel = choice(
                value,
                &[
                    (0, &["disabled", "none"], Parallel::Disabled),
                    (1, &["instance", "name"], Parallel::Instance),
                    (2, &["any", "enabled"], Parallel::Any),
                ],
            )?;
        }
        "timeout" => metadata.timeout_seconds = timeout(value)?,
        "may_reboot" => metadata.may_reboot = flag(value)?,
        "destructive" => metadata.destructive = flag(value)?,
        "toolbox" => metadata.toolbox |= flag(value)?,
        // Packages are not installed at run time; the toolbox holds the usual ones.
        "packages" => metadata.toolbox |= value.as_mapping().is_some_and(|m| !m.is_empty()),
        "for_hardware" => metadata.for_hardware = conditions(value)?,
        "parameters" => {
            (metadata.parameters, metadata.parameter_order) = mapping(value)?;
        }
        "results" => metadata.results = json(value)?,
        // Acted on by MAAS only, or of a newer version.
        _ => {}
    }
    Ok(())
}

fn name(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    let good = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c));
    if good {
        Ok(name)
    } else {
        Err(format!(
            "`{name}` is not a name: up to 63 lower-case letters, digits, dots, hyphens or underscores"
        ))
    }
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("expected text".into()),
    }
}

fn words(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::String(text) => {
            Ok(text.split([',', ' ']).filter(|w| !w.is_empty()).map(str::to_owned).collect())
        }
        Value::Sequence(items) => items.iter().map(text).collect(),
        Value::Null => Ok(Vec::new()),
        _ => Err("expected a list of words".into()),
    }
}

/// One condition, or a list: they may have blanks and commas in them.
fn conditions(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Sequence(items) => items.iter().map(text).collect(),
        Value::Null => Ok(Vec::new()),
        one => Ok(vec![text(one)?]),
    }
}

fn flag(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "on") => {
            Ok(true)
        }
        Value::String(text) if matches!(text.to_ascii_lowercase().as_str(), "false" | "no" | "off") => {
            Ok(false)
        }
        _ => Err("expected true or false".into()),
    }
}

fn choice<T: Copy>(value: &Value, choices: &[(u64, &[&str], T)]) -> Result<T, String> {
    let found = match value {
        Value::Number(number) => choices.iter().find(|(n, ..)| number.as_u64() == Some(*n)),
        Value::String(text) => choices.iter().find(|(n, names, _)| {
            names.contains(&text.to_ascii_lowercase().as_str()) || text.parse() == Ok(*n)
        }),
        _ => None,
    };
    found.map(|(.., choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(_, names, _)| names[0]).collect();
        format!("`{}` is none of {}", text(value).unwrap_or_default(), names.join(", "))
    })
}

/// `HH:MM:SS`, `MM:SS`, or seconds; YAML 1.1 readers make a number of the former, ours does not.
fn timeout(value: &Value) -> Result<u64, String> {
    let wrong = || "expected seconds, or HH:MM:SS".to_owned();
    match value {
        Value::Number(number) => number.as_u64().ok_or_else(wrong),
        Value::String(text) => {
            let parts: Result<Vec<u64>, _> = text.trim().split(':').map(str::parse).collect();
            let parts = parts.map_err(|_| wrong())?;
            if parts.len() > 3 || parts.iter().skip(1).any(|p| *p > 59) {
                return Err(wrong());
            }
            parts.iter().try_fold(0u64, |sum, part| sum.checked_mul(60)?.checked_add(*part)).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// Parameters by name, and their names in order.
fn mapping(value: &Value) -> Result<(BTreeMap<String, serde_json::Value>, Vec<String>), String> {
    let parameters = match value {
        Value::Mapping(parameters) => parameters,
        Value::Null => return Ok((BTreeMap::new(), Vec::new())),
        _ => return Err("expected `name: {type: …}`".into()),
    };
    let one = |(key, value): (&Value, &Value)| Ok((text(key)?, json(value)?));
    let by_name = parameters.iter().map(one).collect::<Result<_, String>>()?;
    Ok((by_name, parameters.keys().map(text).collect::<Result<_, _>>()?))
}

fn json(value: &Value) -> Result<serde_json::Value, String> {
    serde_json::to_value(value).map_err(|_| "keys must be text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(header: &str) -> String {
        let lines: String = header.lines().map(|l| format!("# {l}\n")).collect();
        format!("#!/bin/sh\n#\n# {START}\n{lines}# {END}\necho hello\n")
    }

    #[test]
    fn names_and_maas_numbers_mean_the_same() {
        let named = with_header(
            "name: my-test\ntitle: My test\nscript_type: testing\nhardware_type: storage\nparallel: instance\n\
             timeout: 01:30:00\ntags: a, noauto\nmay_reboot: True\ndestructive: false",
        );
        let numbered =
            named.replace(": testing", ": 2").replace(": storage", ": 3").replace(": instance", ": 1");
        let metadata = parse(&named).unwrap();
        assert_eq!(metadata.script_type, ScriptType::Testing);
        assert_eq!(metadata.hardware_type, HardwareType::Storage);
        assert_eq!(metadata.parallel, Parallel::Instance);
        assert_eq!(metadata.timeout_seconds, 5400);
        assert_eq!(metadata.tags, ["a", "noauto"]);
        assert!(metadata.may_reboot && !metadata.destructive);
        assert_eq!(parse(&numbered).unwrap(), metadata);
    }

    #[test]
    fn results_and_parameters_are_kept_as_they_are() {
        let body = with_header(
            "name: disk\nresults:\n  read_mbps:\n    title: Read\nparameters:\n  storage: {type: storage}\n\
             packages: {apt: fio}\nfor_hardware: modalias:pci:*\ncomment: hello",
        );
        let metadata = parse(&body).unwrap();
        assert_eq!(metadata.results["read_mbps"]["title"], "Read");
        assert_eq!(metadata.parameters["storage"]["type"], "storage");
        assert!(metadata.toolbox, "packages are in the toolbox");
        assert_eq!(metadata.for_hardware, ["modalias:pci:*"]);
    }

    #[test]
    fn a_script_without_header_has_defaults() {
        assert_eq!(parse("#!/bin/sh\necho hi\n").unwrap(), ScriptMetadata::default());
        assert_eq!(parse("echo hi").unwrap_err().line, 1);
    }

    #[test]
    fn an_error_names_the_line_of_the_script() {
        let wrong = parse(&with_header("name: x\ntimeout: soon")).unwrap_err();
        assert_eq!(wrong.to_string(), "line 5: timeout: expected seconds, or HH:MM:SS");
        let wrong = parse(&with_header("name: x\nhardware_type: toaster")).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "line 5: hardware_type: `toaster` is none of node, cpu, memory, storage, network, gpu"
        );
        assert_eq!(
            parse(&with_header("name: x\nyaml: [")).unwrap_err().message.get(..14),
            Some("not valid YAML")
        );
        let wrong = parse(&with_header("name: x\nparameters:\n  size: {type: length}")).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "line 5: parameters: `size`: type \"length\" is none of storage, interface, url, runtime, string, \
             password, boolean, choice"
        );
        let wrong =
            parse(&with_header("parameters:\n  run: {type: runtime, max: 5, default: 9}")).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "line 4: parameters: `run`: its default does not fit: expected seconds of 5 at most"
        );
        let open = format!("#!/bin/sh\n# {START}\n# name: x\n");
        assert_eq!(parse(&open).unwrap_err().line, 2);
        let torn = format!("#!/bin/sh\n# {START}\nname: x\n# {END}\n");
        assert_eq!(parse(&torn).unwrap_err().line, 3);
    }

    #[test]
    fn timeouts_in_all_notations() {
        for (text, seconds) in [("30", 30), ("5:00", 300), ("00:00:05", 5), ("\"24:00:00\"", 86400)] {
            assert_eq!(parse(&with_header(&format!("timeout: {text}"))).unwrap().timeout_seconds, seconds);
        }
        assert!(parse(&with_header("timeout: 00:99:00")).is_err());
    }
}
