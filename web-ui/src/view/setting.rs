//! The site's settings, to read. Changing them is the command line's.

use super::Layout;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::setting::Settings;
use serde_json::Value;

/// A setting: name, value, and whether it differs from its default.
pub type Row = (String, String, bool);

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "settings.html")]
pub struct SettingsPage {
    /// Around it.
    pub layout: Layout,
    /// By name.
    pub rows: Vec<Row>,
    /// Software version.
    pub version: &'static str,
}

impl SettingsPage {
    /// Of all settings.
    pub fn new(layout: Layout, settings: &Settings) -> Self {
        let defaults = Settings::default().to_map();
        let row = |(name, value): (String, Value)| {
            let changed = defaults.get(&name) != Some(&value);
            (name, text(&value), changed)
        };
        Self {
            layout,
            rows: settings.to_map().into_iter().map(row).collect(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
impl SettingsPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let settings = Settings {
            enlist: false,
            ephemeral_kernel_arguments: "<script>alert(1)</script>".into(),
            ..Settings::default()
        };
        Self::new(Layout::sample("Settings"), &settings)
    }
}
