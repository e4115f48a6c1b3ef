//! Storage commands: event log, sensor repository, inventory.

use super::{Reply, ServerConfig};
use crate::command::{completion, fru};
use crate::wire::message::Request;
use crate::wire::rakp::Privilege;

/// A log larger than any test needs.
const LOG_ENTRIES: usize = 512;
/// Answers hold at most this many bytes of a record, as on BMCs with small buffers.
const CHUNK: usize = 64;

/// The BMC's stored records.
#[derive(Debug)]
pub(super) struct Storage {
    log: Vec<[u8; 16]>,
    next_record: u16,
    reservation: u16,
    records: Vec<Vec<u8>>,
    fru: Vec<u8>,
}

impl Storage {
    pub(super) fn new(config: &ServerConfig) -> Self {
        let records = (1u16..).zip(&config.sensors).map(|(id, sensor)| sensor.record(id)).collect();
        let mut storage =
            Self { log: Vec::new(), next_record: 1, reservation: 0, records, fru: fru::encode(&config.fru) };
        // A memory error and a power unit event, so that there is something to read.
        storage.add([0, 0, 2, 0x5b, 0x3d, 0x91, 0x65, 0x20, 0, 4, 0x0c, 0x87, 0x6f, 0xa0, 0xff, 3]);
        storage.add([0, 0, 2, 0x00, 0x3e, 0x91, 0x65, 0x20, 0, 4, 0x09, 0x01, 0x6f, 0x00, 0xff, 0xff]);
        storage
    }

    fn add(&mut self, mut entry: [u8; 16]) -> u16 {
        let record = self.next_record;
        self.next_record += 1;
        entry[..2].copy_from_slice(&record.to_le_bytes());
        if self.log.len() == LOG_ENTRIES {
            self.log.remove(0);
        }
        self.log.push(entry);
        record
    }

    pub(super) fn command(&mut self, privilege: Privilege, request: &Request) -> Reply {
        if matches!(request.command, 0x44 | 0x47 | 0x49) && privilege < Privilege::Operator {
            return Err(completion::INSUFFICIENT_PRIVILEGE);
        }
        match (request.command, request.data.as_slice()) {
            (0x10, [0]) => Ok([&(self.fru.len() as u16).to_le_bytes()[..], &[0]].concat()),
            (0x11, [0, low, high, count]) => self.read_fru(u16::from_le_bytes([*low, *high]), *count),
            (0x10 | 0x11, [_, ..]) => Err(completion::NOT_PRESENT),
            (0x20, []) => Ok(self.repository_info()),
            (0x22 | 0x42, []) => {
                self.reservation = self.reservation.wrapping_add(1).max(1);
                Ok(self.reservation.to_le_bytes().to_vec())
            }
            (0x23, [r0, r1, id0, id1, offset, count]) => {
                let reservation = u16::from_le_bytes([*r0, *r1]);
                if *offset > 0 && reservation != self.reservation {
                    return Err(completion::RESERVATION_CANCELLED);
                }
                self.sensor_record(u16::from_le_bytes([*id0, *id1]), *offset, *count)
            }
            (0x40, []) => Ok(self.log_info()),
            (0x43, [_, _, low, high, offset, count]) => {
                self.log_entry(u16::from_le_bytes([*low, *high]), *offset, *count)
            }
            (0x44, entry) => {
                let entry = entry.try_into().map_err(|_| completion::LENGTH_INVALID)?;
                Ok(self.add(entry).to_le_bytes().to_vec())
            }
            (0x47, [r0, r1, b'C', b'L', b'R', action]) => {
                self.clear_log(u16::from_le_bytes([*r0, *r1]), *action)
            }
            (0x48, []) => Ok(self.log.last().map_or(vec![0; 4], |entry| entry[3..7].to_vec())),
            (0x49, [_, _, _, _]) => Ok(Vec::new()),
            (0x20..=0x23 | 0x40..=0x49, _) => Err(completion::LENGTH_INVALID),
            _ => Err(completion::INVALID_COMMAND),
        }
    }

    fn read_fru(&self, offset: u16, count: u8) -> Reply {
        if usize::from(count) > CHUNK {
            return Err(completion::CANNOT_RETURN);
        }
        let rest = self.fru.get(usize::from(offset)..).ok_or(completion::OUT_OF_RANGE)?;
        let bytes = &rest[..rest.len().min(count.into())];
        Ok([&[bytes.len() as u8], bytes].concat())
    }

    fn repository_info(&self) -> Vec<u8> {
        let mut info = vec![0x51];
        info.extend((self.records.len() as u16).to_le_bytes());
        info.extend([0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x22]);
        info
    }

    fn sensor_record(&self, id: u16, offset: u8, count: u8) -> Reply {
        let index = usize::from(if id == 0 { 0 } else { id - 1 });
        let record = self.records.get(index).ok_or(completion::NOT_PRESENT)?;
        let next = if index + 1 < self.records.len() { index as u16 + 2 } else { 0xffff };
        let rest = record.get(usize::from(offset)..).ok_or(completion::OUT_OF_RANGE)?;
        let wanted = if count == 0xff { rest.len() } else { rest.len().min(count.into()) };
        if wanted > CHUNK {
            return Err(completion::CANNOT_RETURN);
        }
        Ok([&next.to_le_bytes(), &rest[..wanted]].concat())
    }

    fn log_info(&self) -> Vec<u8> {
        let mut info = vec![0x51];
        info.extend((self.log.len() as u16).to_le_bytes());
        info.extend((((LOG_ENTRIES - self.log.len()) * 16) as u16).to_le_bytes());
        info.extend(self.log.last().map_or([0xff; 4], |entry| [entry[3], entry[4], entry[5], entry[6]]));
        info.extend([0xff; 4]);
        info.push(0x02);
        info
    }

    fn log_entry(&self, id: u16, offset: u8, count: u8) -> Reply {
        let record = |entry: &[u8; 16]| u16::from_le_bytes([entry[0], entry[1]]);
        let index = match id {
            0 => 0,
            0xffff => self.log.len().saturating_sub(1),
            id => self.log.iter().position(|entry| record(entry) == id).ok_or(completion::NOT_PRESENT)?,
        };
        let entry = self.log.get(index).ok_or(completion::NOT_PRESENT)?;
        let next = self.log.get(index + 1).map_or(0xffff, record);
        let rest = entry.get(usize::from(offset)..).ok_or(completion::OUT_OF_RANGE)?;
        Ok([&next.to_le_bytes(), &rest[..rest.len().min(count.into())]].concat())
    }

    fn clear_log(&mut self, reservation: u16, action: u8) -> Reply {
        if reservation != self.reservation {
            return Err(completion::RESERVATION_CANCELLED);
        }
        if action == 0xaa {
            self.log.clear();
        }
        Ok(vec![1])
    }
}
