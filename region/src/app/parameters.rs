//! What a person gave for the parameters of scripts, checked before anything happens.

use super::{Error, Result};
use crate::db::machine::Machine;
use crate::model::script::Script;
use crate::scripts::parameters::{self, Fault, Kind};
use crate::secrets::MasterKey;
use rackwright_common::script::ScriptMetadata;
use serde_json::{Map, Value, json};

/// Script name to parameter name to value, each value as text that fits its declaration; passwords are sealed.
/// `scripts` are those of the run; `asked` says that a person named them.
pub(super) fn check(
    keys: &MasterKey,
    found: &Machine,
    scripts: &[Script],
    asked: bool,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>> {
    let scripts: Vec<&ScriptMetadata> = scripts.iter().map(|script| &script.metadata).collect();
    let keeps = asked && found.resting_status.keeps_system();
    if let Some(script) = scripts.iter().find(|s| s.destructive && keeps) {
        return Err(destroys(script, &found.hostname));
    }
    let by_script = sort(given, &scripts)?;
    let mut checked = Map::new();
    for script in scripts {
        let given = by_script.get(&script.name).and_then(Value::as_object).cloned().unwrap_or_default();
        let mut values = parameters::normal(script, &given).map_err(|f| fault(script, f))?;
        if let Some(inventory) = &found.inventory {
            parameters::unknown_target(script, &values, inventory).map_err(|f| fault(script, f))?;
        }
        parameters::fill(script, &values).map_err(|f| fault(script, f))?;
        seal(keys, script, &mut values).map_err(|f| fault(script, f))?;
        if !values.is_empty() {
            checked.insert(script.name.clone(), values.into());
        }
    }
    Ok(checked)
}

/// Of the default set such scripts are left out; one that was asked for is refused.
fn destroys(script: &ScriptMetadata, hostname: &str) -> Error {
    Error::Conflict {
        field: Some("scripts"),
        message: format!(
            "the script `{}` destroys what is on the disks, and {hostname} keeps a system on them; release it first",
            script.name
        ),
    }
}

fn fault(script: &ScriptMetadata, fault: Fault) -> Error {
    Error::invalid(format!("parameters.{}.{}", script.name, fault.name), fault.message)
}

/// Values by script: those given for one script, and those given for every script that has such a parameter.
fn sort(given: &Map<String, Value>, scripts: &[&ScriptMetadata]) -> Result<Map<String, Value>> {
    let mut sorted: Map<String, Value> = Map::new();
    let mut put = |script: &str, name: &str, value: &Value| {
        if let Value::Object(values) = sorted.entry(script).or_insert_with(|| json!({})) {
            values.insert(name.to_owned(), value.clone());
        }
    };
    let (own, common): (Vec<_>, Vec<_>) = given.iter().partition(|(_, value)| value.is_object());
    for (name, value) in common {
        let takers: Vec<_> = scripts.iter().filter(|s| s.parameters.contains_key(name)).collect();
        if takers.is_empty() {
            return Err(Error::invalid(format!("parameters.{name}"), nobody_takes(name, scripts)));
        }
        takers.iter().for_each(|script| put(&script.name, name, value));
    }
    for (script, values) in own {
        if !scripts.iter().any(|s| s.name == *script) {
            let names: Vec<_> = scripts.iter().map(|s| s.name.as_str()).collect();
            let message = format!("`{script}` is not among the scripts of this run: {}", names.join(", "));
            return Err(Error::invalid(format!("parameters.{script}"), message));
        }
        values.as_object().into_iter().flatten().for_each(|(name, value)| put(script, name, value));
    }
    Ok(sorted)
}

fn nobody_takes(name: &str, scripts: &[&ScriptMetadata]) -> String {
    let has = |s: &&ScriptMetadata| {
        let names: Vec<_> = s.parameters.keys().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("{} has {}", s.name, names.join(", ")))
    };
    let all: Vec<_> = scripts.iter().filter_map(has).collect();
    let all = if all.is_empty() { "they have none".to_owned() } else { all.join("; ") };
    format!("no script of this run has a parameter `{name}`: {all}")
}

/// What is stored with operation and run must not be readable there.
fn seal(
    keys: &MasterKey,
    script: &ScriptMetadata,
    values: &mut Map<String, Value>,
) -> std::result::Result<(), Fault> {
    for parameter in parameters::declared(script)?.into_iter().filter(|p| p.kind == Kind::Password) {
        if let Some(value) = values.get_mut(&parameter.name)
            && let Some(text) = value.as_str()
        {
            *value = json!({ "sealed": hex::encode(keys.seal(text.as_bytes())) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(name: &str, parameters: Value) -> ScriptMetadata {
        let parameters = serde_json::from_value(parameters).unwrap();
        ScriptMetadata { name: name.into(), parameters, ..ScriptMetadata::default() }
    }

    #[test]
    fn a_bare_name_is_for_every_script_that_has_it_and_a_script_s_own_value_wins() {
        let runtime = json!({ "runtime": { "type": "runtime" } });
        let scripts = [script("a", runtime.clone()), script("b", runtime), script("c", json!({}))];
        let scripts: Vec<_> = scripts.iter().collect();
        let given = json!({ "runtime": 5, "b": { "runtime": 9 } });
        let sorted = sort(given.as_object().unwrap(), &scripts).unwrap();
        assert_eq!(Value::from(sorted), json!({ "a": { "runtime": 5 }, "b": { "runtime": 9 } }));
        let wrong = json!({ "speed": 5 });
        let wrong = sort(wrong.as_object().unwrap(), &scripts).unwrap_err().to_string();
        assert_eq!(wrong, "no script of this run has a parameter `speed`: a has runtime; b has runtime");
        let wrong = json!({ "d": {} });
        let wrong = sort(wrong.as_object().unwrap(), &scripts).unwrap_err().to_string();
        assert_eq!(wrong, "`d` is not among the scripts of this run: a, b, c");
    }

    #[test]
    fn a_password_is_stored_sealed() {
        let keys = MasterKey::from_bytes([7; 32]);
        let script = script("a", json!({ "key": { "type": "password" } }));
        let mut values = json!({ "key": "hunter2" }).as_object().unwrap().clone();
        seal(&keys, &script, &mut values).unwrap();
        let sealed = hex::decode(values["key"]["sealed"].as_str().unwrap()).unwrap();
        assert_eq!(keys.open(&sealed).unwrap().expose(), b"hunter2");
    }
}
