//! Parameters of scripts, as MAAS's header declares them: what a person may give, what a script gets.
//!
//! What holds: a value that got past [`normal`] is text that fits its declaration; [`fill`] gives each parameter its
//! value or its default, and says which one is missing. Passwords pass through as whatever the caller made of them
//! (sealed text). `storage` and `interface` choose hardware: they decide how often a script runs.

mod targets;

pub use targets::{disk_target, hardware, targets, unknown_target};

use rackwright_common::script::ScriptMetadata;
use serde_json::{Map, Value};

/// Longest value, bytes: together they must fit into a program's environment.
const LONGEST: usize = 4096;
/// Runs of everything that there is.
const ALL: &str = "all";

/// What kind of value a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Disks: `all`, or serial numbers or kernel names with commas between.
    Storage,
    /// Network interfaces: `all`, or hardware addresses or kernel names with commas between.
    Interface,
    /// An address with its scheme.
    Url,
    /// Seconds.
    Runtime,
    /// Text.
    Text,
    /// Text that nobody is shown.
    Password,
    /// `true` or `false`.
    Boolean,
    /// One of a list.
    Choice,
}

const KINDS: &[(&str, Kind)] = &[
    ("storage", Kind::Storage),
    ("interface", Kind::Interface),
    ("url", Kind::Url),
    ("runtime", Kind::Runtime),
    ("string", Kind::Text),
    ("password", Kind::Password),
    ("boolean", Kind::Boolean),
    ("choice", Kind::Choice),
];

/// One parameter of a header.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// Name.
    pub name: String,
    /// What it takes.
    pub kind: Kind,
    /// Least seconds of a runtime, least characters of text.
    pub min: Option<u64>,
    /// Most of the same.
    pub max: Option<u64>,
    /// When nothing is given.
    pub default: Option<String>,
    /// A run needs a value.
    pub required: bool,
    /// How it becomes an argument; the default of MAAS when absent.
    pub format: Option<String>,
    /// Of [`Kind::Choice`].
    pub choices: Vec<String>,
    /// Several addresses, with commas between.
    pub many: bool,
}

/// A parameter that a run cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Which parameter.
    pub name: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Fault {
    fn of(name: &str, message: impl Into<String>) -> Self {
        Self { name: name.to_owned(), message: message.into() }
    }
}

/// The parameters of a script in the order of its header.
pub fn declared(metadata: &ScriptMetadata) -> Result<Vec<Declared>, Fault> {
    let listed = metadata.parameter_order.iter().filter(|name| metadata.parameters.contains_key(*name));
    // Metadata stored by older versions has no order.
    let unlisted = metadata.parameters.keys().filter(|name| !metadata.parameter_order.contains(name));
    listed
        .chain(unlisted)
        .map(|name| {
            let about = &metadata.parameters[name];
            Declared::read(name, about, metadata.timeout_seconds).map_err(|message| Fault::of(name, message))
        })
        .collect()
}

impl Declared {
    fn read(name: &str, about: &Value, timeout_seconds: u64) -> Result<Self, String> {
        let good = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if !good || name.len() > 63 {
            return Err(format!("`{name}` is not a parameter's name: letters, digits, `_` and `-`"));
        }
        let Value::Object(about) = about else {
            return Err(format!("`{name}`: expected `{{type: …}}`"));
        };
        let kind = match about.get("type") {
            None => Kind::Text,
            Some(given) => {
                let known = KINDS.iter().find(|(word, _)| given.as_str() == Some(word));
                let (_, kind) = known.ok_or_else(|| {
                    let words: Vec<_> = KINDS.iter().map(|(word, _)| *word).collect();
                    format!("`{name}`: type {given} is none of {}", words.join(", "))
                })?;
                *kind
            }
        };
        let flag = |key: &str, default| about.get(key).and_then(Value::as_bool).unwrap_or(default);
        let mut found = Self {
            name: name.to_owned(),
            kind,
            min: bound(name, "min", about)?,
            max: bound(name, "max", about)?,
            default: None,
            required: flag("required", true),
            format: about.get("argument_format").and_then(Value::as_str).map(str::to_owned),
            choices: choices(about.get("choices")),
            many: flag("allow_list", false),
        };
        if found.min.zip(found.max).is_some_and(|(min, max)| min > max) {
            return Err(format!("`{name}`: min is above max"));
        }
        if kind == Kind::Choice && found.choices.is_empty() {
            return Err(format!("`{name}`: a choice needs `choices`"));
        }
        found.default = found.default_of(about.get("default"), timeout_seconds)?;
        Ok(found)
    }

    fn default_of(&self, given: Option<&Value>, timeout_seconds: u64) -> Result<Option<String>, String> {
        match given.filter(|v| !v.is_null()) {
            Some(value) => {
                let normal = self.normal(value);
                normal.map(Some).map_err(|why| format!("`{}`: its default does not fit: {why}", self.name))
            }
            None if self.is_target() => Ok(Some(ALL.to_owned())),
            // As in MAAS: a script that must be told how long to run may use its whole time.
            None if self.kind == Kind::Runtime && self.required && timeout_seconds > 0 => {
                Ok(Some(timeout_seconds.to_string()))
            }
            None => Ok(None),
        }
    }

    /// It chooses hardware.
    pub fn is_target(&self) -> bool {
        matches!(self.kind, Kind::Storage | Kind::Interface)
    }

    /// The value as text, when it fits; else what would.
    pub fn normal(&self, given: &Value) -> Result<String, String> {
        let text = match given {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err("expected text, a number, or true or false".into());
            }
        };
        if text.len() > LONGEST || text.contains('\0') {
            return Err(format!("expected at most {LONGEST} bytes of text"));
        }
        match self.kind {
            Kind::Storage | Kind::Interface => {
                if words(&text).is_empty() {
                    Err(format!("expected `{ALL}`, or names"))
                } else {
                    Ok(text)
                }
            }
            Kind::Url => self.url(text),
            Kind::Runtime => self.seconds(&text),
            Kind::Text | Kind::Password => self.text(text),
            Kind::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Ok("true".into()),
                "false" | "no" | "off" => Ok("false".into()),
                _ => Err("expected true or false".into()),
            },
            Kind::Choice if self.choices.contains(&text) => Ok(text),
            Kind::Choice => Err(format!("expected one of {}", self.choices.join(", "))),
        }
    }

    fn url(&self, text: String) -> Result<String, String> {
        let good = |part: &str| {
            part.split_once("://").is_some_and(|(scheme, rest)| {
                !scheme.is_empty()
                    && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
                    && !rest.is_empty()
                    && !part.contains(char::is_whitespace)
            })
        };
        let all_good = if self.many { words(&text).iter().all(|w| good(w)) } else { good(&text) };
        if all_good && !text.is_empty() {
            Ok(text)
        } else if self.many {
            Err("expected addresses such as http://10.0.0.1/, with commas between".into())
        } else {
            Err("expected an address such as http://10.0.0.1/".into())
        }
    }

    fn seconds(&self, text: &str) -> Result<String, String> {
        let parts: Option<Vec<u64>> = text.split(':').map(|part| part.parse().ok()).collect();
        let seconds = parts.filter(|parts| parts.len() <= 3).and_then(|parts| {
            parts.iter().try_fold(0_u64, |sum, part| sum.checked_mul(60)?.checked_add(*part))
        });
        match seconds {
            Some(seconds) if self.allows(seconds) => Ok(seconds.to_string()),
            Some(_) | None => Err(format!("expected seconds{}", self.bounds())),
        }
    }

    fn text(&self, text: String) -> Result<String, String> {
        if self.allows(text.chars().count() as u64) {
            Ok(text)
        } else {
            Err(format!("expected a text, its length{}", self.bounds()))
        }
    }

    fn allows(&self, value: u64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }

    fn bounds(&self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!(" from {min} to {max}"),
            (Some(min), None) => format!(" of {min} at least"),
            (None, Some(max)) => format!(" of {max} at most"),
            (None, None) => String::new(),
        }
    }

    /// How this value becomes an argument; none when it does not. A password goes by environment only, unless its
    /// header says otherwise: arguments can be read in lists of processes.
    pub fn argument_format(&self, value: &str) -> Option<String> {
        let usual = || match self.kind {
            Kind::Password => None,
            Kind::Storage => Some("--storage={path}".to_owned()),
            Kind::Interface => Some("--interface={name}".to_owned()),
            Kind::Url => Some("--url={input}".to_owned()),
            Kind::Runtime => Some("--runtime={input}".to_owned()),
            Kind::Boolean => Some(format!("--{}", self.name)),
            Kind::Text | Kind::Choice => Some(format!("--{}={{input}}", self.name)),
        };
        let off = self.kind == Kind::Boolean && value == "false";
        self.format.clone().or_else(usual).filter(|format| !off && !format.is_empty())
    }
}

fn bound(name: &str, key: &str, about: &Map<String, Value>) -> Result<Option<u64>, String> {
    match about.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(format!("`{name}`: {key} is not a whole number")),
        },
    }
}

/// A list of values, or of pairs of value and label.
fn choices(given: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let one = |value: &Value| match value {
        Value::Array(pair) => pair.first().and_then(text),
        other => text(other),
    };
    given.and_then(Value::as_array).map(|all| all.iter().filter_map(one).collect()).unwrap_or_default()
}

fn words(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// What a person gave for one script, each value as text that fits.
pub fn normal(metadata: &ScriptMetadata, given: &Map<String, Value>) -> Result<Map<String, Value>, Fault> {
    let all = declared(metadata)?;
    let mut normal = Map::new();
    for (name, value) in given {
        let Some(parameter) = all.iter().find(|p| p.name == *name) else {
            let names: Vec<_> = all.iter().map(|p| format!("`{}`", p.name)).collect();
            let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let message = format!("the script `{}` has no parameter `{name}`; it has {has}", metadata.name);
            return Err(Fault::of(name, message));
        };
        let text = parameter
            .normal(value)
            .map_err(|why| Fault::of(name, format!("`{name}` of the script `{}`: {why}", metadata.name)))?;
        normal.insert(name.clone(), text.into());
    }
    Ok(normal)
}

/// The values of a run: those given, else the defaults. Defaults of passwords are left to the header.
pub fn fill(metadata: &ScriptMetadata, given: &Map<String, Value>) -> Result<Map<String, Value>, Fault> {
    let mut values = Map::new();
    for parameter in declared(metadata)? {
        let given = given.get(&parameter.name).filter(|v| !v.is_null());
        match (given, parameter.default) {
            (Some(value), _) => {
                values.insert(parameter.name, value.clone());
            }
            (None, Some(default)) if parameter.kind != Kind::Password => {
                values.insert(parameter.name, default.into());
            }
            (None, None) if parameter.required => {
                let name = parameter.name;
                let message = format!("the script `{}` needs a value for `{name}`", metadata.name);
                return Err(Fault { name, message });
            }
            (None, _) => {}
        }
    }
    Ok(values)
}

/// Seconds until a run is killed; 0 means never. A script that was told to run longer than usual gets longer.
pub fn timeout(metadata: &ScriptMetadata, values: &Map<String, Value>) -> u64 {
    let usual = metadata.timeout_seconds;
    let runtime = declared(metadata).ok().and_then(|all| all.into_iter().find(|p| p.kind == Kind::Runtime));
    let Some(runtime) = runtime.filter(|_| usual > 0) else { return usual };
    let seconds = |text: Option<&str>| text.and_then(|t| t.parse::<u64>().ok());
    let told = seconds(values.get(&runtime.name).and_then(Value::as_str)).unwrap_or(0);
    match seconds(runtime.default.as_deref()).filter(|d| *d > 0) {
        Some(default) if told > default => usual.saturating_mul(told.div_ceil(default)),
        Some(_) => usual,
        None => usual.max(told.saturating_add(60)),
    }
}

#[cfg(test)]
mod tests;
