//! Names for machines: those of the site from the snapshot, all others by way of the site's upstream servers.
//!
//! What holds: with every region dead, and across a restart, the site's names are answered; who is in none of the site's
//! networks gets those only; nothing that is kept grows without bound.

mod cache;
mod forward;
mod upstream;

use crate::addresses;
use crate::served::Served;
use crate::state::World;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use forward::Forwarder;
use rackwright_common::names::{NamesView, ZoneView};
use rackwright_dns::{Data, Query, Record, Rest, Writer, Zone, Zones, flag, rcode, refusal};
use rackwright_services::dns::{Respond, Transport, Verdict, serve};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The longest answer by connection.
const LONGEST: usize = 65_535;

/// Answers names at the addresses of the interfaces until cancelled.
pub async fn run(
    interfaces: Vec<String>,
    port: u16,
    world: Arc<World>,
    served: Served,
    cancel: CancellationToken,
) {
    let names = Arc::new(Names::new(&world));
    let follow = follow(names.clone(), world, cancel.clone());
    let serve = addresses::serve_each(&interfaces, cancel.clone(), |address, stop| {
        at_address(address, port, names.clone(), served.clone(), stop)
    });
    let (served, ()) = tokio::join!(serve, follow);
    let Ok(()) = served;
}

async fn at_address(
    address: IpAddr,
    port: u16,
    names: Arc<Names>,
    served: Served,
    stop: CancellationToken,
) -> Result<(), std::convert::Infallible> {
    names.forwarder.own(address, true);
    let told = |now: Result<(), &std::io::Error>| {
        // Machines are told of IPv4 addresses only.
        if let IpAddr::V4(address) = address {
            served.set_names(address, now.is_ok());
        }
    };
    serve(SocketAddr::from((address, port)), names.clone(), told, stop).await;
    names.forwarder.own(address, false);
    Ok(())
}

/// Takes over each new snapshot.
async fn follow(names: Arc<Names>, world: Arc<World>, cancel: CancellationToken) {
    let mut changes = world.subscribe();
    loop {
        names.take(&world);
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = changes.changed() => if changed.is_err() {
                return cancel.cancelled().await;
            },
        }
    }
}

/// The names of the moment.
struct Names {
    present: ArcSwap<Present>,
    forwarder: Forwarder,
}

struct Present {
    zones: Zones,
    view: NamesView,
}

impl Names {
    fn new(world: &World) -> Self {
        let names = Self {
            present: ArcSwap::from_pointee(Present { zones: Zones::default(), view: NamesView::default() }),
            forwarder: Forwarder::new(),
        };
        names.take(world);
        names
    }

    /// Zones whose serial stays are kept as they are.
    fn take(&self, world: &World) {
        let snapshot = world.snapshot();
        let before = self.present.load_full();
        if snapshot.names == before.view {
            return;
        }
        let mut zones = Zones::default();
        for view in &snapshot.names.zones {
            let kept = before.view.zones.contains(view);
            let origin = view.origin.parse().ok();
            match origin.and_then(|origin| before.zones.get(&origin).cloned()).filter(|_| kept) {
                Some(zone) => zones.insert(zone),
                None => match zone(view) {
                    Some(zone) => zones.insert(Arc::new(zone)),
                    None => tracing::warn!(zone = view.origin, "a zone of the snapshot cannot be served"),
                },
            }
        }
        self.forwarder.set_upstreams(&snapshot.names.upstreams);
        self.present.store(Arc::new(Present { zones, view: snapshot.names.clone() }));
    }

    /// Whether somebody is in a network of the site, or on this box.
    fn knows(&self, from: IpAddr) -> bool {
        from.is_loopback() || self.present.load().view.clients.iter().any(|net| net.contains(&from))
    }
}

/// A zone of these records. A record that this version cannot read is left out.
fn zone(view: &ZoneView) -> Option<Zone> {
    let record = |r: &rackwright_common::names::RecordView| {
        let data = Data::parse(r.kind.parse().ok()?, &r.data).ok()?;
        Some(Record { name: r.name.parse().ok()?, ttl: r.ttl, data })
    };
    let records = view.records.iter().filter_map(record);
    Zone::new(view.origin.parse().ok()?, view.serial, view.minimum, records).ok()
}

fn limit(query: &Query<'_>, by: Transport) -> usize {
    match by {
        Transport::Udp => query.udp_limit(),
        Transport::Tcp => LONGEST,
    }
}

#[async_trait]
impl Respond for Names {
    fn respond(&self, query: &[u8], from: SocketAddr, by: Transport, answer: &mut Vec<u8>) -> Verdict {
        let Ok(query) = Query::parse(query) else { return Verdict::Silent };
        let known = self.knows(from.ip());
        if let Some(code) = refusal(&query) {
            refuse(&query, code, answer);
            return Verdict::Answered;
        }
        let present = self.present.load();
        let mut found = present.zones.answer(&query, answer, limit(&query, by));
        if known {
            found.message.set(flag::RA);
        }
        // The key of the site's zone is said by the zone above, which others have: who checks signatures asks for it.
        let above = known && query.wants_recursion() && present.zones.is_asked_above(&query.name, query.kind);
        let wanted = match &found.rest {
            _ if above => Some((query.name.clone(), true)),
            Rest::Done => None,
            Rest::Elsewhere => Some((query.name.clone(), true)),
            Rest::Follow(name) => Some((name.clone(), false)),
        };
        let Some((name, whole)) = wanted else {
            found.message.finish(query.edns);
            return Verdict::Answered;
        };
        if !known || !query.wants_recursion() {
            if whole {
                refuse(&query, rcode::REFUSED, answer);
            } else {
                found.message.finish(query.edns);
            }
            return Verdict::Answered;
        }
        let Some((reply, age)) = self.forwarder.kept(&name, &query) else { return Verdict::Waits };
        if whole {
            let mut message = reply.answer(&query, age, answer, limit(&query, by));
            message.set(flag::RA);
            message.finish(query.edns);
        } else {
            reply.follow(&mut found.message, age);
            found.message.finish(query.edns);
        }
        Verdict::Answered
    }

    async fn wait(&self, query: &[u8], from: SocketAddr, by: Transport, answer: &mut Vec<u8>) {
        let Ok(parsed) = Query::parse(query) else { return };
        let name = {
            let found = self.present.load().zones.answer(&parsed, answer, LONGEST);
            match found.rest {
                Rest::Follow(name) => name,
                Rest::Elsewhere | Rest::Done => parsed.name.clone(),
            }
        };
        if !self.forwarder.fetch(&name, &parsed).await
            || self.respond(query, from, by, answer) != Verdict::Answered
        {
            let mut message = Writer::respond(&parsed, answer, 512);
            message.set(flag::RA);
            message.code(rcode::SERVER_FAILURE);
            message.finish(parsed.edns);
        }
    }
}

fn refuse(query: &Query<'_>, code: u16, answer: &mut Vec<u8>) {
    let mut message = Writer::respond(query, answer, 512);
    message.code(code);
    message.finish(query.edns);
}
