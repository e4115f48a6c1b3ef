//! Switches: the list, one with its ports, and the forms about them.

use super::{Shown, go, now, number};
use crate::error::{describe, log};
use crate::view::editor::EditorPage;
use crate::view::switch::{self as view, SwitchPage, SwitchesPage};
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_common::Secret;
use rackwright_common::switch::SnmpAccess;
use rackwright_region::app::{App, Error, switch};
use rackwright_region::model::Role;
use rackwright_region::model::switch::NewSwitch;

/// All of them.
pub async fn list(State(app): State<App>, visitor: Visitor) -> Shown<SwitchesPage> {
    let all = switch::list(&app, &visitor.actor).await?.items;
    Ok(SwitchesPage::new(visitor.layout("Switches"), &all, now()))
}

/// One with its ports, or the form for a new one.
pub async fn show(State(app): State<App>, Path(id): Path<String>, visitor: Visitor) -> Shown<Response> {
    if id == "new" {
        return Ok(editor(&app, &visitor, &id).await?.into_response());
    }
    Ok(page(&app, &visitor, number("switch", &id)?).await?.into_response())
}

async fn page(app: &App, visitor: &Visitor, id: i64) -> Shown<SwitchPage> {
    let found = switch::get(app, &visitor.actor, id).await?;
    Ok(SwitchPage::new(visitor.layout("Switches"), &found, now()))
}

/// The forms that change where it is and remove it.
pub async fn edit(State(app): State<App>, Path(id): Path<String>, visitor: Visitor) -> Shown<EditorPage> {
    editor(&app, &visitor, &id).await
}

async fn editor(app: &App, visitor: &Visitor, id: &str) -> Shown<EditorPage> {
    visitor.actor.require(Role::Administrator)?;
    let (layout, csrf) = (visitor.layout("Switches"), visitor.csrf.as_str());
    if id == "new" {
        let forms = vec![view::form(csrf, None)];
        return Ok(EditorPage::new(layout, "New switch", ("Switches", "/switches"), forms));
    }
    let found = switch::get(app, &visitor.actor, number("switch", id)?).await?.switch;
    let forms = vec![view::form(csrf, Some(&found)), view::delete(csrf, &found)];
    Ok(EditorPage::new(layout, found.name, ("Switches", "/switches"), forms))
}

/// Takes the form that makes one or changes one.
pub async fn save(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let done = async {
        let new = read(&fields)?;
        if id == "new" {
            return switch::create(&app, &visitor.actor, &new).await;
        }
        let id = id.parse().map_err(|_| Error::not_found("switch", &id))?;
        switch::update(&app, &visitor.actor, id, &new).await
    };
    match done.await {
        Ok(switch) => Ok(go(&format!("/switches/{}", switch.id))),
        Err(error) => refused(editor(&app, &visitor, &id).await?, "edit", &fields, error),
    }
}

fn refused(mut page: EditorPage, form: &str, fields: &Fields, error: Error) -> Shown<Response> {
    log(&error);
    match page.form(form) {
        Some(form) => *form = form.clone().refused(fields, &error),
        None => return Err(error.into()),
    }
    Ok((describe(&error).0, page).into_response())
}

fn read(fields: &Fields) -> Result<NewSwitch, Error> {
    let parsed = |name: &'static str, what: &str| {
        fields
            .text(name)
            .trim()
            .parse::<u16>()
            .map_err(|_| Error::invalid(name, format!("{what} is a number")))
    };
    Ok(NewSwitch {
        name: fields.text("name").trim().to_owned(),
        address: fields.text("address").trim().to_owned(),
        port: parsed("port", "a port")?,
        access: access(fields)?,
        poll_seconds: fields
            .text("poll_seconds")
            .trim()
            .parse()
            .map_err(|_| Error::invalid("poll_seconds", "seconds are a number"))?,
    })
}

/// How racks are let in; nothing where no secret was typed.
fn access(fields: &Fields) -> Result<Option<SnmpAccess>, Error> {
    let secret = |name: &str| Secret::new(fields.text(name));
    if fields.text("version") == "v2c" {
        let community = secret("community");
        return Ok((!community.expose().is_empty()).then_some(SnmpAccess::V2c { community }));
    }
    let (authentication_password, privacy_password) =
        (secret("authentication_password"), secret("privacy_password"));
    if authentication_password.expose().is_empty() && privacy_password.expose().is_empty() {
        return Ok(None);
    }
    let unknown = |name: &'static str| move |_| Error::invalid(name, "choose one of those offered");
    let one_of = |name: &str| serde_json::Value::from(fields.text(name));
    Ok(Some(SnmpAccess::V3 {
        username: fields.text("username").trim().to_owned(),
        authentication: serde_json::from_value(one_of("authentication"))
            .map_err(unknown("authentication"))?,
        authentication_password,
        privacy: serde_json::from_value(one_of("privacy")).map_err(unknown("privacy"))?,
        privacy_password,
    }))
}

/// Reads one now, removes one, or gives a port another VLAN.
pub async fn act(
    State(app): State<App>,
    Path((id, verb)): Path<(String, String)>,
    posted: Posted,
) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let (id, actor) = (number("switch", &id)?, &visitor.actor);
    let done = match verb.as_str() {
        "delete" => {
            switch::delete(&app, actor, id).await?;
            return Ok(go("/switches"));
        }
        "read" => switch::read(&app, actor, id).await,
        "vlan" => {
            let wrong = |name: &'static str| move |_| Error::invalid(name, "choose one of those offered");
            let port = fields.text("port").parse().map_err(wrong("port"))?;
            let vid = fields.text("vid").parse().map_err(wrong("vid"))?;
            switch::set_access_vlan(&app, actor, id, port, vid).await
        }
        _ => return Err(Error::not_found("action", verb).into()),
    };
    let Err(error) = done else { return Ok(go(&format!("/switches/{id}"))) };
    log(&error);
    let mut page = page(&app, &visitor, id).await?;
    page.problem = crate::error::sentence(&error.to_string());
    Ok((describe(&error).0, page).into_response())
}
