//! Domains, records, published names and secondaries. A refusal shows the form again, with the reason at its field.

use super::{Params, Shown, go, now, number};
use crate::error::{PageError, describe, log};
use crate::view::editor::EditorPage;
use crate::view::name::{self as view, NamesPage, Sources};
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_region::app::{App, Error, dns_key, domain, secondary};
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::dns_key::NewDnsKey;
use rackwright_region::model::domain::{DnsRecord, NameQuery, NewDnsRecord, NewDomain, NewSecondary};

/// Published names on the page at most, so that it stays small; whoever looks for others searches.
const SHOWN: usize = 250;

/// All of them.
pub async fn list(State(app): State<App>, visitor: Visitor, params: Params) -> Shown<NamesPage> {
    page(&app, &visitor, params.get("q").map(|q| q.trim().to_owned()).unwrap_or_default()).await
}

async fn page(app: &App, visitor: &Visitor, search: String) -> Shown<NamesPage> {
    let actor = &visitor.actor;
    let query = NameQuery { q: Some(search.clone()).filter(|q| !q.is_empty()), ..NameQuery::default() };
    let mut names = domain::names(app, actor, &query).await?.items;
    names.truncate(SHOWN);
    let sources = Sources {
        domains: domain::list(app, actor).await?.items,
        zones: domain::zones(app, actor).await?.items,
        records: domain::records(app, actor, None).await?.items,
        names,
        secondaries: secondary::list(app, actor).await?.items,
        keys: dns_key::list(app, actor).await?.items,
    };
    Ok(NamesPage::new(visitor.layout("Names"), sources, search, now()))
}

/// One of them, or the form for a new one.
pub async fn show(
    State(app): State<App>,
    Path((noun, id)): Path<(String, String)>,
    visitor: Visitor,
) -> Shown<EditorPage> {
    editor(&app, &visitor, &noun, &id).await
}

async fn editor(app: &App, visitor: &Visitor, noun: &str, id: &str) -> Shown<EditorPage> {
    let (actor, csrf) = (&visitor.actor, visitor.csrf.as_str());
    actor.require(if noun == "records" { Role::Operator } else { Role::Administrator })?;
    let made =
        |title: String, forms| EditorPage::new(visitor.layout("Names"), title, ("Names", "/names"), forms);
    Ok(match (noun, id) {
        ("domains", "new") => made("New domain".into(), vec![view::edit_domain(csrf, None)]),
        ("domains", id) => {
            let found = domain::get(app, actor, number("domain", id)?).await?;
            let forms = vec![view::edit_domain(csrf, Some(&found)), view::delete_domain(csrf, &found)];
            made(format!("Domain {}", found.name), forms)
        }
        ("records", "new") => {
            let domains = domain::list(app, actor).await?.items;
            let default = domains.into_iter().find(|d| d.is_default).map(|d| d.name).unwrap_or_default();
            made("New record".into(), vec![view::edit_record(csrf, None, &default)])
        }
        ("records", id) => {
            let found = record(app, actor, id).await?;
            let forms =
                vec![view::edit_record(csrf, Some(&found), &found.domain), view::delete_record(csrf, &found)];
            made(format!("Record {} {}", found.name, found.kind), forms)
        }
        ("keys", "new") => {
            let zones = domain::zones(app, actor).await?.items;
            made("New key".into(), vec![view::new_key(csrf, &zones)])
        }
        ("keys", id) => {
            let wanted = number("key", id)?;
            let found = dns_key::list(app, actor).await?.items.into_iter().find(|k| k.id == wanted);
            let found = found.ok_or_else(|| Error::not_found("key", id))?;
            made(format!("Key {} of {}", found.tag, found.zone), vec![view::delete_key(csrf, &found)])
        }
        ("secondaries", "new") => made("New secondary".into(), vec![view::new_secondary(csrf)]),
        ("secondaries", name) => {
            let all = secondary::list(app, actor).await?.items;
            let found = all.into_iter().find(|s| s.name == name);
            let found = found.ok_or_else(|| Error::not_found("secondary", name))?;
            made(format!("Secondary {}", found.name), vec![view::delete_secondary(csrf, &found)])
        }
        _ => return Err(Error::not_found("page", "at this address").into()),
    })
}

async fn record(app: &App, actor: &Actor, id: &str) -> Result<DnsRecord, PageError> {
    let wanted = number("record", id)?;
    let all = domain::records(app, actor, None).await?.items;
    Ok(all.into_iter().find(|r| r.id == wanted).ok_or_else(|| Error::not_found("record", id))?)
}

/// Takes the form that makes one or changes one.
pub async fn save(
    State(app): State<App>,
    Path((noun, id)): Path<(String, String)>,
    posted: Posted,
) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let done = match noun.as_str() {
        "domains" => save_domain(&app, &visitor.actor, &id, &fields).await,
        "records" => save_record(&app, &visitor.actor, &id, &fields).await,
        "keys" if id == "new" => {
            let new = NewDnsKey { zone: fields.text("zone").trim().to_owned() };
            dns_key::create(&app, &visitor.actor, &new).await.map(|_| ()).map_err(Into::into)
        }
        "secondaries" if id == "new" => match new_secondary(&fields) {
            Ok(new) => match secondary::create(&app, &visitor.actor, &new).await {
                // Its key is in this answer and nowhere else, so there is no way back to it.
                Ok(key) => {
                    let shown = page(&app, &visitor, String::new()).await?;
                    return Ok(NamesPage { made: Some(key.into()), ..shown }.into_response());
                }
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        },
        _ => Err(Error::not_found("page", "at this address").into()),
    };
    finish(&app, &visitor, (&noun, &id), "edit", &fields, done).await
}

/// Removes one.
pub async fn delete(
    State(app): State<App>,
    Path((noun, id)): Path<(String, String)>,
    posted: Posted,
) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let actor = &visitor.actor;
    let done = match noun.as_str() {
        "domains" => domain::delete(&app, actor, number("domain", &id)?).await,
        "records" => domain::delete_record(&app, actor, number("record", &id)?).await,
        "keys" => dns_key::delete(&app, actor, number("key", &id)?, fields.ticked("unsign")).await,
        "secondaries" => secondary::delete(&app, actor, &id).await,
        _ => Err(Error::not_found("page", "at this address")),
    };
    finish(&app, &visitor, (&noun, &id), "delete", &fields, done.map_err(Into::into)).await
}

async fn finish(
    app: &App,
    visitor: &Visitor,
    (noun, id): (&str, &str),
    form: &str,
    fields: &Fields,
    done: Result<(), PageError>,
) -> Shown<Response> {
    let error = match done {
        Ok(()) => return Ok(go("/names")),
        Err(PageError(error)) => error,
    };
    log(&error);
    let mut page = editor(app, visitor, noun, id).await?;
    match page.form(form) {
        Some(form) => *form = form.clone().refused(fields, &error),
        None => return Err(error.into()),
    }
    Ok((describe(&error).0, page).into_response())
}

/// Seconds; none when nothing stands there.
fn seconds(fields: &Fields) -> Result<Option<i32>, Error> {
    let typed = fields.filled("ttl").map(|text| text.trim().parse());
    typed.transpose().map_err(|_| Error::invalid("ttl", "this is not a number of seconds"))
}

async fn save_domain(app: &App, actor: &Actor, id: &str, fields: &Fields) -> Result<(), PageError> {
    let new = NewDomain {
        name: fields.text("name").trim().to_owned(),
        ttl: seconds(fields)?.unwrap_or(60),
        is_default: fields.ticked("is_default"),
    };
    if id == "new" {
        domain::create(app, actor, &new).await?;
    } else {
        domain::update(app, actor, number("domain", id)?, &new).await?;
    }
    Ok(())
}

async fn save_record(app: &App, actor: &Actor, id: &str, fields: &Fields) -> Result<(), PageError> {
    let (data, ttl) = (fields.text("data").trim().to_owned(), seconds(fields)?);
    if id == "new" {
        let new = NewDnsRecord {
            name: fields.text("name").trim().to_owned(),
            kind: fields.text("type").trim().to_owned(),
            data,
            ttl,
        };
        domain::create_record(app, actor, &new).await?;
    } else {
        let old = record(app, actor, id).await?;
        let new = NewDnsRecord { name: old.name, kind: old.kind, data, ttl };
        domain::update_record(app, actor, old.id, &new).await?;
    }
    Ok(())
}

fn new_secondary(fields: &Fields) -> Result<NewSecondary, Error> {
    let address = fields.text("address").trim().parse();
    let port = fields.text("port").trim().parse::<u16>();
    Ok(NewSecondary {
        name: fields.text("name").trim().to_owned(),
        address: address.map_err(|_| Error::invalid("address", "this is not an address"))?,
        port: port.map_err(|_| Error::invalid("port", "a port is a number from 1 to 65535"))?.into(),
    })
}
