//! Pools, zones and tags.

use super::{Shown, go};
use crate::error::{describe, log};
use crate::view::editor::EditorPage;
use crate::view::group::{self as view, GroupsPage};
use crate::visitor::{Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_region::app::{App, Error, group};
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::network::{Group, GroupKind};

/// All of them.
pub async fn list(State(app): State<App>, visitor: Visitor) -> Shown<GroupsPage> {
    let actor = &visitor.actor;
    let pools = group::list(&app, actor, GroupKind::Pool).await?.items;
    let zones = group::list(&app, actor, GroupKind::Zone).await?.items;
    let tags = group::tags(&app, actor).await?.items;
    Ok(GroupsPage::new(visitor.layout("Groups"), pools, zones, tags))
}

fn kind(noun: &str) -> Option<(&'static str, Option<GroupKind>)> {
    match noun {
        "pool" => Some(("pool", Some(GroupKind::Pool))),
        "zone" => Some(("zone", Some(GroupKind::Zone))),
        "tag" => Some(("tag", None)),
        _ => None,
    }
}

async fn find(app: &App, actor: &Actor, kind: Option<GroupKind>, name: &str) -> Result<Group, Error> {
    let all = match kind {
        Some(kind) => group::list(app, actor, kind).await?,
        None => group::tags(app, actor).await?,
    };
    let word = kind.map_or("tag", GroupKind::as_str);
    all.items.into_iter().find(|g| g.name == name).ok_or_else(|| Error::not_found(word, name))
}

async fn page(app: &App, visitor: &Visitor, noun: &str, name: &str) -> Shown<EditorPage> {
    visitor.actor.require(Role::Administrator)?;
    let (noun, kind) = kind(noun).ok_or_else(|| Error::not_found("page", "at this address"))?;
    let (csrf, crumb) = (visitor.csrf.as_str(), ("Groups", "/groups"));
    if name == "new" && kind.is_some() {
        let forms = vec![view::edit(csrf, noun, None)];
        return Ok(EditorPage::new(visitor.layout("Groups"), format!("New {noun}"), crumb, forms));
    }
    let found = find(app, &visitor.actor, kind, name).await?;
    let edit = kind.map(|_| view::edit(csrf, noun, Some(&found)));
    let forms = edit.into_iter().chain([view::delete(csrf, noun, &found)]).collect();
    Ok(EditorPage::new(
        visitor.layout("Groups"),
        format!("{} {}", crate::format::capital(noun), found.name),
        crumb,
        forms,
    ))
}

/// One of them, or the form for a new one.
pub async fn show(
    State(app): State<App>,
    Path((noun, name)): Path<(String, String)>,
    visitor: Visitor,
) -> Shown<EditorPage> {
    page(&app, &visitor, &noun, &name).await
}

/// Takes the form that makes one or changes its description.
pub async fn save(
    State(app): State<App>,
    Path((noun, name)): Path<(String, String)>,
    posted: Posted,
) -> Shown<Response> {
    let fresh = name == "new";
    let called = if fresh { posted.fields.text("name").trim().to_owned() } else { name.clone() };
    let group =
        Group { name: called, description: posted.fields.text("description").trim().to_owned(), machines: 0 };
    let actor = &posted.visitor.actor;
    let done = match kind(&noun) {
        Some((_, Some(kind))) if fresh && find(&app, actor, Some(kind), &group.name).await.is_ok() => {
            Err(Error::invalid("name", format!("there is a {noun} {} already", group.name)))
        }
        Some((_, Some(kind))) => group::put(&app, actor, kind, &group).await,
        Some((_, None)) | None => Err(Error::not_found("page", "at this address")),
    };
    finish(&app, posted, (&noun, &name), "edit", done).await
}

/// Removes one.
pub async fn delete(
    State(app): State<App>,
    Path((noun, name)): Path<(String, String)>,
    posted: Posted,
) -> Shown<Response> {
    let actor = &posted.visitor.actor;
    let done = match kind(&noun) {
        Some((_, Some(kind))) => group::delete(&app, actor, kind, &name).await,
        Some((_, None)) => group::delete_tag(&app, actor, &name).await.map(drop),
        None => Err(Error::not_found("page", "at this address")),
    };
    finish(&app, posted, (&noun, &name), "delete", done).await
}

async fn finish(
    app: &App,
    posted: Posted,
    (noun, name): (&str, &str),
    form: &str,
    done: Result<(), Error>,
) -> Shown<Response> {
    let Err(error) = done else { return Ok(go("/groups")) };
    log(&error);
    let mut page = page(app, &posted.visitor, noun, name).await?;
    match page.form(form) {
        Some(form) => *form = form.clone().refused(&posted.fields, &error),
        None => return Err(error.into()),
    }
    Ok((describe(&error).0, page).into_response())
}
