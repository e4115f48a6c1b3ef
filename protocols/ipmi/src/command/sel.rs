//! The system event log (§31, §32).

use super::{Command, netfn};
use crate::error::{DecodeError, Reader};
use crate::wire::message::Request;

/// Record id of the first entry in a request.
pub const FIRST: u16 = 0x0000;
/// Record id that means "no further entry" in an answer.
pub const LAST: u16 = 0xffff;

/// Get SEL Info (§31.2).
#[derive(Debug, Clone, Copy)]
pub struct GetSelInfo;

/// How full the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelInfo {
    /// Entries in the log.
    pub entries: u16,
    /// Free bytes; 0xFFFF means "that or more".
    pub free_bytes: u16,
    /// Time of the last addition, seconds since 1970 by the BMC's clock; `None` when never or unknown.
    pub last_added: Option<u32>,
    /// Entries were lost because the log was full.
    pub overflow: bool,
}

impl Command for GetSelInfo {
    type Answer = SelInfo;

    fn request(&self) -> Request {
        Request::new(netfn::STORAGE, 0x40, [])
    }

    fn parse(&self, data: &[u8]) -> Result<SelInfo, DecodeError> {
        let mut reader = Reader::new("Get SEL Info", data);
        reader.u8()?;
        let entries = reader.u16()?;
        let free_bytes = reader.u16()?;
        let last_added = reader.u32()?;
        reader.u32()?;
        let operations = reader.u8()?;
        Ok(SelInfo {
            entries,
            free_bytes,
            last_added: known_time(last_added),
            overflow: operations & 0x80 != 0,
        })
    }
}

/// 0xFFFFFFFF is "unspecified"; up to 0x20000000 it is seconds since the BMC's start (§37).
fn known_time(seconds: u32) -> Option<u32> {
    (seconds != u32::MAX && seconds > 0x2000_0000).then_some(seconds)
}

/// Get SEL Entry (§31.5): one whole entry.
#[derive(Debug, Clone, Copy)]
pub struct GetSelEntry {
    /// Record id, [`FIRST`] for the first.
    pub record: u16,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelEntry {
    /// Record id.
    pub record: u16,
    /// Record type: 0x02 system event, 0xC0..=0xDF OEM with time, 0xE0..=0xFF OEM without.
    pub kind: u8,
    /// Seconds since 1970 by the BMC's clock; `None` when unknown.
    pub time: Option<u32>,
    /// The event, for type 0x02.
    pub event: Option<SelEvent>,
    /// The 16 bytes as they came.
    pub raw: [u8; 16],
}

/// A system event (§32.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelEvent {
    /// Who made it.
    pub generator: u16,
    /// Sensor type (table 42-3).
    pub sensor_type: u8,
    /// Sensor number.
    pub sensor: u8,
    /// Event type: 1 threshold, 0x6F sensor-specific, others generic.
    pub event_type: u8,
    /// The condition ended.
    pub deasserted: bool,
    /// Event data 1..3; the low four bits of the first name the event.
    pub data: [u8; 3],
}

impl SelEntry {
    /// Reads a record.
    pub fn decode(raw: [u8; 16]) -> Self {
        let [r0, r1, kind, t0, t1, t2, t3, g0, g1, _rev, sensor_type, sensor, event, d1, d2, d3] = raw;
        let time = if kind >= 0xe0 { None } else { known_time(u32::from_le_bytes([t0, t1, t2, t3])) };
        let event = (kind == 0x02).then_some(SelEvent {
            generator: u16::from_le_bytes([g0, g1]),
            sensor_type,
            sensor,
            event_type: event & 0x7f,
            deasserted: event & 0x80 != 0,
            data: [d1, d2, d3],
        });
        Self { record: u16::from_le_bytes([r0, r1]), kind, time, event, raw }
    }
}

impl SelEvent {
    /// The sensor type in words, as the field names it.
    pub fn sensor_type_name(&self) -> &'static str {
        match self.sensor_type {
            0x01 => "temperature",
            0x02 => "voltage",
            0x03 => "current",
            0x04 => "fan",
            0x05 => "physical security",
            0x07 => "processor",
            0x08 => "power supply",
            0x09 => "power unit",
            0x0c => "memory",
            0x0d => "drive slot",
            0x0f => "system firmware progress",
            0x10 => "event logging",
            0x12 => "system event",
            0x13 => "critical interrupt",
            0x14 => "button",
            0x1d => "system boot",
            0x1f => "operating system boot",
            0x20 => "operating system stop",
            0x22 => "ACPI power state",
            0x23 => "watchdog",
            0x28 => "management subsystem health",
            0x29 => "battery",
            0x2b => "version change",
            _ => "other",
        }
    }
}

impl Command for GetSelEntry {
    /// The entry, and the id of the next ([`LAST`] for none).
    type Answer = (SelEntry, u16);

    fn request(&self) -> Request {
        let [low, high] = self.record.to_le_bytes();
        Request::new(netfn::STORAGE, 0x43, [0, 0, low, high, 0, 0xff])
    }

    fn parse(&self, data: &[u8]) -> Result<(SelEntry, u16), DecodeError> {
        let mut reader = Reader::new("Get SEL Entry", data);
        let next = reader.u16()?;
        Ok((SelEntry::decode(reader.array()?), next))
    }
}

/// Reserve SEL (§31.4): the ticket that Clear SEL wants.
#[derive(Debug, Clone, Copy)]
pub struct ReserveSel;

impl Command for ReserveSel {
    type Answer = u16;

    fn request(&self) -> Request {
        Request::new(netfn::STORAGE, 0x42, [])
    }

    fn parse(&self, data: &[u8]) -> Result<u16, DecodeError> {
        Reader::new("Reserve SEL", data).u16()
    }
}

/// Clear SEL (§31.9).
#[derive(Debug, Clone, Copy)]
pub struct ClearSel {
    /// Ticket of [`ReserveSel`].
    pub reservation: u16,
    /// Start erasing; otherwise ask how far it is.
    pub start: bool,
}

impl Command for ClearSel {
    /// Erasing is complete.
    type Answer = bool;

    fn request(&self) -> Request {
        let [low, high] = self.reservation.to_le_bytes();
        let action = if self.start { 0xaa } else { 0x00 };
        Request::new(netfn::STORAGE, 0x47, [low, high, b'C', b'L', b'R', action])
    }

    fn parse(&self, data: &[u8]) -> Result<bool, DecodeError> {
        Ok(Reader::new("Clear SEL", data).u8()? & 0x0f == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ecc_error_from_a_real_log() {
        let raw =
            [0x01, 0x00, 0x02, 0x5b, 0x3d, 0x91, 0x65, 0x20, 0x00, 0x04, 0x0c, 0x87, 0x6f, 0xa0, 0xff, 0x03];
        let mut data = vec![0xff, 0xff];
        data.extend(raw);
        let (entry, next) = GetSelEntry { record: FIRST }.parse(&data).unwrap();
        assert_eq!((entry.record, next, entry.time), (1, LAST, Some(0x65913d5b)));
        let event = entry.event.unwrap();
        assert_eq!((event.sensor_type_name(), event.sensor, event.deasserted), ("memory", 0x87, false));
        assert_eq!(event.data, [0xa0, 0xff, 3]);
    }

    #[test]
    fn clearing_sends_the_letters() {
        let request = ClearSel { reservation: 0x1234, start: true }.request();
        assert_eq!(request.data, [0x34, 0x12, b'C', b'L', b'R', 0xaa]);
        assert!(ClearSel { reservation: 0, start: false }.parse(&[1]).unwrap());
    }
}
