//! Settings. Only what was changed in the form is changed, so that two administrators do not undo one another.

use super::{Shown, go};
use crate::error::{describe, log};
use crate::view::setting::{LISTS, SWITCHES, SettingsPage};
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use rackwright_region::app::{self, App};
use serde_json::{Map, Value};

/// The page.
pub async fn list(State(app): State<App>, visitor: Visitor) -> Shown<SettingsPage> {
    page(&app, &visitor).await
}

async fn page(app: &App, visitor: &Visitor) -> Shown<SettingsPage> {
    let settings = app::setting::get(app, &visitor.actor).await?;
    let images = app::image::list(app, &visitor.actor).await?;
    Ok(SettingsPage::new(visitor.layout("Settings"), &settings, &images.items))
}

/// Takes the form.
pub async fn save(State(app): State<App>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let Err(error) = app::setting::update(&app, &visitor.actor, &changes(&fields)).await else {
        return Ok(go("/settings"));
    };
    log(&error);
    let mut page = page(&app, &visitor).await?;
    match &mut page.form {
        Some(form) => *form = form.clone().refused(&fields, &error),
        None => return Err(error.into()),
    }
    Ok((describe(&error).0, page).into_response())
}

/// What differs from what the form was made with.
fn changes(fields: &Fields) -> Map<String, Value> {
    let words =
        |text: &str| text.split([' ', ',', '\n', '\t']).filter(|w| !w.is_empty()).map(Value::from).collect();
    let value = |name: &str| {
        let text = fields.text(name).trim().to_owned();
        if SWITCHES.contains(&name) {
            fields.ticked(name).into()
        } else if LISTS.contains(&name) {
            Value::Array(words(&text))
        } else if name == "default_image" && text.is_empty() {
            Value::Null
        } else {
            text.into()
        }
    };
    let changed = fields.names().filter_map(|name| name.strip_prefix("was-"));
    let changed = changed.filter(|name| fields.text(name) != fields.text(&format!("was-{name}")));
    changed.map(|name| (name.to_owned(), value(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_changed_is_sent_in_its_own_form() {
        let pairs = [
            ("csrf", "x"),
            ("was-enlist", "on"),
            ("was-auto_commission", "on"),
            ("auto_commission", "on"),
            ("default_tests", "cpu-quick, disk-quick"),
            ("was-default_tests", "cpu-quick"),
            ("default_image", ""),
            ("was-default_image", "debian-12"),
            ("ntp_servers", "a b"),
            ("was-ntp_servers", "a b"),
            ("ephemeral_kernel_arguments", "console=ttyS0"),
            ("was-ephemeral_kernel_arguments", ""),
        ];
        let fields: Fields = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let seen = Value::Object(changes(&fields));
        let expected = json!({ "enlist": false, "default_tests": ["cpu-quick", "disk-quick"], "default_image": null,
                               "ephemeral_kernel_arguments": "console=ttyS0" });
        assert_eq!(seen, expected);
    }
}
