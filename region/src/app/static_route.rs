//! Static routes.

use super::{App, Change, Describe, Error, Result, audit, json};
use crate::auth::Actor;
use crate::db;
use crate::model::static_route::{NewStaticRoute, StaticRoute};
use crate::model::{Page, Role};

/// Routes; of one subnet when given.
pub async fn list(app: &App, actor: &Actor, subnet: Option<i64>) -> Result<Page<StaticRoute>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::static_route::list(&mut *app.read().await?, subnet).await?))
}

/// Makes a route.
pub async fn create(app: &App, actor: &Actor, new: &NewStaticRoute) -> Result<StaticRoute> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let subnet = db::subnet::get(&mut tx, new.subnet).await.or_not_found("subnet", new.subnet)?;
    if new.destination.trunc() != new.destination {
        return Err(Error::invalid(
            "destination",
            format!("{} has host bits; the network is {}", new.destination, new.destination.trunc()),
        ));
    }
    if new.destination.prefix_len() == 0 {
        return Err(Error::invalid("destination", "the default route is the subnet's gateway"));
    }
    if subnet.cidr.contains(&new.destination) {
        return Err(Error::invalid(
            "destination",
            format!("{} lies in {}, which needs no route", new.destination, subnet.cidr),
        ));
    }
    if !subnet.cidr.contains(&new.gateway) {
        return Err(Error::invalid("gateway", format!("{} does not lie in {}", new.gateway, subnet.cidr)));
    }
    let id = db::static_route::insert(&mut tx, new).await?;
    let route = StaticRoute {
        id,
        subnet: new.subnet,
        destination: new.destination,
        gateway: new.gateway,
        metric: new.metric,
    };
    let change = Change {
        kind: "static-route.created",
        message: format!("The route from {} to {} by {} was made", subnet.cidr, new.destination, new.gateway),
        after: json(&route),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(route)
}

/// Removes a route. Machines that are deployed keep it until they are deployed again.
pub async fn delete(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    if !db::static_route::delete(&mut tx, id).await? {
        return Err(Error::not_found("route", id));
    }
    let message = format!("The route {id} was removed");
    audit(&mut tx, actor, Change { kind: "static-route.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}
