//! Making a port an access port of one VLAN (Q-BRIDGE-MIB): first into the new VLAN, then its number for untagged frames, then
//! out of the old one; and a look at whether the switch has really done it. Asking twice does nothing twice.

use super::read::{PVID, VLAN_EGRESS, VLAN_NAME, VLAN_UNTAGGED, holds};
use super::session::{New, Session};
use rackwright_common::switch::SwitchError;

/// A VLAN's members.
struct Members {
    vid: u64,
    egress: Vec<u8>,
    untagged: Vec<u8>,
}

/// See the module.
pub(super) async fn set(session: &mut Session, port: u32, vid: u16) -> Result<(), SwitchError> {
    let at = |column: &[u64], row: u64| [column, &[row]].concat();
    if port == 0 || session.get(&at(PVID, port.into())).await?.is_none() {
        return Err(SwitchError::Refused(format!("the switch has no port {port}, or tells no VLAN of it")));
    }
    if session.get(&at(VLAN_NAME, vid.into())).await?.is_none() {
        return Err(SwitchError::Refused(format!("the switch has no VLAN {vid}; make it there first")));
    }
    let all = members(session).await?;
    let tagged: Vec<_> = all
        .iter()
        .filter(|m| holds(&m.egress, port) && !holds(&m.untagged, port))
        .map(|m| m.vid.to_string())
        .collect();
    if !tagged.is_empty() {
        return Err(SwitchError::Refused(format!(
            "port {port} carries tagged VLANs ({}): it is no access port",
            tagged.join(", ")
        )));
    }
    for one in all.iter().filter(|m| m.vid == u64::from(vid) && !holds(&m.untagged, port)) {
        let joined = [(VLAN_EGRESS, with(&one.egress, port)), (VLAN_UNTAGGED, with(&one.untagged, port))];
        session.set(&joined.map(|(column, list)| (at(column, one.vid), New::Bytes(list)))).await?;
    }
    session.set(&[(at(PVID, port.into()), New::Unsigned(vid.into()))]).await?;
    for one in all.iter().filter(|m| m.vid != u64::from(vid) && holds(&m.untagged, port)) {
        let left = [(VLAN_UNTAGGED, without(&one.untagged, port)), (VLAN_EGRESS, without(&one.egress, port))];
        session.set(&left.map(|(column, list)| (at(column, one.vid), New::Bytes(list)))).await?;
    }
    check(session, port, vid).await
}

/// Whether the switch says what it was told.
async fn check(session: &mut Session, port: u32, vid: u16) -> Result<(), SwitchError> {
    let pvid = session.get(&[PVID, &[port.into()]].concat()).await?.and_then(|c| c.number());
    let all = members(session).await?;
    let of: Vec<_> = all.iter().filter(|m| holds(&m.egress, port)).map(|m| m.vid).collect();
    let untagged: Vec<_> = all.iter().filter(|m| holds(&m.untagged, port)).map(|m| m.vid).collect();
    let wanted = [u64::from(vid)];
    if pvid == Some(wanted[0]) && of == wanted && untagged == wanted {
        return Ok(());
    }
    Err(SwitchError::Refused(format!(
        "the switch took the change and does not have it: port {port} is in VLANs {of:?}, untagged {untagged:?}, own VLAN {pvid:?}"
    )))
}

async fn members(session: &mut Session) -> Result<Vec<Members>, SwitchError> {
    let egress = session.walk(VLAN_EGRESS).await?;
    let untagged = session.walk(VLAN_UNTAGGED).await?;
    let of = |vid: u64| untagged.iter().find(|(index, _)| index.last() == Some(&vid));
    Ok(egress
        .iter()
        .filter_map(|(index, list)| {
            let vid = *index.last()?;
            let untagged = of(vid).map(|(_, l)| l.bytes().to_vec()).unwrap_or_default();
            Some(Members { vid, egress: list.bytes().to_vec(), untagged })
        })
        .collect())
}

fn with(list: &[u8], port: u32) -> Vec<u8> {
    let (byte, bit) = place(port);
    let mut list = list.to_vec();
    list.resize(list.len().max(byte + 1), 0);
    list[byte] |= bit;
    list
}

fn without(list: &[u8], port: u32) -> Vec<u8> {
    let (byte, bit) = place(port);
    let mut list = list.to_vec();
    if let Some(found) = list.get_mut(byte) {
        *found &= !bit;
    }
    list
}

fn place(port: u32) -> (usize, u8) {
    let at = port.saturating_sub(1);
    (at as usize / 8, 0x80 >> (at % 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_bits_from_the_left() {
        assert_eq!(with(&[], 1), [0x80]);
        assert_eq!(with(&[0x80], 10), [0x80, 0x40]);
        assert_eq!(without(&[0x80, 0x40], 10), [0x80, 0]);
        assert_eq!(without(&[0x80], 100), [0x80]);
        assert!(holds(&[0x80, 0x40], 10) && !holds(&[0x80, 0x40], 9) && !holds(&[0xff], 0) && !holds(&[], 8));
    }
}
