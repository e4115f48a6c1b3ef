//! The list of machines.

use super::{Params, Shown, machine_id, now};
use crate::error::{describe, sentence};
use crate::filter;
use crate::view::machine_list::{Chips, MachineList, Row, Surroundings, Table};
use crate::visitor::Visitor;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_region::app::{self, App, Error};
use rackwright_region::model::machine::{MachineQuery, MachineSummary};
use rackwright_region::model::network::GroupKind;
use rackwright_region::model::{Page, Role};

/// The filters: what is typed into the box, and what a link adds.
fn query(params: &Params) -> MachineQuery {
    let typed = filter::parse(&params.get("q").unwrap_or_default());
    MachineQuery {
        status: params.get("status").or(typed.status),
        tag: params.get("tag").or(typed.tag),
        zone: params.get("zone").or(typed.zone),
        pool: params.get("pool").or(typed.pool),
        owner: params.get("owner").or(typed.owner),
        q: typed.q,
        sort: params.get("sort"),
        limit: None,
        cursor: params.get("cursor"),
    }
}

/// Whether somebody may do something with many machines.
fn picks(visitor: &Visitor) -> bool {
    visitor.actor.require_somewhere(Role::User).is_ok()
}

/// The page. A filter that cannot be comes back with the reason.
pub async fn show(State(app): State<App>, visitor: Visitor, params: Params) -> Shown<Response> {
    let (actor, query) = (&visitor.actor, query(&params));
    let found = app::machine::list(&app, actor, &query).await;
    let (page, refused) = match found {
        Ok(page) => (page, None),
        Err(error @ Error::Invalid { .. }) => (Page::<MachineSummary>::whole(Vec::new()), Some(error)),
        Err(error) => return Err(error.into()),
    };
    let status = app::controller::status(&app, actor).await?;
    let pools: Vec<_> =
        app::group::list(&app, actor, GroupKind::Pool).await?.items.into_iter().map(|g| g.name).collect();
    let zones: Vec<_> =
        app::group::list(&app, actor, GroupKind::Zone).await?.items.into_iter().map(|g| g.name).collect();
    let around = Surroundings { counts: &status.machines, pools: &pools, zones: &zones };
    let mut shown = MachineList::new(visitor.layout("Machines"), &page, &around, &query, now());
    let Some(error) = refused else { return Ok(shown.into_response()) };
    shown.problem = sentence(&error.to_string());
    Ok((describe(&error).0, shown).into_response())
}

/// The rows again.
pub async fn table(State(app): State<App>, visitor: Visitor, params: Params) -> Shown<Table> {
    let query = query(&params);
    let page = app::machine::list(&app, &visitor.actor, &query).await?;
    Ok(Table::new(&page, &query, picks(&visitor), now()))
}

/// The numbers again.
pub async fn chips(State(app): State<App>, visitor: Visitor, params: Params) -> Shown<Chips> {
    let status = app::controller::status(&app, &visitor.actor).await?;
    Ok(Chips::new(&status.machines, &query(&params)))
}

/// One row again.
pub async fn row(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<Row> {
    let machine = app::machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    Ok(Row::new(&machine.summary, picks(&visitor), now()))
}
