//! What a deployment would make of a machine's network, without doing it.

use super::{App, Describe, Result, access};
use crate::auth::Actor;
use crate::db;
use crate::model::interface::{NetworkPlanView, PlannedDhcp, PlannedInterface};
use crate::network::plan::{self, Stored};
use ipnet::IpNet;
use rackwright_common::MachineId;
use rackwright_common::network::{LinkMode, LinkPlan, VirtualKind};
use std::net::IpAddr;

/// What a deployment would make of the machine's network now. Changes nothing.
pub async fn show(app: &App, actor: &Actor, id: &MachineId) -> Result<NetworkPlanView> {
    // Addresses are chosen as a deployment would, and the transaction is rolled back.
    let mut tx = app.database().begin().await?;
    access::see(&mut tx, actor, id).await?;
    db::machine_edit::lock(&mut tx, id).await.or_not_found("machine", id)?;
    let before = Stored::load(&mut tx, id).await?;
    let mut problems = plan::choose_addresses(&mut tx, id, None).await?;
    let stored = Stored::load(&mut tx, id).await?;
    problems.extend(stored.problems());
    drop(tx);
    let had: Vec<IpAddr> = before
        .physical
        .iter()
        .filter_map(|i| i.address.map(IpAddr::V4))
        .chain(before.addresses.iter().filter_map(|a| a.view.address))
        .collect();
    let plan = stored.plan();
    let physical = plan.interfaces.iter().map(|interface| {
        let mut link = interface.link.clone();
        match &interface.mode {
            LinkMode::Dhcp => link.dhcp = true,
            LinkMode::LinkUp => {}
            LinkMode::Static { address, gateway } => {
                link.addresses.insert(0, IpNet::V4(*address));
                link.gateways.extend(gateway.map(IpAddr::V4));
            }
        }
        shown(&interface.name, "physical", &link, &had)
    });
    let made = plan.virtual_interfaces.iter().map(|v| {
        let kind = match v.kind {
            VirtualKind::Vlan { .. } => "vlan",
            VirtualKind::Bond { .. } => "bond",
            VirtualKind::Bridge { .. } => "bridge",
        };
        shown(&v.name, kind, &v.link, &had)
    });
    let fixed = |i: &db::interface::Interface| i.address.map(IpAddr::V4);
    Ok(NetworkPlanView {
        interfaces: physical.chain(made).collect(),
        netplan: plan.to_netplan(),
        nameservers: plan.nameservers,
        search: plan.search,
        dhcp: stored.physical.iter().map(|i| PlannedDhcp { mac: i.mac, address: fixed(i) }).collect(),
        problems,
    })
}

fn shown(name: &str, kind: &str, link: &LinkPlan, had: &[IpAddr]) -> PlannedInterface {
    let defaults = link.gateways.iter().map(|via| format!("default via {via}"));
    let routes = link.routes.iter().map(|r| format!("{} via {}", r.to, r.via));
    PlannedInterface {
        name: name.to_owned(),
        kind: kind.to_owned(),
        dhcp: link.dhcp,
        addresses: link.addresses.clone(),
        chosen: link.addresses.iter().map(IpNet::addr).filter(|a| !had.contains(a)).collect(),
        routes: defaults.chain(routes).collect(),
        mtu: link.mtu,
    }
}
