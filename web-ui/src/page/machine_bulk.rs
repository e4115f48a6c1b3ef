//! One action on the machines that were chosen in the list. The first post shows what would happen; the second, with
//! `confirmed`, does it, machine by machine, and shows what was refused and why. Machines do not wait for one another:
//! a refusal ends nothing.

use super::machine_action::erase_mode;
use super::{Shown, now};
use crate::error::{PageError, log, sentence};
use crate::filter;
use crate::view::bulk::{Choices, Item, PreviewPage, ResultPage, Verb};
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use rackwright_common::bmc::BmcAction;
use rackwright_region::app::{App, Error, group, image, machine, machine_action as action};
use rackwright_region::auth::Actor;
use rackwright_region::model::action::{
    CommissionRequest, DeployRequest, PowerRequest, ReasonRequest, ReleaseRequest, TestRequest,
};
use rackwright_region::model::machine::{MachinePatch, MachineQuery, MachineSummary};
use rackwright_region::model::network::GroupKind;
use rackwright_region::model::page::MAX_LIMIT;
use std::collections::BTreeSet;

/// Takes the list's form, and the preview's.
pub async fn act(State(app): State<App>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let name = fields.text("verb");
    let verb =
        Verb::parse(&name).ok_or_else(|| Error::invalid("verb", "choose what to do with the machines"))?;
    let machines = chosen(&app, &visitor.actor, &fields).await?;
    if machines.is_empty() {
        return Err(Error::invalid("machine", "choose one machine at least").into());
    }
    if fields.text("confirmed") == "yes" {
        Ok(done(&app, visitor, verb, &machines, &fields).await?.into_response())
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
    verb: Verb,
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

async fn done(
    app: &App,
    visitor: Visitor,
    verb: Verb,
    machines: &[MachineSummary],
    fields: &Fields,
) -> Result<ResultPage, PageError> {
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for m in machines {
        match carry_out(app, &visitor.actor, verb, m, fields).await {
            Ok(()) => taken.push(("machine".to_owned(), m.id.to_string())),
            Err(error) => {
                log(&error);
                refused.push((Item::new(m), sentence(&error.to_string())));
            }
        }
    }
    // As they are now; those that were removed are there no more.
    let taken: Fields = taken.into_iter().collect();
    let shown = chosen(app, &visitor.actor, &taken).await?;
    Ok(ResultPage::new(visitor.layout("Machines"), verb, &shown, refused, now()))
}

async fn carry_out(
    app: &App,
    actor: &Actor,
    verb: Verb,
    m: &MachineSummary,
    fields: &Fields,
) -> Result<(), Error> {
    let id = &m.id;
    let reason = || ReasonRequest { message: fields.text("message").trim().to_owned() };
    let power = |action| PowerRequest { action };
    match verb {
        Verb::Deploy => {
            let request = DeployRequest {
                image: fields.filled("image"),
                layout: None,
                user_data: None,
                ssh_keys: Vec::new(),
            };
            action::deploy(app, actor, id, request).await.map(drop)
        }
        Verb::Commission => {
            let tests = fields.ticked("no_tests").then(Vec::new);
            let request = CommissionRequest { tests, ..CommissionRequest::default() };
            action::commission(app, actor, id, request).await.map(drop)
        }
        Verb::Test => action::test(app, actor, id, TestRequest::default()).await.map(drop),
        Verb::Release => {
            let request = ReleaseRequest { erase: erase_mode(fields)? };
            action::release(app, actor, id, request).await.map(drop)
        }
        Verb::Allocate => action::allocate(app, actor, id).await.map(drop),
        Verb::Abort => action::abort(app, actor, id).await.map(drop),
        Verb::PowerOn => action::power(app, actor, id, power(BmcAction::On)).await.map(drop),
        Verb::PowerOff => action::power(app, actor, id, power(BmcAction::Off)).await.map(drop),
        Verb::Lock => action::set_locked(app, actor, id, true).await.map(drop),
        Verb::Unlock => action::set_locked(app, actor, id, false).await.map(drop),
        Verb::MarkBroken => action::mark_broken(app, actor, id, reason()).await.map(drop),
        Verb::MarkFixed => action::mark_fixed(app, actor, id, reason()).await.map(drop),
        Verb::Override => action::override_failed_tests(app, actor, id, reason()).await.map(drop),
        Verb::Delete => machine::delete(app, actor, id, false).await,
        Verb::AddTag | Verb::RemoveTag | Verb::SetPool | Verb::SetZone => {
            let patch = patch(verb, m, fields);
            machine::update(app, actor, id, Some(m.version), &patch).await.map(drop)
        }
    }
}

/// What changes on a machine.
fn patch(verb: Verb, m: &MachineSummary, fields: &Fields) -> MachinePatch {
    let tag = fields.text("tag").trim().to_owned();
    let mut tags = m.tags.clone();
    match verb {
        Verb::AddTag => tags.push(tag),
        Verb::RemoveTag => tags.retain(|t| *t != tag),
        Verb::SetPool => return MachinePatch { pool: fields.filled("pool"), ..MachinePatch::default() },
        _ => return MachinePatch { zone: fields.filled("zone"), ..MachinePatch::default() },
    }
    MachinePatch { tags: Some(tags), ..MachinePatch::default() }
}
