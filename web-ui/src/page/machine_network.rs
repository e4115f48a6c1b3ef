//! The network of a machine: what it is, what a deployment will make of it, and changes. A refusal shows the page again, with
//! the reason at its field.

use super::{Params, Shown, go, machine_id};
use crate::error::{describe, log};
use crate::view::machine_network::{NetworkPage, mode_of};
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_common::MachineId;
use rackwright_region::app::{App, Error, interface, machine, network, network_plan, subnet};
use rackwright_region::auth::Actor;
use rackwright_region::model::interface::{
    AddressMode, DefaultGateways, NewInterfaceAddress, NewVirtualInterface, VirtualKind,
};
use rackwright_region::model::machine::{InterfacePatch, Machine};

/// The page; with `interface`, the forms are those of that one.
pub async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    params: Params,
) -> Shown<NetworkPage> {
    page(&app, &visitor, &machine_id(&id)?, params.parsed("interface")).await
}

async fn page(app: &App, visitor: &Visitor, id: &MachineId, chosen: Option<i64>) -> Shown<NetworkPage> {
    let actor = &visitor.actor;
    let found = machine::get(app, actor, id).await?;
    let plan = network_plan::show(app, actor, id).await?;
    let subnets = subnet::list(app, actor).await?.items;
    let vlans = network::vlans(app, actor).await?.items;
    Ok(NetworkPage::new(visitor.layout("Machines"), actor, &found, &plan, (&subnets, &vlans), chosen))
}

/// Takes a form: `set` of a physical interface; `bond`, `vlan` or `bridge` of one that is made of others, or a new one;
/// `remove`; `gateways`.
pub async fn save(
    State(app): State<App>,
    Path((id, number, verb)): Path<(String, String, String)>,
    posted: Posted,
) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let id = machine_id(&id)?;
    let number: Option<i64> = number.parse().ok();
    let Err(error) = change(&app, &visitor.actor, &id, number, &verb, &fields).await else {
        return Ok(go(&format!("/machines/{id}/network")));
    };
    log(&error);
    let mut page = page(&app, &visitor, &id, number).await?;
    let form = if verb == "set" { "physical" } else { verb.as_str() };
    match page.forms.iter_mut().find(|f| f.id == form) {
        Some(form) => *form = form.clone().refused(&fields, &error),
        None => return Err(error.into()),
    }
    Ok((describe(&error).0, page).into_response())
}

async fn change(
    app: &App,
    actor: &Actor,
    id: &MachineId,
    number: Option<i64>,
    verb: &str,
    fields: &Fields,
) -> Result<(), Error> {
    match (verb, number) {
        ("set", Some(number)) => {
            interface::update(app, actor, id, number, &patch(fields)?).await?;
        }
        ("remove", Some(number)) => interface::delete_virtual(app, actor, id, number).await?,
        ("gateways", None) => {
            let chosen = DefaultGateways { ipv4: parsed(fields, "ipv4")?, ipv6: parsed(fields, "ipv6")? };
            interface::set_gateways(app, actor, id, chosen).await?;
        }
        ("bond" | "vlan" | "bridge", _) => {
            let found = machine::get(app, actor, id).await?;
            let new = made(&found, number, verb, fields)?;
            match number {
                Some(number) => interface::update_virtual(app, actor, id, number, &new).await?,
                None => interface::create_virtual(app, actor, id, &new).await?,
            };
        }
        _ => return Err(Error::not_found("action", verb)),
    }
    Ok(())
}

/// A field's value, when it is filled.
fn parsed<T: std::str::FromStr>(fields: &Fields, name: &str) -> Result<Option<T>, Error> {
    let filled = fields.filled(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let wrong = |text: String| Error::invalid(name, format!("`{text}` is not understood"));
    filled.map(|text| text.parse().map_err(|_| wrong(text))).transpose()
}

/// What was changed; an address that stands there from before is not one that a person names.
fn patch(fields: &Fields) -> Result<InterfacePatch, Error> {
    let changed = |name: &str| fields.find(&format!("was-{name}")).is_none_or(|was| was != fields.text(name));
    let mtu = if fields.text("mtu").trim().is_empty() { Some(0) } else { parsed(fields, "mtu")? };
    Ok(InterfacePatch {
        mode: fields.filled("mode"),
        subnet: if changed("subnet") { parsed(fields, "subnet")? } else { None },
        address: if changed("address") { parsed(fields, "address")? } else { None },
        mtu: mtu.filter(|_| changed("mtu")),
        ..InterfacePatch::default()
    })
}

/// What a form says; settings that it does not show stay as they are.
fn made(m: &Machine, number: Option<i64>, kind: &str, fields: &Fields) -> Result<NewVirtualInterface, Error> {
    let before = m.virtual_interfaces.iter().find(|v| Some(v.id) == number);
    let kind = match (kind, before.map(|v| &v.kind)) {
        ("vlan", _) => {
            let vlan = parsed(fields, "vlan")?;
            VirtualKind::Vlan { vlan: vlan.ok_or_else(|| Error::invalid("vlan", "choose a VLAN"))? }
        }
        ("bond", before) => {
            let mut settings = match before {
                Some(VirtualKind::Bond { settings }) => settings.clone(),
                _ => Default::default(),
            };
            let mode = fields.text("bond_mode");
            let unknown = || Error::invalid("bond_mode", format!("`{mode}` is not a mode of bonds"));
            settings.mode = mode_of(&mode).ok_or_else(unknown)?;
            VirtualKind::Bond { settings }
        }
        (_, before) => {
            let mut settings = match before {
                Some(VirtualKind::Bridge { settings }) => settings.clone(),
                _ => Default::default(),
            };
            settings.stp = fields.ticked("stp");
            VirtualKind::Bridge { settings }
        }
    };
    Ok(NewVirtualInterface {
        name: fields.text("name").trim().to_owned(),
        kind,
        parents: words(&fields.text("parents")).map(|name| parent(m, name)).collect::<Result<_, _>>()?,
        mac: before.and_then(|v| v.mac),
        mtu: parsed(fields, "mtu")?,
        addresses: words(&fields.text("addresses")).map(address).collect::<Result<_, _>>()?,
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\n', '\t']).filter(|w| !w.is_empty())
}

fn parent(m: &Machine, name: &str) -> Result<i64, Error> {
    let physical = m.interfaces.iter().find(|i| i.name == name).map(|i| i.id);
    let found = physical.or_else(|| m.virtual_interfaces.iter().find(|v| v.name == name).map(|v| v.id));
    found.ok_or_else(|| Error::invalid("parents", format!("the machine has no interface {name}")))
}

fn address(text: &str) -> Result<NewInterfaceAddress, Error> {
    let wrong =
        || Error::invalid("addresses", format!("`{text}` is none of auto:SUBNET, dhcp and an address"));
    let plain = |mode, subnet, address| NewInterfaceAddress { mode, subnet, address };
    Ok(match text.split_once(':') {
        Some(("auto", subnet)) => plain(AddressMode::Auto, Some(subnet.parse().map_err(|_| wrong())?), None),
        _ if text == "dhcp" => plain(AddressMode::Dhcp, None, None),
        _ => plain(AddressMode::Static, None, Some(text.parse().map_err(|_| wrong())?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_form_becomes_an_interface_and_what_cannot_be_names_its_field() {
        let m = sample::machine();
        let on = m.interfaces[0].name.clone();
        let form = |parents: &str, addresses: &str, mode: &str| {
            let typed =
                [("name", "bond0"), ("parents", parents), ("addresses", addresses), ("bond_mode", mode)];
            made(&m, None, "bond", &fields(&typed))
        };
        let new = form(&on, "auto:3, fd77::9 dhcp", "802.3ad").unwrap();
        assert_eq!((new.name.as_str(), new.parents.as_slice()), ("bond0", &[m.interfaces[0].id][..]));
        let modes: Vec<_> = new.addresses.iter().map(|a| (a.mode.as_str(), a.subnet)).collect();
        assert_eq!(modes, [("auto", Some(3)), ("static", None), ("dhcp", None)]);
        let fault = |result: Result<NewVirtualInterface, Error>| match result.unwrap_err() {
            Error::Invalid { field, .. } => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(fault(form("gone", "", "802.3ad")), "parents");
        assert_eq!(fault(form(&on, "auto:x", "802.3ad")), "addresses");
        assert_eq!(fault(form(&on, "", "fast")), "bond_mode");
    }

    #[test]
    fn an_address_from_before_is_not_named_anew() {
        let typed = [("mode", "auto"), ("address", "10.0.0.5"), ("was-address", "10.0.0.5"), ("mtu", "9000")];
        let seen = patch(&fields(&typed)).unwrap();
        assert_eq!((seen.mode.as_deref(), seen.address, seen.mtu), (Some("auto"), None, Some(9000)));
    }
}
