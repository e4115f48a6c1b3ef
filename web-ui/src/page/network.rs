//! Networks.

use super::{Shown, now};
use crate::view::network::{NetworksPage, Sources};
use crate::visitor::Visitor;
use axum::extract::State;
use rackwright_region::app::{App, network, subnet};

/// The list.
pub async fn list(State(app): State<App>, visitor: Visitor) -> Shown<NetworksPage> {
    let actor = &visitor.actor;
    let mut sources = Sources {
        fabrics: network::fabrics(&app, actor).await?.items,
        vlans: network::vlans(&app, actor).await?.items,
        ranges: subnet::ip_ranges(&app, actor, None).await?.items,
        reservations: subnet::reservations(&app, actor, None).await?.items,
        leases: network::leases(&app, actor, None).await?.items,
        ..Sources::default()
    };
    for found in subnet::list(&app, actor).await?.items {
        let used = subnet::utilisation(&app, actor, found.id).await?;
        sources.subnets.push((found, used));
    }
    Ok(NetworksPage::new(visitor.layout("Networks"), &sources, now()))
}
