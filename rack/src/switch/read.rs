//! Reading a switch: IF-MIB (RFC 2863), BRIDGE-MIB (RFC 4188), Q-BRIDGE-MIB (RFC 4363), LLDP-MIB (802.1AB-2005).

use super::session::{Cell, Row, Session};
use rackwright_common::Mac;
use rackwright_common::inventory::LldpNeighbour;
use rackwright_common::switch::{SwitchError, SwitchMac, SwitchPort, SwitchReading, SwitchVlan};
use rackwright_neighbour::lldp::identifier;
use std::collections::BTreeMap;

const SYS_DESCR: &[u64] = &[1, 3, 6, 1, 2, 1, 1, 1, 0];
const SYS_NAME: &[u64] = &[1, 3, 6, 1, 2, 1, 1, 5, 0];
const IF_DESCR: &[u64] = &[1, 3, 6, 1, 2, 1, 2, 2, 1, 2];
const IF_OPER_STATUS: &[u64] = &[1, 3, 6, 1, 2, 1, 2, 2, 1, 8];
const IF_NAME: &[u64] = &[1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1];
const IF_HIGH_SPEED: &[u64] = &[1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 15];
const IF_ALIAS: &[u64] = &[1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 18];
const BASE_PORT_IF_INDEX: &[u64] = &[1, 3, 6, 1, 2, 1, 17, 1, 4, 1, 2];
const FDB_PORT: &[u64] = &[1, 3, 6, 1, 2, 1, 17, 4, 3, 1, 2];
const Q_FDB_PORT: &[u64] = &[1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1, 2];
const VLAN_FDB_ID: &[u64] = &[1, 3, 6, 1, 2, 1, 17, 7, 1, 4, 2, 1, 3];
pub(super) const VLAN_NAME: &[u64] = &[1, 3, 6, 1, 2, 1, 17, 7, 1, 4, 3, 1, 1];
pub(super) const VLAN_EGRESS: &[u64] = &[1, 3, 6, 1, 2, 1, 17, 7, 1, 4, 3, 1, 2];
pub(super) const VLAN_UNTAGGED: &[u64] = &[1, 3, 6, 1, 2, 1, 17, 7, 1, 4, 3, 1, 4];
pub(super) const PVID: &[u64] = &[1, 3, 6, 1, 2, 1, 17, 7, 1, 4, 5, 1, 1];
const LOCAL_CHASSIS_SUBTYPE: &[u64] = &[1, 0, 8802, 1, 1, 2, 1, 3, 1, 0];
const LOCAL_CHASSIS: &[u64] = &[1, 0, 8802, 1, 1, 2, 1, 3, 2, 0];
const LOCAL_PORT_ID: &[u64] = &[1, 0, 8802, 1, 1, 2, 1, 3, 7, 1, 3];
/// `lldpRemTable`; its columns follow.
const REMOTE: [u64; 10] = [1, 0, 8802, 1, 1, 2, 1, 4, 1, 1];

/// A column by the last number of its index.
type Column = BTreeMap<u64, Cell>;

/// Reads everything. What a switch does not have is empty.
pub(super) async fn all(session: &mut Session) -> Result<SwitchReading, SwitchError> {
    let text = |cell: Option<Cell>| cell.map(|c| c.text()).unwrap_or_default();
    let mut reading = SwitchReading {
        name: text(session.get(SYS_NAME).await?),
        description: text(session.get(SYS_DESCR).await?),
        chassis: chassis(session).await?,
        ..SwitchReading::default()
    };
    reading.vlans = column(session, VLAN_NAME)
        .await?
        .into_iter()
        .filter_map(|(vid, name)| Some(SwitchVlan { vid: u16::try_from(vid).ok()?, name: name.text() }))
        .collect();
    reading.ports = ports(session).await?;
    reading.macs = macs(session).await?;
    Ok(reading)
}

async fn column(session: &mut Session, at: &[u64]) -> Result<Column, SwitchError> {
    let rows = session.walk(at).await?;
    Ok(rows.into_iter().filter_map(|(index, cell)| Some((*index.last()?, cell))).collect())
}

async fn chassis(session: &mut Session) -> Result<Option<String>, SwitchError> {
    let subtype = session.get(LOCAL_CHASSIS_SUBTYPE).await?.and_then(|c| c.number());
    let id = session.get(LOCAL_CHASSIS).await?;
    Ok(subtype.zip(id).and_then(|(subtype, id)| named(subtype, id.bytes(), 4, 5)))
}

/// An identifier as it stands in LLDP frames: its subtype first.
fn named(subtype: u64, id: &[u8], mac: u8, address: u8) -> Option<String> {
    let subtype = u8::try_from(subtype).ok()?;
    identifier(&[&[subtype], id].concat(), mac, address)
}

async fn ports(session: &mut Session) -> Result<Vec<SwitchPort>, SwitchError> {
    let descriptions = column(session, IF_DESCR).await?;
    let names = column(session, IF_NAME).await?;
    let states = column(session, IF_OPER_STATUS).await?;
    let speeds = column(session, IF_HIGH_SPEED).await?;
    let aliases = column(session, IF_ALIAS).await?;
    let pvids = column(session, PVID).await?;
    let egress = column(session, VLAN_EGRESS).await?;
    let untagged = column(session, VLAN_UNTAGGED).await?;
    let mut bridge: BTreeMap<u64, u64> = column(session, BASE_PORT_IF_INDEX)
        .await?
        .into_iter()
        .filter_map(|(port, index)| Some((port, index.number()?)))
        .collect();
    if bridge.is_empty() {
        bridge = descriptions.keys().map(|index| (*index, *index)).collect();
    }
    let text = |from: &Column, at: &u64| from.get(at).map(Cell::text).filter(|t| !t.is_empty());
    let number = |from: &Column, at: &u64| from.get(at).and_then(Cell::number);
    let mut found = Vec::new();
    for (port, index) in &bridge {
        let Ok(plain) = u32::try_from(*port) else { continue };
        let members = |of: &Column| -> Vec<u16> {
            let has = of.iter().filter(|(_, ports)| holds(ports.bytes(), plain));
            has.filter_map(|(vid, _)| u16::try_from(*vid).ok()).collect()
        };
        let untagged = members(&untagged);
        found.push(SwitchPort {
            number: plain,
            name: text(&names, index)
                .or_else(|| text(&descriptions, index))
                .unwrap_or_else(|| port.to_string()),
            alias: text(&aliases, index).unwrap_or_default(),
            up: number(&states, index) == Some(1),
            speed_mbps: number(&speeds, index).unwrap_or(0),
            pvid: number(&pvids, port).and_then(|p| u16::try_from(p).ok()),
            tagged: members(&egress).into_iter().filter(|vid| !untagged.contains(vid)).collect(),
            untagged,
            neighbour: None,
        });
    }
    neighbours(session, &bridge, &mut found).await?;
    Ok(found)
}

/// Puts the other ends to their ports. The number in LLDP's table is `ifIndex` at some makers and the bridge's port at
/// others; the switch's own name of its port decides where it has one.
async fn neighbours(
    session: &mut Session,
    bridge: &BTreeMap<u64, u64>,
    ports: &mut [SwitchPort],
) -> Result<(), SwitchError> {
    let own = column(session, LOCAL_PORT_ID).await?;
    // Time mark, local port, index.
    let mut ends: BTreeMap<(u64, u64), BTreeMap<u64, Cell>> = BTreeMap::new();
    for part in [4, 5, 6, 7, 8, 9] {
        for (index, cell) in session.walk(&[&REMOTE[..], &[part]].concat()).await? {
            if let [_, local, number] = index[..] {
                ends.entry((local, number)).or_default().insert(part, cell);
            }
        }
    }
    for ((local, _), said) in ends {
        let subtype = |at: u64| said.get(&at).and_then(Cell::number).unwrap_or(0);
        let bytes = |at: u64| said.get(&at).map(Cell::bytes).unwrap_or_default();
        let words = |at: u64| said.get(&at).map(Cell::text).filter(|t| !t.is_empty());
        let (Some(chassis), Some(port)) =
            (named(subtype(4), bytes(5), 4, 5), named(subtype(6), bytes(7), 3, 4))
        else {
            continue;
        };
        let neighbour = LldpNeighbour { chassis, port, system: words(9), description: words(8), vlan: None };
        let name = own.get(&local).map(Cell::text).filter(|n| !n.is_empty());
        let by_name = ports.iter().position(|p| Some(&p.name) == name.as_ref());
        let by_index = || ports.iter().position(|p| bridge.get(&p.number.into()) == Some(&local));
        let by_number = || ports.iter().position(|p| u64::from(p.number) == local);
        if let Some(at) = by_name.or_else(by_index).or_else(by_number) {
            ports[at].neighbour = Some(neighbour);
        }
    }
    Ok(())
}

async fn macs(session: &mut Session) -> Result<Vec<SwitchMac>, SwitchError> {
    let rows = session.walk(Q_FDB_PORT).await?;
    if rows.is_empty() {
        let rows = session.walk(FDB_PORT).await?;
        return Ok(rows.into_iter().filter_map(|row| heard(&row, None)).collect());
    }
    // Time mark, VLAN: which database the VLAN learns in; the same number where the switch does not say.
    let databases: BTreeMap<u64, u64> = session
        .walk(VLAN_FDB_ID)
        .await?
        .into_iter()
        .filter_map(|(index, database)| Some((database.number()?, *index.last()?)))
        .collect();
    let vlan = |row: &Row| {
        let database = *row.0.first()?;
        u16::try_from(databases.get(&database).copied().unwrap_or(database)).ok()
    };
    Ok(rows.iter().filter_map(|row| heard(row, vlan(row))).collect())
}

/// A row whose index ends in a MAC; port 0 is not known.
fn heard((index, port): &Row, vid: Option<u16>) -> Option<SwitchMac> {
    let bytes: Vec<u8> =
        index.iter().rev().take(6).rev().map(|n| u8::try_from(*n)).collect::<Result<_, _>>().ok()?;
    let port = u32::try_from(port.number()?).ok().filter(|p| *p > 0)?;
    Some(SwitchMac { mac: Mac(bytes.try_into().ok()?), vid, port })
}

/// Whether a PortList has a port: the highest bit of the first byte is port 1 (RFC 4363, PortList).
pub(super) fn holds(list: &[u8], port: u32) -> bool {
    let Some(at) = port.checked_sub(1) else { return false };
    list.get(at as usize / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0)
}
