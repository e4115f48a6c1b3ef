//! The site's settings: a form for administrators, a table for everybody else.

use super::Layout;
use super::form::{Field, Form};
use crate::command;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::Role;
use rackwright_region::model::image::{Image, ImagePurpose};
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
    /// Changes them, for administrators.
    pub form: Option<Form>,
    /// Software version.
    pub version: &'static str,
}

impl SettingsPage {
    /// Of all settings; images to choose the default one from.
    pub fn new(layout: Layout, settings: &Settings, images: &[Image]) -> Self {
        let defaults = Settings::default().to_map();
        let row = |(name, value): (String, Value)| {
            let changed = defaults.get(&name) != Some(&value);
            (name, text(&value, ", "), changed)
        };
        Self {
            form: (layout.role >= Role::Administrator).then(|| form(&layout.csrf, settings, images)),
            layout,
            rows: settings.to_map().into_iter().map(row).collect(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn text(value: &Value, between: &str) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(|item| text(item, between)).collect::<Vec<_>>().join(between),
        other => other.to_string(),
    }
}

/// A setting that is a list of words.
pub const LISTS: [&str; 3] = ["default_tests", "upstream_dns", "ntp_servers"];
/// A setting that is yes or no.
pub const SWITCHES: [&str; 5] =
    ["enlist", "auto_commission", "router_advertisements", "record_consoles", "ntp_local_reference"];

fn form(csrf: &str, s: &Settings, images: &[Image]) -> Form {
    let map = s.to_map();
    let words = |name: &str| map.get(name).map(|value| text(value, " ")).unwrap_or_default();
    let mut systems = vec![(String::new(), "none: every deployment names one".to_owned())];
    for image in images.iter().filter(|i| i.kind == ImagePurpose::Os) {
        if !systems.iter().any(|(name, _)| *name == image.name) {
            systems.push((
                image.name.clone(),
                super::joined([Some(image.name.as_str()), Some(&image.title)], " — "),
            ));
        }
    }
    let erase = [
        ("none", "none: data stays readable on them"),
        ("quick", "quick: signatures and partition tables"),
        ("full", "full: every sector"),
    ];
    let erase = erase.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let fields = vec![
        Field::check("enlist", "Enlist machines that nobody knows when they boot from the network", s.enlist),
        Field::check("auto_commission", "Commission a machine as soon as it is enlisted", s.auto_commission),
        Field::text("default_tests", "Tests that run when nobody names others", words("default_tests"))
            .hint("names of scripts, separated by spaces"),
        Field::choice(
            "default_image",
            "Image that a deployment gets when it names none",
            systems,
            words("default_image"),
        ),
        Field::choice(
            "default_erase",
            "How disks are erased when a release does not say",
            erase,
            words("default_erase"),
        ),
        Field::text(
            "ephemeral_kernel_arguments",
            "Kernel arguments of the ephemeral environment",
            &*s.ephemeral_kernel_arguments,
        )
        .hint("such as console=ttyS0"),
        Field::text(
            "installed_kernel_arguments",
            "Kernel arguments of installed systems",
            &*s.installed_kernel_arguments,
        ),
        Field::text("upstream_dns", "Name servers that racks pass questions on to", words("upstream_dns"))
            .hint("addresses, separated by spaces"),
        Field::text("ntp_servers", "Time servers", words("ntp_servers"))
            .hint("names or addresses, separated by spaces"),
        Field::check(
            "ntp_local_reference",
            "While no time server has given the time, the controllers' own clocks count",
            s.ntp_local_reference,
        ),
        Field::check(
            "router_advertisements",
            "Racks answer router solicitations, which saves old iPXE 13 s where no router does",
            s.router_advertisements,
        ),
        Field::check(
            "record_consoles",
            "Racks record a machine's serial console through its BMC while an operation works on it",
            s.record_consoles,
        ),
    ];
    Form::new("settings", "/settings", csrf, fields).command(command::SETTINGS_SET, Vec::new())
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
        let layout = Layout { role: Role::Administrator, ..Layout::sample("Settings") };
        Self::new(layout, &settings, &[super::sample::image()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_field() {
        let page = SettingsPage::sample();
        let fields: Vec<_> = page.form.unwrap().fields.iter().map(|f| f.name.to_owned()).collect();
        for (name, ..) in page.rows {
            assert!(fields.contains(&name), "{name} cannot be changed here");
        }
        for name in LISTS.into_iter().chain(SWITCHES) {
            assert!(fields.iter().any(|f| f == name), "{name} is no setting");
        }
    }

    #[test]
    fn those_who_may_not_change_them_see_a_table() {
        let page = SettingsPage::new(Layout::sample("Settings"), &Settings::default(), &[]);
        assert!(page.form.is_none());
        assert!(page.to_string().contains("<code>enlist</code>"));
    }
}
