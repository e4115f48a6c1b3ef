//! The list of machines.

use super::{Params, Shown, machine_id, now};
use crate::view::machine_list::{Chips, MachineList, Row, Table};
use crate::visitor::Visitor;
use axum::extract::{Path, State};
use rackwright_region::app::{self, App};
use rackwright_region::model::machine::MachineQuery;

fn query(params: &Params) -> MachineQuery {
    MachineQuery {
        status: params.get("status"),
        tag: params.get("tag"),
        zone: params.get("zone"),
        pool: params.get("pool"),
        owner: params.get("owner"),
        q: params.get("q"),
        limit: None,
        cursor: params.get("cursor"),
    }
}

/// The page.
pub async fn show(State(app): State<App>, visitor: Visitor, params: Params) -> Shown<MachineList> {
    let query = query(&params);
    let page = app::machine::list(&app, &visitor.actor, &query).await?;
    let status = app::controller::status(&app, &visitor.actor).await?;
    Ok(MachineList::new(visitor.layout("Machines"), &page, &status.machines, &query, now()))
}

/// The rows again.
pub async fn table(State(app): State<App>, visitor: Visitor, params: Params) -> Shown<Table> {
    let query = query(&params);
    let page = app::machine::list(&app, &visitor.actor, &query).await?;
    Ok(Table::new(&page, &query, now()))
}

/// The numbers again.
pub async fn chips(State(app): State<App>, visitor: Visitor, params: Params) -> Shown<Chips> {
    let status = app::controller::status(&app, &visitor.actor).await?;
    Ok(Chips::new(&status.machines, &query(&params)))
}

/// One row again.
pub async fn row(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<Row> {
    let machine = app::machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    Ok(Row::new(&machine.summary, now()))
}
