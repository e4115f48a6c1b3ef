//! One action on the machines that were chosen in the list. The first post shows what would happen; the second, with
//! `confirmed`, asks for it, and leads to the page that shows how far it is and what was refused and why. Machines do not wait for
//! one another: a refusal ends nothing.

use super::machine_action::erase_mode;
use super::{Shown, go, now, number};
use crate::error::PageError;
use crate::filter;
use crate::view::bulk::{Choices, PreviewPage, ResultPage, parse};
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_region::app::{App, Error, bulk, group, image, machine};
use rackwright_region::auth::Actor;
use rackwright_region::model::bulk::{BulkParameters, BulkVerb, NewBulk};
use rackwright_region::model::machine::{MachineQuery, MachineSummary};
use rackwright_region::model::network::GroupKind;
use rackwright_region::model::page::MAX_LIMIT;
use std::collections::BTreeSet;

/// Takes the list's form, and the preview's.
pub async fn act(State(app): State<App>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let name = fields.text("verb");
    let verb = parse(&name).ok_or_else(|| Error::invalid("verb", "choose what to do with the machines"))?;
    let machines = chosen(&app, &visitor.actor, &fields).await?;
    if machines.is_empty() {
        return Err(Error::invalid("machine", "choose one machine at least").into());
    }
    if fields.text("confirmed") == "yes" {
        begin(&app, &visitor.actor, verb, &machines, &fields).await
    } else {
        Ok(preview(&app, visitor, verb, &machines, &fields).await?.into_response())
    }
}

/// The machines whose boxes are ticked, or all that fit the filter. Read in whole pages, so that their number does not
/// matter much.
async fn chosen(app: &App, actor: &Actor, fields: &Fields) -> Result<Vec<MachineSummary>, Error> {
    let everything = fields.ticked("all");
    let names: BTreeSet<String> = fields.all("machine").into_iter().collect();
    if !everything && names.is_empty() {
        return Ok(Vec::new());
    }
    let filter = if everything { filter::parse(&fields.text("filter")) } else { MachineQuery::default() };
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query = MachineQuery { limit: Some(MAX_LIMIT), cursor, ..filter.clone() };
        let page = machine::list(app, actor, &query).await?;
        found.extend(page.items.into_iter().filter(|m| everything || names.contains(m.id.as_str())));
        cursor = page.next_cursor;
        if cursor.is_none() || (!everything && found.len() == names.len()) {
            return Ok(found);
        }
    }
}

async fn preview(
    app: &App,
    visitor: Visitor,
    verb: BulkVerb,
    machines: &[MachineSummary],
    fields: &Fields,
) -> Shown<PreviewPage> {
    let actor = &visitor.actor;
    let names =
        |groups: Vec<rackwright_region::model::network::Group>| groups.into_iter().map(|g| g.name).collect();
    let choices = Choices {
        images: &image::list(app, actor).await?.items,
        pools: names(group::list(app, actor, GroupKind::Pool).await?.items),
        zones: names(group::list(app, actor, GroupKind::Zone).await?.items),
    };
    let back = crate::view::machine_list::address("/machines", &filter::parse(&fields.text("filter")));
    Ok(PreviewPage::new(visitor.layout("Machines"), actor, verb, machines, &choices, back))
}

/// Asks for it. The action goes on by itself, also when the session ends.
async fn begin(
    app: &App,
    actor: &Actor,
    verb: BulkVerb,
    machines: &[MachineSummary],
    fields: &Fields,
) -> Result<Response, PageError> {
    let value = ["tag", "pool", "zone"].into_iter().find_map(|name| fields.filled(name));
    let parameters = BulkParameters {
        image: fields.filled("image"),
        erase: erase_mode(fields)?,
        no_tests: fields.ticked("no_tests"),
        message: fields.text("message").trim().to_owned(),
        value: value.unwrap_or_default().trim().to_owned(),
    };
    let machines = machines.iter().map(|m| m.id.clone()).collect();
    let made = bulk::create(app, actor, &NewBulk { verb, machines, parameters }).await?;
    Ok(go(&format!("/bulk/{}", made.id)))
}

/// How far an action is.
pub async fn show(State(app): State<App>, Path(id): Path<String>, visitor: Visitor) -> Shown<ResultPage> {
    let id = number("action", &id)?;
    let found = bulk::get(&app, &visitor.actor, id).await?;
    let machines = bulk::machines(&app, &visitor.actor, id).await?;
    Ok(ResultPage::new(visitor.layout("Machines"), &found, &machines, now()))
}

/// Ends an action before its next machine.
pub async fn stop(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Shown<Response> {
    let id = number("action", &id)?;
    bulk::stop(&app, &posted.visitor.actor, id).await?;
    Ok(go(&format!("/bulk/{id}")))
}
