//! Harm that is planted: what a fault of the product would do, so that a run shows what its checks are worth.
//!
//! What holds: each harm is done where such a fault would do it, by the same means as all else in the site (the API, a
//! machine's power, what is written to its disk, a message to a DHCP client); whoever looks does not know of it.

use super::machine::Machine;
use super::round::Site;
use super::watch::{self, Deploy, Writer, wrong_effects};
use crate::cluster::CLIENT;
use crate::simulated::{chassis, life};
use anyhow::{Context, Result, ensure};
use rackwright_lab::{forward, poll};
use serde_json::json;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, SystemTime};

/// Until a machine was switched on, a change was acknowledged, a message was seen.
const LIMIT: Duration = Duration::from_secs(60);
/// A client that is given somebody else's address.
const SECOND: [u8; 6] = [0x02, 0, 0, 0xff, 0, 1];

/// Plants one harm of each sort; those that were not seen.
pub fn unseen(site: &Site<'_>) -> Result<Vec<String>> {
    let [restarted, damaged] = &site.machines[..] else { anyhow::bail!("two machines are needed") };
    let mut unseen = Vec::new();
    let mut expect = |what: &str, seen: bool| {
        if !seen {
            unseen.push(format!("{what} was planted, and nobody saw it"));
        }
    };
    let writer = Writer::start(&site.cluster, "planted")?;
    let began = SystemTime::now();
    damaged.played.as_ref().context("a machine that is played")?.spoil();
    let operations = site.begin("deploy", &json!({ "image": site.image }))?;
    restart(site, restarted, began)?;
    let forgotten = forget(site)?;
    let address = give_again(site)?;
    let wrong = |machine: &Machine, operation: i64| {
        life::until_over(&site.cluster, &machine.id, operation, LIMIT)?;
        let deploy = Deploy { operation, began, tries_told: site.tries_told(operation)? };
        anyhow::Ok(wrong_effects(&deploy, &machine.acts(site.lab)?, &machine.story()).join("; "))
    };
    expect("a restart of a machine", wrong(restarted, operations[0])?.contains("power-ons"));
    expect("damage to an image", wrong(damaged, operations[1])?.contains("Damaged"));
    let (_, lost) = writer.end(&site.cluster)?;
    expect("the loss of an acknowledged change", lost == [forgotten]);
    let holders = watch::holders(site.lab);
    expect("an address for a second client", holders.get(&address).is_some_and(|macs| macs.len() > 1));
    Ok(unseen)
}

/// As soon as the machine is switched on, it is restarted: as if a command was carried out twice.
fn restart(site: &Site<'_>, machine: &Machine, began: SystemTime) -> Result<()> {
    let since = began.duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
    poll::until(LIMIT, &format!("{} to be switched on", machine.name), || {
        let acts = machine.acts(site.lab)?;
        ensure!(acts.iter().any(|act| act.at >= since && act.what == "on"), "{acts:?}");
        Ok(Some(()))
    })?;
    let words = ["set", "reset", "1"].map(str::to_owned);
    chassis::run(site.lab.machine(&machine.name)?.folder(), &words).map(drop)
}

/// Removes something that the writer made: as if its change was lost in a failover.
fn forget(site: &Site<'_>) -> Result<String> {
    let (id, name) = poll::until(LIMIT, "a change of the writer", || {
        let listed = site.cluster.ask(|api| api.get("/api/v1/fabrics"))?;
        let items = listed["items"].as_array().context("a list of fabrics")?;
        let named = |item: &serde_json::Value| {
            let name = item["name"].as_str().filter(|name| name.starts_with("planted-"))?;
            Some((item["id"].clone(), name.to_owned()))
        };
        Ok(items.iter().find_map(named))
    })?;
    // The writer has its answer long before.
    thread::sleep(Duration::from_secs(1));
    site.cluster.ask(|api| api.delete(&format!("/api/v1/fabrics/{id}")))?;
    Ok(name)
}

/// Acknowledges somebody's address to a second client: as if two racks had given it.
fn give_again(site: &Site<'_>) -> Result<String> {
    let holders = watch::holders(site.lab);
    let address = holders.keys().next().context("no address was given")?.clone();
    let message = acknowledgement(address.parse()?);
    let namespace = site.lab.namespace(CLIENT);
    let sending = thread::spawn(move || {
        forward::enter(&namespace)?;
        let socket = UdpSocket::bind("10.77.0.100:67")?;
        socket.set_broadcast(true)?;
        anyhow::Ok(socket.send_to(&message, "10.77.0.255:68")?)
    });
    sending.join().map_err(|_| anyhow::anyhow!("the sending thread panicked"))??;
    poll::until(LIMIT, "the message on the network", || {
        let macs = watch::holders(site.lab).remove(&address).unwrap_or_default();
        // Whether that is found wrong is the caller's question; here only that it was written down.
        Ok(macs.iter().any(|mac| *mac == "02:00:00:ff:00:01").then_some(()))
    })?;
    Ok(address)
}

/// DHCPACK, RFC 2131 section 2, with option 53 alone.
fn acknowledgement(address: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0; 236];
    // A reply, on Ethernet.
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[16..20].copy_from_slice(&address.octets());
    message[28..34].copy_from_slice(&SECOND);
    message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 5, 255]);
    message.resize(300, 0);
    message
}
