//! Images.

use super::{Shown, now};
use crate::view::image::ImagesPage;
use crate::visitor::Visitor;
use axum::extract::State;
use rackwright_region::app::{self, App};

/// The list.
pub async fn list(State(app): State<App>, visitor: Visitor) -> Shown<ImagesPage> {
    let images = app::image::list(&app, &visitor.actor).await?;
    Ok(ImagesPage::new(visitor.layout("Images"), &images.items, now()))
}
