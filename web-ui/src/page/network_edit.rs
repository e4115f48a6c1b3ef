//! Fabrics, VLANs and subnets are made, changed and removed; a refusal shows the form again, with the reason at its field.

use super::{Shown, go, now, number};
use crate::command;
use crate::error::{describe, log};
use crate::view::editor::EditorPage;
use crate::view::network::Sources;
use crate::view::network_edit::{self as view, SubnetPage};
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_common::dhcp_option::DhcpOption;
use rackwright_region::app::{App, Error, network, space, static_route, subnet};
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::network::{
    BootArchitecture, DhcpMode, Fabric, NewFabric, NewIpRange, NewReservation, NewSubnet, NewVlan, RangeKind,
    ReverseDns, Vlan,
};
use rackwright_region::model::space::NewSpace;
use rackwright_region::model::static_route::NewStaticRoute;
use std::str::FromStr;

/// The page with the form for a new one, or for one that there is.
pub async fn show(
    State(app): State<App>,
    Path((noun, id)): Path<(String, String)>,
    visitor: Visitor,
) -> Shown<Response> {
    if noun == "subnets" && id != "new" {
        return Ok(subnet_page(&app, &visitor, number("subnet", &id)?).await?.into_response());
    }
    Ok(editor(&app, &visitor, &noun, &id).await?.into_response())
}

async fn editor(app: &App, visitor: &Visitor, noun: &str, id: &str) -> Shown<EditorPage> {
    let (actor, csrf) = (&visitor.actor, visitor.csrf.as_str());
    actor.require(Role::Administrator)?;
    let sources = places(app, actor).await?;
    let page = |title: &str, forms| {
        Ok(EditorPage::new(visitor.layout("Networks"), title, ("Networks", "/networks"), forms))
    };
    match (noun, id) {
        ("fabrics", "new") => page("New fabric", vec![view::fabric(csrf, None)]),
        ("vlans", "new") => page("New VLAN", vec![view::vlan(csrf, None, &sources)]),
        ("subnets", "new") => page("New subnet", vec![view::subnet(csrf, None, &sources)]),
        ("spaces", "new") => page("New space", vec![view::space(csrf, None)]),
        ("spaces", id) => {
            let space = find(&sources.spaces, "space", id, |s| s.id)?;
            let lost = "A space goes when no VLAN is in it any more.";
            let gone = view::delete(csrf, noun, space.id, &space.name, command::SPACE_DELETE, lost);
            page(&space.name, vec![view::space(csrf, Some(space)), gone])
        }
        ("fabrics", id) => {
            let fabric = find(&sources.fabrics, "fabric", id, |f| f.id)?;
            let lost = "A fabric goes when it has no VLANs any more.";
            let gone = view::delete(csrf, noun, fabric.id, &fabric.name, command::FABRIC_DELETE, lost);
            page(&fabric.name, vec![view::fabric(csrf, Some(fabric)), gone])
        }
        ("vlans", id) => {
            let vlan = find(&sources.vlans, "VLAN", id, |v| v.id)?;
            let lost = "A VLAN goes when it has no subnets any more.";
            let gone = view::delete(csrf, noun, vlan.id, &vlan.name, command::VLAN_DELETE, lost);
            page(&vlan.name, vec![view::vlan(csrf, Some(vlan), &sources), gone])
        }
        _ => Err(Error::not_found("page", "at this address").into()),
    }
}

fn find<'a, T>(all: &'a [T], what: &'static str, id: &str, of: impl Fn(&T) -> i64) -> Result<&'a T, Error> {
    all.iter().find(|one| of(one).to_string() == id).ok_or_else(|| Error::not_found(what, id))
}

/// Fabrics, VLANs and spaces, which forms offer.
async fn places(app: &App, actor: &Actor) -> Result<Sources, Error> {
    let fabrics: Vec<Fabric> = network::fabrics(app, actor).await?.items;
    let vlans: Vec<Vlan> = network::vlans(app, actor).await?.items;
    let spaces = space::list(app, actor).await?.items;
    Ok(Sources { fabrics, vlans, spaces, ..Sources::default() })
}

async fn subnet_page(app: &App, visitor: &Visitor, id: i64) -> Shown<SubnetPage> {
    let actor = &visitor.actor;
    let found = subnet::get(app, actor, id).await?;
    let used = subnet::utilisation(app, actor, id).await?;
    let sources = Sources {
        ranges: subnet::ip_ranges(app, actor, Some(id)).await?.items,
        reservations: subnet::reservations(app, actor, Some(id)).await?.items,
        routes: static_route::list(app, actor, Some(id)).await?.items,
        leases: network::leases(app, actor, Some(id)).await?.items,
        ..places(app, actor).await?
    };
    Ok(SubnetPage::new(visitor.layout("Networks"), actor, &found, &used, &sources, now()))
}

/// Takes the form that makes one or changes one.
pub async fn save(
    State(app): State<App>,
    Path((noun, id)): Path<(String, String)>,
    posted: Posted,
) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let done = match noun.as_str() {
        "fabrics" => save_fabric(&app, &visitor.actor, &id, &fields).await,
        "vlans" => save_vlan(&app, &visitor.actor, &id, &fields).await,
        "spaces" => save_space(&app, &visitor.actor, &id, &fields).await,
        "subnets" => save_subnet(&app, &visitor.actor, &id, &fields).await,
        _ => Err(Error::not_found("page", "at this address")),
    };
    match done {
        Ok(to) => Ok(go(&to)),
        Err(error) => refused(&app, &visitor, (&noun, &id), "edit", &fields, error).await,
    }
}

/// The page again, with what was refused at its field.
async fn refused(
    app: &App,
    visitor: &Visitor,
    (noun, id): (&str, &str),
    form: &str,
    fields: &Fields,
    error: Error,
) -> Shown<Response> {
    log(&error);
    let status = describe(&error).0;
    if noun == "subnets" && id != "new" {
        let mut page = subnet_page(app, visitor, number("subnet", id)?).await?;
        let form = page.form(form);
        *form = form.clone().refused(fields, &error);
        return Ok((status, page).into_response());
    }
    let mut page = editor(app, visitor, noun, id).await?;
    match page.form(form) {
        Some(form) => *form = form.clone().refused(fields, &error),
        None => return Err(error.into()),
    }
    Ok((status, page).into_response())
}

async fn save_fabric(app: &App, actor: &Actor, id: &str, fields: &Fields) -> Result<String, Error> {
    let new = NewFabric { name: fields.text("name").trim().to_owned() };
    if id == "new" {
        network::create_fabric(app, actor, &new).await?;
    } else {
        network::update_fabric(app, actor, id_of("fabric", id)?, &new).await?;
    }
    Ok("/networks".into())
}

async fn save_space(app: &App, actor: &Actor, id: &str, fields: &Fields) -> Result<String, Error> {
    let new = NewSpace {
        name: fields.text("name").trim().to_owned(),
        description: fields.text("description").trim().to_owned(),
    };
    if id == "new" {
        space::create(app, actor, &new).await?;
    } else {
        space::update(app, actor, id_of("space", id)?, &new).await?;
    }
    Ok("/networks".into())
}

/// DHCP options, one per line.
fn options(fields: &Fields) -> Result<Vec<DhcpOption>, Error> {
    let read = |line: String| line.trim().parse().map_err(|e| Error::invalid("dhcp_options", format!("{e}")));
    fields.lines("dhcp_options").into_iter().map(read).collect()
}

/// Firmware that may boot in a subnet: any of it, or some.
fn firmware(fields: &Fields) -> Result<Option<Vec<BootArchitecture>>, Error> {
    let text = fields.text("boot_architectures");
    match text.trim() {
        "all" | "" => Ok(None),
        "none" => Ok(Some(Vec::new())),
        some => {
            let words = some.split([' ', ',']).filter(|word| !word.is_empty());
            let read = |word: &str| word.parse().map_err(|e: String| Error::invalid("boot_architectures", e));
            words.map(read).collect::<Result<_, _>>().map(Some)
        }
    }
}

async fn save_vlan(app: &App, actor: &Actor, id: &str, fields: &Fields) -> Result<String, Error> {
    let (name, dhcp) = (fields.text("name").trim().to_owned(), fields.ticked("dhcp"));
    let mtu: i32 = parsed(fields, "mtu", "a number")?;
    let chosen =
        |name: &'static str| fields.filled(name).map(|_| parsed(fields, name, "a number")).transpose();
    let (relay, space, dhcp_options) = (chosen("relay")?, chosen("space")?, options(fields)?);
    let dhcp_mode = DhcpMode::of(&fields.text("dhcp_mode"));
    let written = |mut new: NewVlan| {
        (new.name, new.mtu, new.dhcp, new.dhcp_mode) = (name.clone(), mtu, dhcp, dhcp_mode);
        (new.relay, new.space, new.dhcp_options) = (relay, space, dhcp_options);
        new
    };
    if id == "new" {
        let (fabric, vid): (i64, i32) =
            (parsed(fields, "fabric", "a fabric")?, parsed(fields, "vid", "a number")?);
        let blank = serde_json::json!({ "fabric": fabric, "vid": vid, "name": name });
        let new: NewVlan = serde_json::from_value(blank).map_err(Error::internal)?;
        network::create_vlan(app, actor, &written(new)).await?;
        return Ok("/networks".into());
    }
    let id = id_of("VLAN", id)?;
    let old = network::vlans(app, actor).await?.items.into_iter().find(|v| v.id == id);
    let old = old.ok_or_else(|| Error::not_found("VLAN", id))?;
    // What the form does not have stays.
    let old: NewVlan = kept(&old, &["id", "foreign_dhcp"])?;
    network::update_vlan(app, actor, id, &written(old)).await?;
    Ok("/networks".into())
}

async fn save_subnet(app: &App, actor: &Actor, id: &str, fields: &Fields) -> Result<String, Error> {
    let cidr = parsed(fields, "cidr", "a network such as 10.77.0.0/24")?;
    let vlan: i64 = parsed(fields, "vlan", "a VLAN")?;
    let domain = fields.filled("domain").map(|d| d.trim().to_owned());
    let gateway = fields.filled("gateway").map(|_| parsed(fields, "gateway", "an address")).transpose()?;
    let words = fields.text("dns_servers");
    let servers = words.split([',', ' ', '\n']).filter(|w| !w.is_empty());
    let read = |word: &str| {
        word.parse().map_err(|_| Error::invalid("dns_servers", format!("`{word}` is not an address")))
    };
    let dns_servers = servers.map(read).collect::<Result<Vec<_>, _>>()?;
    let lease_seconds = parsed(fields, "lease_seconds", "a number of seconds")?;
    let name = fields.text("name").trim().to_owned();
    let (managed, boot_architectures, dhcp_options) =
        (fields.ticked("managed"), firmware(fields)?, options(fields)?);
    let reverse_dns = ReverseDns::of(&fields.text("reverse_dns"));
    let written = |mut new: NewSubnet| {
        (new.managed, new.reverse_dns) = (managed, reverse_dns);
        (new.boot_architectures, new.dhcp_options) = (boot_architectures, dhcp_options);
        (new.vlan, new.name, new.cidr, new.gateway) = (vlan, name, cidr, gateway);
        (new.dns_servers, new.domain, new.lease_seconds) = (dns_servers, domain, lease_seconds);
        new
    };
    if id == "new" {
        let blank = serde_json::json!({ "vlan": vlan, "cidr": cidr });
        let new: NewSubnet = serde_json::from_value(blank).map_err(Error::internal)?;
        let made = subnet::create(app, actor, &written(new)).await?;
        return Ok(format!("/networks/subnets/{}", made.id));
    }
    let id = id_of("subnet", id)?;
    let old: NewSubnet = kept(&subnet::get(app, actor, id).await?, &["id"])?;
    subnet::update(app, actor, id, &written(old)).await?;
    Ok(format!("/networks/subnets/{id}"))
}

/// What is stored, as the body of a change: forms change only what they show.
fn kept<T: serde::de::DeserializeOwned>(old: &impl serde::Serialize, without: &[&str]) -> Result<T, Error> {
    let mut value = serde_json::to_value(old).map_err(Error::internal)?;
    if let Some(object) = value.as_object_mut() {
        object.retain(|name, value| !without.contains(&name.as_str()) && !value.is_null());
    }
    serde_json::from_value(value).map_err(Error::internal)
}

fn id_of(what: &'static str, text: &str) -> Result<i64, Error> {
    text.parse().map_err(|_| Error::not_found(what, text))
}

/// A field in its own form.
fn parsed<T: FromStr>(fields: &Fields, name: &'static str, wanted: &str) -> Result<T, Error> {
    let text = fields.text(name).trim().to_owned();
    text.parse().map_err(|_| Error::invalid(name, format!("`{text}` is not {wanted}")))
}

/// Removes one, or makes what is in a subnet.
pub async fn act(
    State(app): State<App>,
    Path((noun, id, verb)): Path<(String, String, String)>,
    posted: Posted,
) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let actor = &visitor.actor;
    let (form, back) = match verb.as_str() {
        "ranges" => ("range", format!("/networks/subnets/{id}")),
        "reservations" => ("reservation", format!("/networks/subnets/{id}")),
        "routes" => ("route", format!("/networks/subnets/{id}")),
        _ => ("delete", "/networks".to_owned()),
    };
    let done = match (noun.as_str(), verb.as_str()) {
        ("fabrics", "delete") => network::delete_fabric(&app, actor, number("fabric", &id)?).await,
        ("vlans", "delete") => network::delete_vlan(&app, actor, number("VLAN", &id)?).await,
        ("subnets", "delete") => subnet::delete(&app, actor, number("subnet", &id)?, false).await,
        ("subnets", "ranges") => make_range(&app, actor, number("subnet", &id)?, &fields).await,
        ("spaces", "delete") => space::delete(&app, actor, number("space", &id)?).await,
        ("subnets", "routes") => make_route(&app, actor, number("subnet", &id)?, &fields).await,
        ("routes", "delete") => {
            static_route::delete(&app, actor, number("static route", &id)?).await?;
            return Ok(go(&format!("/networks/subnets/{}", number("subnet", &fields.text("subnet"))?)));
        }
        ("subnets", "reservations") => make_reservation(&app, actor, &fields).await,
        ("ranges", "delete") => return delete_range(&app, &visitor, number("range", &id)?, &fields).await,
        ("reservations", "delete") => {
            subnet::delete_reservation(&app, actor, number("reservation", &id)?).await?;
            return Ok(go(&format!("/networks/subnets/{}", number("subnet", &fields.text("subnet"))?)));
        }
        _ => Err(Error::not_found("page", "at this address")),
    };
    match done {
        Ok(()) => Ok(go(&back)),
        Err(error) => refused(&app, &visitor, (&noun, &id), form, &fields, error).await,
    }
}

async fn make_range(app: &App, actor: &Actor, subnet: i64, fields: &Fields) -> Result<(), Error> {
    let kind = if fields.text("kind") == "reserved" { RangeKind::Reserved } else { RangeKind::Dynamic };
    let new = NewIpRange {
        subnet,
        kind,
        first: parsed(fields, "first", "an address")?,
        last: parsed(fields, "last", "an address")?,
        comment: fields.text("comment").trim().to_owned(),
    };
    subnet::create_ip_range(app, actor, &new).await.map(drop)
}

async fn make_route(app: &App, actor: &Actor, subnet: i64, fields: &Fields) -> Result<(), Error> {
    let new = NewStaticRoute {
        subnet,
        destination: parsed(fields, "destination", "a network such as 10.200.0.0/16")?,
        gateway: parsed(fields, "gateway", "an address")?,
        metric: parsed(fields, "metric", "a number")?,
    };
    static_route::create(app, actor, &new).await.map(drop)
}

async fn make_reservation(app: &App, actor: &Actor, fields: &Fields) -> Result<(), Error> {
    let hostname =
        fields.filled("hostname").map(|_| parsed(fields, "hostname", "a host name")).transpose()?;
    let new = NewReservation {
        mac: parsed(fields, "mac", "a MAC such as 52:54:00:12:34:56")?,
        address: parsed(fields, "address", "an address")?,
        hostname,
        comment: String::new(),
        dhcp_options: Vec::new(),
    };
    subnet::create_reservation(app, actor, &new).await.map(drop)
}

/// A range whose addresses are leased goes only when it is said twice.
async fn delete_range(app: &App, visitor: &Visitor, id: i64, fields: &Fields) -> Shown<Response> {
    let subnet = number("subnet", &fields.text("subnet"))?;
    match subnet::delete_ip_range(app, &visitor.actor, id, fields.ticked("force")).await {
        Ok(()) => Ok(go(&format!("/networks/subnets/{subnet}"))),
        Err(error @ Error::Conflict { .. }) => {
            let status = describe(&error).0;
            let page = subnet_page(app, visitor, subnet).await?;
            let kept = Some((id, crate::error::sentence(&error.to_string())));
            Ok((status, SubnetPage { kept, ..page }).into_response())
        }
        Err(error) => Err(error.into()),
    }
}
