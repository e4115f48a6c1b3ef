//! Settings.

use super::Shown;
use crate::view::setting::SettingsPage;
use crate::visitor::Visitor;
use axum::extract::State;
use rackwright_region::app::{self, App};

/// The list.
pub async fn list(State(app): State<App>, visitor: Visitor) -> Shown<SettingsPage> {
    let settings = app::setting::get(&app, &visitor.actor).await?;
    Ok(SettingsPage::new(visitor.layout("Settings"), &settings))
}
