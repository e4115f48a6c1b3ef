//! Regions and racks.

use super::{Shown, now};
use crate::view::controller::ControllersPage;
use crate::visitor::Visitor;
use axum::extract::State;
use rackwright_region::app::{self, App};

/// The list.
pub async fn list(State(app): State<App>, visitor: Visitor) -> Shown<ControllersPage> {
    let status = app::controller::status(&app, &visitor.actor).await?;
    Ok(ControllersPage::new(visitor.layout("Controllers"), &status, now()))
}
