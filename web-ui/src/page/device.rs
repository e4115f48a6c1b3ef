//! Devices: the list, and the forms about one.

use super::{Shown, go, now, number};
use crate::error::{describe, log};
use crate::view::device::{self as view, ADDRESSES, DevicesPage};
use crate::view::editor::EditorPage;
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_region::app::{App, Error, device};
use rackwright_region::model::Role;
use rackwright_region::model::device::{DeviceAddress, NewDevice};

/// All of them.
pub async fn list(State(app): State<App>, visitor: Visitor) -> Shown<DevicesPage> {
    let all = device::list(&app, &visitor.actor).await?.items;
    Ok(DevicesPage::new(visitor.layout("Discovery"), all, now()))
}

/// One of them, or the form for a new one.
pub async fn show(State(app): State<App>, Path(id): Path<String>, visitor: Visitor) -> Shown<EditorPage> {
    page(&app, &visitor, &id).await
}

async fn page(app: &App, visitor: &Visitor, id: &str) -> Shown<EditorPage> {
    visitor.actor.require(Role::Operator)?;
    let (layout, csrf, crumb) = (visitor.layout("Discovery"), visitor.csrf.as_str(), ("Devices", "/devices"));
    if id == "new" {
        return Ok(EditorPage::new(layout, "New device", crumb, vec![view::edit(csrf, None)]));
    }
    let found = device::get(app, &visitor.actor, number("device", id)?).await?;
    let forms = vec![view::edit(csrf, Some(&found)), view::delete(csrf, &found)];
    Ok(EditorPage::new(layout, found.hostname.to_string(), crumb, forms))
}

/// Takes the form that makes one or changes one.
pub async fn save(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Shown<Response> {
    let actor = &posted.visitor.actor;
    let done = async {
        let new = read(&posted.fields)?;
        if id == "new" {
            return device::create(&app, actor, &new).await.map(drop);
        }
        let id = id.parse().map_err(|_| Error::not_found("device", &id))?;
        device::update(&app, actor, id, &new).await.map(drop)
    };
    let done = done.await.map_err(at_its_field);
    finish(&app, &posted, &id, "edit", done).await
}

/// Removes one.
pub async fn delete(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Shown<Response> {
    let done = device::delete(&app, &posted.visitor.actor, number("device", &id)?).await;
    finish(&app, &posted, &id, "delete", done).await
}

fn read(fields: &Fields) -> Result<NewDevice, Error> {
    let name = fields.text("hostname").trim().to_owned();
    let hostname =
        name.parse().map_err(|_| Error::invalid("hostname", format!("`{name}` is not a host name")))?;
    let addresses = fields.lines(ADDRESSES);
    Ok(NewDevice {
        hostname,
        description: fields.text("description").trim().to_owned(),
        addresses: addresses.iter().map(|line| address(line)).collect::<Result<_, _>>()?,
    })
}

fn address(line: &str) -> Result<DeviceAddress, Error> {
    let read = |line: &str| {
        let (mac, address) = line.split_once('=')?;
        Some(DeviceAddress { mac: mac.trim().parse().ok()?, address: address.trim().parse().ok()? })
    };
    let wrong = || Error::invalid(ADDRESSES, format!("`{line}` is not MAC=ADDRESS"));
    read(line).ok_or_else(wrong)
}

/// What is wrong with a reservation is wrong in the field that has them all.
fn at_its_field(error: Error) -> Error {
    match error {
        Error::Conflict { field: Some("mac" | "address"), message } => {
            Error::Conflict { field: Some(ADDRESSES), message }
        }
        Error::Invalid { field, message } if ["mac", "address"].contains(&field.as_str()) => {
            Error::invalid(ADDRESSES, message)
        }
        other => other,
    }
}

async fn finish(
    app: &App,
    posted: &Posted,
    id: &str,
    form: &str,
    done: Result<(), Error>,
) -> Shown<Response> {
    let Err(error) = done else { return Ok(go("/devices")) };
    log(&error);
    let mut page = page(app, &posted.visitor, id).await?;
    match page.form(form) {
        Some(form) => *form = form.clone().refused(&posted.fields, &error),
        None => return Err(error.into()),
    }
    Ok((describe(&error).0, page).into_response())
}
