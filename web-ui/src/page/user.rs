//! Users. What the visitor may, `app` says: whoever is no administrator gets a refusal instead of the page.

use super::account::new_password;
use super::{Shown, go, now};
use crate::error::{describe, log};
use crate::view::user::{UserPage, UsersPage};
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_common::Secret;
use rackwright_region::app::{App, Error, session, user};
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::user::{NewUser, SessionQuery, UserPatch};
use std::collections::BTreeMap;

/// The list.
pub async fn list(State(app): State<App>, visitor: Visitor) -> Shown<UsersPage> {
    let users = user::list(&app, &visitor.actor).await?;
    Ok(UsersPage::new(visitor.layout("Users"), &users.items, now()))
}

/// Makes a user.
pub async fn create(State(app): State<App>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    match make(&app, &visitor.actor, &fields).await {
        Ok(()) => Ok(go("/users")),
        Err(error) => {
            log(&error);
            let users = user::list(&app, &visitor.actor).await?;
            let mut page = UsersPage::new(visitor.layout("Users"), &users.items, now());
            page.form = page.form.refused(&fields, &error);
            Ok((describe(&error).0, page).into_response())
        }
    }
}

async fn make(app: &App, actor: &Actor, fields: &Fields) -> Result<(), Error> {
    let password = Some(fields.text("password")).filter(|w| !w.is_empty()).map(Secret::new);
    let new = NewUser { name: fields.text("name").trim().to_owned(), role: role(fields)?, password };
    user::create(app, actor, &new).await.map(drop)
}

/// What the form about access says.
fn access(fields: &Fields) -> Result<UserPatch, Error> {
    let mut pools = BTreeMap::new();
    for line in fields.lines("pools") {
        let (pool, role) = line.split_once([' ', '=', '\t']).unwrap_or((&line, ""));
        let role =
            role.trim().parse().map_err(|e: String| Error::invalid("pools", format!("`{line}`: {e}")))?;
        pools.insert(pool.to_owned(), role);
    }
    let limit = fields.filled("machine_limit").map(|text| text.trim().parse());
    let limit =
        limit.transpose().map_err(|_| Error::invalid("machine_limit", "this is not a number of machines"))?;
    Ok(UserPatch {
        role: Some(role(fields)?),
        disabled: Some(fields.ticked("disabled")),
        pools: Some(pools),
        restricted: Some(fields.ticked("restricted")),
        machine_limit: Some(limit.unwrap_or(-1)),
        subject: Some(fields.text("subject").trim().to_owned()),
        password: None,
    })
}

fn role(fields: &Fields) -> Result<Role, Error> {
    fields.text("role").parse().map_err(|e: String| Error::invalid("role", e))
}

/// One user. Administrators only: others have their account's page.
pub async fn show(State(app): State<App>, visitor: Visitor, Path(name): Path<String>) -> Shown<UserPage> {
    page(&app, &visitor, &name).await
}

async fn page(app: &App, visitor: &Visitor, name: &str) -> Shown<UserPage> {
    visitor.actor.require(Role::Administrator)?;
    let found = user::get(app, &visitor.actor, name).await?;
    let query = SessionQuery { user: Some(found.name.clone()) };
    let sessions = session::list(app, &visitor.actor, &query, Some(&visitor.cookie)).await?.items;
    Ok(UserPage::new(visitor.layout("Users"), &found, &sessions, now()))
}

/// Takes one of the forms of a user.
pub async fn act(
    State(app): State<App>,
    Path((name, verb)): Path<(String, String)>,
    posted: Posted,
) -> Shown<Response> {
    carry_out(&app, &name, &verb, posted).await
}

/// Takes the form about role and access.
pub async fn save(State(app): State<App>, Path(name): Path<String>, posted: Posted) -> Shown<Response> {
    carry_out(&app, &name, "", posted).await
}

async fn carry_out(app: &App, name: &str, verb: &str, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let actor = &visitor.actor;
    let patch = match verb {
        "" => access(&fields),
        "password" => {
            new_password(&fields).map(|word| UserPatch { password: Some(word), ..UserPatch::default() })
        }
        "delete" => Ok(UserPatch::default()),
        other => Err(Error::not_found("action", other)),
    };
    let done = match patch {
        Ok(_) if verb == "delete" => user::delete(app, actor, name).await,
        Ok(patch) => user::update(app, actor, name, &patch).await.map(drop),
        Err(error) => Err(error),
    };
    let Err(error) = done else { return Ok(go("/users")) };
    log(&error);
    let mut shown = page(app, &visitor, name).await?;
    let form = match verb {
        "password" => &mut shown.password_form,
        "delete" => &mut shown.delete_form,
        _ => &mut shown.form,
    };
    *form = form.clone().refused(&fields, &error);
    Ok((describe(&error).0, shown).into_response())
}
