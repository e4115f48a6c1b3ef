//! Which scripts a run has: those that were named, else the site's default.
//!
//! As in MAAS, a word is a script's name or a tag, scripts of another type are not meant by it, and without words a
//! commissioning runs all commissioning scripts but those tagged `noauto` and those for other hardware. One that is
//! named runs on any hardware.

use crate::db::{DbError, script, setting};
use crate::model::script::Script;
use rackwright_common::inventory::Inventory;
use rackwright_common::script::ScriptType;
use sqlx::PgConnection;

/// Keeps a script out of the default run.
const NOAUTO: &str = "noauto";

/// The commissioning scripts that `words` mean; without words, all that are meant for the machine.
pub async fn commissioning(
    conn: &mut PgConnection,
    words: Option<&[String]>,
    inventory: Option<&Inventory>,
) -> Result<Vec<Script>, DbError> {
    let mut scripts = of_type(conn, ScriptType::Commissioning).await?;
    if let Some(words) = words {
        return Ok(meant(&scripts, words));
    }
    scripts.retain(|script| !script.has_tag(NOAUTO) && fits(&script.metadata.for_hardware, inventory));
    Ok(scripts)
}

/// The tests that `words` mean; without words, those of the site's setting.
pub async fn tests(conn: &mut PgConnection, words: Option<&[String]>) -> Result<Vec<Script>, DbError> {
    let scripts = of_type(conn, ScriptType::Testing).await?;
    Ok(match words {
        Some(words) => meant(&scripts, words),
        None => meant(&scripts, &setting::load(conn).await?.default_tests),
    })
}

fn meant(scripts: &[Script], words: &[String]) -> Vec<Script> {
    let is_meant = |script: &&Script| words.iter().any(|word| script.is_meant_by(word, scripts));
    scripts.iter().filter(is_meant).cloned().collect()
}

/// The first word that means no script of a type.
pub async fn unknown<'a>(
    conn: &mut PgConnection,
    script_type: ScriptType,
    words: &'a [String],
) -> Result<Option<&'a str>, DbError> {
    let scripts = of_type(conn, script_type).await?;
    let means_none = |word: &&String| !scripts.iter().any(|script| script.is_meant_by(word, &scripts));
    Ok(words.iter().find(means_none).map(String::as_str))
}

async fn of_type(conn: &mut PgConnection, script_type: ScriptType) -> Result<Vec<Script>, DbError> {
    let mut scripts = script::list(conn).await?;
    scripts.retain(|script| script.metadata.script_type == script_type);
    Ok(scripts)
}

/// Whether one of a header's `for_hardware` conditions holds; they are alternatives. `modalias:`, `usb:` and
/// `mainboard_…:` are about what the inventory does not have: they hold for no machine.
fn fits(conditions: &[String], inventory: Option<&Inventory>) -> bool {
    conditions.is_empty() || inventory.is_some_and(|i| conditions.iter().any(|c| holds(c, i)))
}

fn holds(condition: &str, inventory: &Inventory) -> bool {
    let Some((what, wanted)) = condition.split_once(':') else { return false };
    let is = |found: &Option<String>| {
        found.as_deref().is_some_and(|found| found.trim().eq_ignore_ascii_case(wanted.trim()))
    };
    match what {
        "system_vendor" => is(&inventory.system.vendor),
        "system_product" => is(&inventory.system.product),
        "system_version" => is(&inventory.system.version),
        "pci" => wanted.split_once(':').is_some_and(|(vendor, device)| {
            let same = |found: &str, wanted: &str| found.eq_ignore_ascii_case(wanted);
            inventory.pci.iter().any(|p| same(&p.vendor, vendor) && same(&p.device, device))
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_for_some_hardware_is_for_that_only() {
        let inventory: Inventory = serde_json::from_value(serde_json::json!({
            "system": { "vendor": "Lab ", "product": "Guest 1" },
            "pci": [{ "address": "0000:00:02.0", "vendor": "8086", "device": "10d3", "class": "020000" }],
        }))
        .unwrap();
        let fit = |conditions: &[&str]| {
            fits(&conditions.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>(), Some(&inventory))
        };
        assert!(fit(&[]) && fit(&["system_vendor:LAB"]) && fit(&["pci:8086:10D3"]));
        assert!(fit(&["system_product:Other", "system_product:Guest 1"]), "one of them is enough");
        for other in
            ["system_vendor:Labs", "pci:8086:10d4", "system_version:2", "modalias:pci:*", "usb:1:2", "x"]
        {
            assert!(!fit(&[other]), "{other}");
        }
        assert!(!fits(&["system_vendor:Lab".into()], None), "what nobody knows is not it");
    }
}
