//! Exchanges with racks about dynamic addresses: reports in, changes out, each one transaction under the lock of the
//! changes' number. `docs/decisions/0007-dhcp-on-n-racks.md` has the argument why no address gets two holders, and
//! `rackwright_dhcp::racks` the rules; the model that the simulator proves them with says the same in fewer words, and
//! `region/tests/lease_exchange.rs` holds this to it.
//!
//! Nothing here runs by a timer: whoever is left reports every second, and before most answers everything that is due is
//! done. A report that says nothing new, to which nothing new can be said, costs two statements and no lock.

use super::{complaint, restored};
use crate::db::DbError;
use crate::db::event::{self, NewEvent};
use crate::db::lease_address::{self, AddressRow};
use crate::db::lease_block::{self, Block};
use crate::db::lease_state::{self, Changes, RackState};
use rackwright_common::lease::{LeaseEvent, LeaseNews, LeaseReport, LeaseWord, LiveRacks};
use rackwright_common::snapshot::BlockView;
use rackwright_dhcp::ClientKey;
use rackwright_dhcp::racks::{Next, Row, Terms, Word};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::net::Ipv4Addr;

/// What the exchanges go by.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Times; the longest lease is the database's to know.
    pub terms: Terms,
    /// A rack that reported within this time is alive, seconds.
    pub live_seconds: i64,
    /// A rack of which a block is called back keeps so many free addresses.
    pub spare: i64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { terms: Terms::default(), live_seconds: 5, spare: 16 }
    }
}

impl Rules {
    fn terms_of(&self, rack: &RackState) -> Terms {
        Terms { longest_lease_seconds: number(rack.longest_lease), ..self.terms }
    }
}

/// One exchange with a rack. None: the report is of an earlier run, or of another box than the one that speaks as this
/// rack now. With `in_full` nothing that is due is left for a later exchange.
pub async fn exchange(
    conn: &mut PgConnection,
    rack: i64,
    report: &LeaseReport,
    in_full: bool,
) -> Result<Option<LeaseNews>, DbError> {
    let rules = Rules::default();
    if !in_full && let Some(news) = nothing_new(conn, &rules, rack, report).await? {
        return Ok(Some(news));
    }
    let mut tx = conn.begin().await?;
    let mut changes = Changes::lock(&mut tx).await?;
    let now = lease_state::now(&mut tx).await?;
    let news = exchange_at(&mut tx, &mut changes, &rules, rack, report, now).await?;
    tx.commit().await?;
    Ok(news)
}

/// The answer to a rack that has nothing to say and has learned all that there is; none when there is more to it.
pub async fn nothing_new(
    conn: &mut PgConnection,
    rules: &Rules,
    rack: i64,
    report: &LeaseReport,
) -> Result<Option<LeaseNews>, DbError> {
    let (life, learned) = (signed(report.life), signed(report.learned));
    if !report.facts.is_empty() || !report.low.is_empty() {
        return Ok(None);
    }
    let heard = lease_state::heard_nothing_new(conn, rack, report.memory, life, learned).await?;
    let Some((stored, now)) = heard else { return Ok(None) };
    let live = lease_state::live(conn, rack, now - rules.live_seconds).await?;
    Ok(Some(LeaseNews {
        rack,
        memory: report.memory,
        life: report.life,
        sent_at: report.sent_at,
        blocks: None,
        after: report.learned,
        upto: report.learned,
        whole: false,
        stored: number(stored),
        words: Vec::new(),
        live: live.into_iter().map(|(network, racks)| LiveRacks { network, racks }).collect(),
    }))
}

/// The same at a time, within a transaction.
pub async fn exchange_at(
    conn: &mut PgConnection,
    changes: &mut Changes,
    rules: &Rules,
    rack: i64,
    report: &LeaseReport,
    now: i64,
) -> Result<Option<LeaseNews>, DbError> {
    let before = find(conn, rack, now).await?;
    let memory_is_known = before.memory == Some(report.memory);
    let life = signed(report.life);
    if memory_is_known && life < before.life {
        return Ok(None);
    }
    if before.memory.is_some() && !memory_is_known && is_live(rules, &before, now) {
        let message = format!(
            "two boxes speak as the rack {}: stop one of them, and enrol it under a name of its own",
            before.name
        );
        complaint::tell(conn, &before.name, "rack.two-boxes", &message).await?;
        return Ok(None);
    }
    let missing =
        signed(report.learned) > changes.last() || (memory_is_known && report.after > number(before.stored));
    if missing {
        tracing::error!(
            rack.name = before.name,
            "the database lacks what this rack has told and learned: it was restored"
        );
        restored::begin(conn, changes, &rules.terms, now, signed(report.learned)).await?;
        return Box::pin(exchange_at(conn, changes, rules, rack, report, now)).await;
    }
    advance(conn, changes, rules, now).await?;
    if !memory_is_known {
        begin_memory(conn, changes, rules, &before, report, now).await?;
    }
    lease_state::heard(conn, rack, life, now).await?;
    let new_subnets = lease_state::join_subnets(conn, rack).await?;
    let present = find(conn, rack, now).await?;
    let stored = store(conn, changes, &present, report, now).await?;
    for subnet in &report.low {
        if !lease_block::grant(conn, changes, rack, *subnet).await? {
            let live = now - rules.live_seconds;
            lease_block::recall_for(conn, changes, (rack, *subnet), live, rules.spare).await?;
        }
    }
    advance(conn, changes, rules, now).await?;
    if new_subnets > 0 && !present.muted && memory_is_known {
        // It missed what was told of them before.
        let floor = changes.take();
        lease_state::unmute(conn, rack, floor).await?;
    }
    let present = find(conn, rack, now).await?;
    let whole = present.muted || signed(report.learned) < present.floor;
    if present.muted {
        lease_state::unmute(conn, rack, present.floor).await?;
    }
    changes.save(conn).await?;
    answer(conn, rules, report, (rack, now), stored, (changes.last(), whole)).await.map(Some)
}

async fn find(conn: &mut PgConnection, rack: i64, now: i64) -> Result<RackState, DbError> {
    let racks = lease_state::racks(conn, now).await?;
    racks.into_iter().find(|r| r.id == rack).ok_or(DbError::NotFound)
}

fn is_live(rules: &Rules, rack: &RackState, now: i64) -> bool {
    rack.heard.is_some_and(|heard| now < heard + rules.live_seconds)
}

/// A rack comes for the first time, or with another memory than before. What it gave and forgot is valid for one longest
/// lease at most; so long its promises do not count, and nobody gets its blocks.
async fn begin_memory(
    conn: &mut PgConnection,
    changes: &mut Changes,
    rules: &Rules,
    before: &RackState,
    report: &LeaseReport,
    now: i64,
) -> Result<(), DbError> {
    let floor = changes.take();
    let mut blind_until = None;
    if before.memory.is_some() {
        blind_until = Some(signed(rules.terms_of(before).out_after_fence(number(now))));
        lease_block::recall_all(conn, changes, before.id).await?;
        let message = format!(
            "The rack {} has lost its memory of leases; the addresses that it gave are used again after the longest lease",
            before.name
        );
        tell(conn, "rack.memory-lost", &message, before).await?;
    }
    lease_state::begin_memory(conn, before.id, report.memory, signed(report.after), floor, blind_until).await
}

/// Stores what is new in a report; up to which fact everything is stored then.
async fn store(
    conn: &mut PgConnection,
    changes: &mut Changes,
    rack: &RackState,
    report: &LeaseReport,
    now: i64,
) -> Result<u64, DbError> {
    let mut stored = number(rack.stored);
    if report.after > stored {
        return Ok(stored);
    }
    let mut caught_up = 0;
    for fact in &report.facts {
        if fact.number <= stored {
            continue;
        }
        stored = fact.number;
        match &fact.what {
            LeaseEvent::Lease { address, client, seconds, epoch } => {
                let client = hex::decode(client).ok().and_then(|bytes| ClientKey::from_bytes(&bytes));
                let until = number(now).saturating_add(*seconds);
                if let Some(client) = client {
                    store_lease(conn, changes, rack.id, *address, &client, until, *epoch).await?;
                }
            }
            LeaseEvent::CaughtUp { change } => caught_up = caught_up.max(signed(*change)),
            LeaseEvent::Unknown => {}
        }
    }
    lease_state::reported(conn, rack.id, signed(stored), caught_up).await?;
    Ok(stored)
}

async fn store_lease(
    conn: &mut PgConnection,
    changes: &mut Changes,
    rack: i64,
    address: Ipv4Addr,
    client: &ClientKey,
    until: u64,
    epoch: Option<u64>,
) -> Result<(), DbError> {
    let block = lease_block::find(conn, address).await?;
    let row = lease_address::find(conn, address).await?;
    let by_owner = block.as_ref().is_some_and(|b| b.rack == rack && epoch == Some(number(b.epoch)));
    let Some(subnet) = block.as_ref().map(|b| b.subnet).or(row.as_ref().map(|r| r.subnet)) else {
        return Ok(());
    };
    let row = row.map(|r| r.row);
    let next = number(changes.last()) + 1;
    if let Some(row) = Row::reported(row.as_ref(), by_owner, client, until, next) {
        changes.take();
        lease_address::put(conn, &AddressRow { address, subnet, row }).await?;
    }
    Ok(())
}

/// Does everything that is due: goes on without silent racks, frees blocks, moves rows on.
pub async fn advance(
    conn: &mut PgConnection,
    changes: &mut Changes,
    rules: &Rules,
    now: i64,
) -> Result<(), DbError> {
    let at = number(now);
    let racks = lease_state::racks(conn, now).await?;
    for rack in racks.iter().filter(|r| !r.muted) {
        let silent = rack.heard.is_some_and(|heard| at >= rules.terms_of(rack).mute_at(number(heard)));
        if silent || is_fenced_off(rules, rack, at) {
            let floor = changes.take();
            lease_state::mute(conn, rack.id, floor).await?;
        }
    }
    let out: Vec<&RackState> = racks.iter().filter(|r| is_out(rules, r, at)).collect();
    let ids: Vec<i64> = out.iter().map(|r| r.id).collect();
    for block in lease_block::leaving(conn, &ids).await? {
        let Some(rack) = racks.iter().find(|r| r.id == block.rack) else { continue };
        let given_back = block.recalled.is_some_and(|change| rack.caught_up >= change);
        let is_out = ids.contains(&rack.id);
        if is_out || given_back {
            lease_block::free(conn, changes, &block).await?;
        }
        if is_out {
            tell_moved(conn, rack, &block).await?;
        }
    }
    if let Some(change) = changes.restored() {
        let agrees = |r: &RackState| r.heard.is_none() || r.caught_up >= change || is_out(rules, r, at);
        if racks.iter().all(agrees) {
            changes.set_restored(conn, None).await?;
        }
    }
    let ended_before = now - signed(rules.terms.late_answer_seconds);
    for due in lease_address::due(conn, now, ended_before).await? {
        let mut at_address = due.at;
        match at_address.row.next(at, &rules.terms, due.owner, due.others) {
            Next::Stay => {}
            Next::Become(state) => {
                (at_address.row.state, at_address.row.change) = (state, number(changes.take()));
                lease_address::put(conn, &at_address).await?;
            }
            Next::Remove => lease_address::remove(conn, at_address.address).await?,
        }
    }
    changes.save(conn).await
}

/// It was declared off, and the last lease that it can have given is over.
fn is_fenced_off(rules: &Rules, rack: &RackState, now: u64) -> bool {
    rack.fenced.is_some_and(|at| now >= rules.terms_of(rack).out_after_fence(number(at)))
}

/// Nothing that it gave is valid unknown. A rack that speaks without reporting leases, because it was put back to the
/// version before, still gives.
fn is_out(rules: &Rules, rack: &RackState, now: u64) -> bool {
    let last = rack.heard.map(|heard| heard.max(rack.seen.unwrap_or(0)));
    is_fenced_off(rules, rack, now)
        || last.is_some_and(|last| now >= rules.terms_of(rack).out_at(number(last)))
}

async fn tell_moved(conn: &mut PgConnection, rack: &RackState, block: &Block) -> Result<(), DbError> {
    let message =
        format!("The addresses {} to {} of the rack {} may go to others", block.first, block.last, rack.name);
    tell(conn, "rack.block-freed", &message, rack).await
}

async fn tell(conn: &mut PgConnection, kind: &str, message: &str, rack: &RackState) -> Result<(), DbError> {
    let event = NewEvent {
        kind,
        level: "warning",
        machine: None,
        operation: None,
        actor: "rackwright",
        message,
        data: json!({ "rack": rack.name }),
    };
    event::append(conn, &event).await
}

async fn answer(
    conn: &mut PgConnection,
    rules: &Rules,
    report: &LeaseReport,
    (rack, now): (i64, i64),
    stored: u64,
    (upto, whole): (i64, bool),
) -> Result<LeaseNews, DbError> {
    let blocks = lease_block::of_rack(conn, rack).await?;
    let view = |b: &Block| BlockView { first: b.first, last: b.last, epoch: b.epoch, since: b.since };
    let changed = lease_address::changed(conn, rack, signed(report.learned), whole).await?;
    let word = |(at, own): &(AddressRow, bool)| match at.row.word(at.address, *own) {
        Word::Keep { address, client } => LeaseWord { address, client: Some(hex::encode(client.as_bytes())) },
        Word::Drop { address } => LeaseWord { address, client: None },
    };
    let live = lease_state::live(conn, rack, now - rules.live_seconds).await?;
    Ok(LeaseNews {
        rack,
        memory: report.memory,
        life: report.life,
        sent_at: report.sent_at,
        blocks: Some(blocks.iter().map(view).collect()),
        after: report.learned,
        upto: number(upto),
        whole,
        stored,
        words: changed.iter().map(word).collect(),
        live: live.into_iter().map(|(network, racks)| LiveRacks { network, racks }).collect(),
    })
}

pub(super) fn number(signed: i64) -> u64 {
    u64::try_from(signed).unwrap_or(0)
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
