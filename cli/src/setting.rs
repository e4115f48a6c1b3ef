//! `rackwright setting …`

use crate::console::Console;
use anyhow::{Result, bail};
use rackwright_region::model::setting::Settings;
use serde_json::{Map, Value};

/// What can be done with settings.
#[derive(Debug, clap::Subcommand)]
pub enum SettingCommand {
    /// Show all settings.
    #[command(visible_alias = "list")]
    Show,
    /// Change settings, such as `setting set enlist false`; several are changed together or not at all.
    Set {
        /// Names, each with its value: JSON, or plain text; several words or commas make a list where a list is wanted.
        #[arg(required = true, num_args = 2.., value_names = ["NAME", "VALUE"])]
        pairs: Vec<String>,
    },
}

impl SettingCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        let settings: Settings = match self {
            Self::Show => console.client.get("/settings").await?,
            Self::Set { pairs } => {
                let (pairs, rest) = pairs.as_chunks::<2>();
                if let [name] = rest {
                    bail!("`{name}` has no value");
                }
                let changes = pairs.iter().map(|[name, value]| (name.clone(), parse(name, value)));
                console.client.patch("/settings", &Map::from_iter(changes)).await?
            }
        };
        console.show(&settings, |s| {
            let line = |(name, value): (String, Value)| format!("{name:28} {}\n", plain(&value));
            s.to_map().into_iter().map(line).collect()
        })
    }
}

/// What a typed value means for a setting, by the kind of its default.
fn parse(name: &str, text: &str) -> Value {
    let kind = Settings::default().to_map().remove(name).unwrap_or_default();
    match kind {
        Value::Array(_) if !text.starts_with('[') => {
            text.split([',', ' ']).filter(|w| !w.is_empty()).map(Value::from).collect()
        }
        Value::String(_) => text.trim_matches('"').into(),
        Value::Null if text == "null" || text.is_empty() => Value::Null,
        Value::Null => text.into(),
        _ => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_typed_as_people_write_them() {
        assert_eq!(parse("enlist", "false"), json!(false));
        assert_eq!(parse("default_tests", "cpu-quick,disk-quick"), json!(["cpu-quick", "disk-quick"]));
        assert_eq!(parse("default_tests", "[]"), json!([]));
        assert_eq!(
            parse("ephemeral_kernel_arguments", "console=ttyS0,115200 quiet"),
            json!("console=ttyS0,115200 quiet")
        );
        assert_eq!(parse("default_image", "debian-12"), json!("debian-12"));
        assert_eq!(parse("default_image", "null"), Value::Null);
        assert_eq!(parse("default_erase", "quick"), json!("quick"));
    }
}
