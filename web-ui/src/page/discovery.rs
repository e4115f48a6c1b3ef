//! Discoveries.

use super::{Params, Shown, go, now, number};
use crate::view::discovery::DiscoveriesPage;
use crate::visitor::{Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::Response;
use rackwright_region::app::{App, Error, discovery};
use rackwright_region::model::discovery::{Adoption, DiscoveryQuery};

/// The list.
pub async fn list(State(app): State<App>, visitor: Visitor, params: Params) -> Shown<DiscoveriesPage> {
    let all = params.parsed("all").unwrap_or(false);
    let query =
        DiscoveryQuery { all, subnet: params.parsed("subnet"), limit: None, cursor: params.get("cursor") };
    let found = discovery::list(&app, &visitor.actor, &query).await?;
    let faults = discovery::wiring_faults(&app, &visitor.actor, None).await?;
    Ok(DiscoveriesPage::new(visitor.layout("Discovery"), &found, all, &faults.items, now()))
}

/// Makes something of one.
pub async fn act(
    State(app): State<App>,
    Path((id, verb)): Path<(String, String)>,
    posted: Posted,
) -> Shown<Response> {
    let (id, actor) = (number("discovery", &id)?, &posted.visitor.actor);
    match verb.as_str() {
        "machine" => {
            let made = discovery::to_machine(&app, actor, id, &Adoption::default()).await?;
            return Ok(go(&format!("/machines/{}", made.summary.id)));
        }
        "reservation" => drop(discovery::to_reservation(&app, actor, id, &Adoption::default()).await?),
        "ignore" => discovery::set_ignored(&app, actor, id, true).await?,
        "heed" => discovery::set_ignored(&app, actor, id, false).await?,
        _ => return Err(Error::not_found("action", verb).into()),
    }
    Ok(go("/discoveries"))
}
