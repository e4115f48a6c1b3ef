//! The first hour.

use super::Shown;
use crate::view::start::{Sources, StartPage};
use crate::visitor::Visitor;
use axum::extract::State;
use rackwright_region::app::{self, App};

/// The page. What it reads does not grow with the number of machines.
pub async fn show(State(app): State<App>, visitor: Visitor) -> Shown<StartPage> {
    let actor = &visitor.actor;
    let status = app::controller::status(&app, actor).await?;
    let sources = Sources {
        status: &status,
        vlans: &app::network::vlans(&app, actor).await?.items,
        subnets: &app::subnet::list(&app, actor).await?.items,
        ranges: &app::subnet::ip_ranges(&app, actor, None).await?.items,
        images: &app::image::list(&app, actor).await?.items,
        default_image: app::setting::get(&app, actor).await?.default_image,
        keys: app::user::ssh_keys(&app, actor).await?.items.len(),
    };
    Ok(StartPage::new(visitor.layout("Overview"), &sources))
}
