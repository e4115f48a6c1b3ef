//! Networks.

use super::{Shown, now};
use crate::view::network::{NetworksPage, Sources};
use crate::view::network_map::{Inhabitants, NetworkMap};
use crate::visitor::Visitor;
use axum::extract::State;
use rackwright_region::app::{App, Error, controller, discovery, machine, network, space, subnet};
use rackwright_region::auth::Actor;
use rackwright_region::model::discovery::DiscoveryQuery;
use rackwright_region::model::machine::MachineQuery;
use rackwright_region::model::page::MAX_LIMIT;

/// The list.
pub async fn list(State(app): State<App>, visitor: Visitor) -> Shown<NetworksPage> {
    let actor = &visitor.actor;
    let mut sources = Sources {
        fabrics: network::fabrics(&app, actor).await?.items,
        vlans: network::vlans(&app, actor).await?.items,
        spaces: space::list(&app, actor).await?.items,
        ranges: subnet::ip_ranges(&app, actor, None).await?.items,
        reservations: subnet::reservations(&app, actor, None).await?.items,
        leases: network::leases(&app, actor, None).await?.items,
        ..Sources::default()
    };
    for found in subnet::list(&app, actor).await?.items {
        let used = subnet::utilisation(&app, actor, found.id).await?;
        sources.subnets.push((found, used));
    }
    let mut page = NetworksPage::new(visitor.layout("Networks"), &sources, now());
    page.pictures = NetworkMap::new(&sources, &inhabitants(&app, actor).await?);
    Ok(page)
}

/// Who is on the networks, for the pictures: a thousand of each at most.
async fn inhabitants(app: &App, actor: &Actor) -> Result<Inhabitants, Error> {
    let most = Some(MAX_LIMIT);
    let machines = MachineQuery { limit: most, ..MachineQuery::default() };
    let unknown = DiscoveryQuery { limit: most, ..DiscoveryQuery::default() };
    Ok(Inhabitants {
        racks: controller::racks(app, actor).await?.items,
        machines: machine::list(app, actor, &machines).await?.items,
        unknown: discovery::list(app, actor, &unknown).await?.items,
    })
}
