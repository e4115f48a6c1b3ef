//! Sensors and their repository records.

use super::{Reply, Server};
use crate::command::completion;
use crate::wire::message::Request;

/// One threshold sensor with a fixed raw reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sensor {
    /// Sensor number.
    pub number: u8,
    /// Name, at most 16 characters.
    pub name: String,
    /// Sensor type (table 42-3).
    pub sensor_type: u8,
    /// Unit (table 43-15).
    pub unit: u8,
    /// Factor M of the conversion.
    pub m: u8,
    /// Exponent K2 of the conversion, -8..=7.
    pub exponent: i8,
    /// Raw reading; `None` for a sensor that cannot be read.
    pub raw: Option<u8>,
    /// Raw upper critical threshold.
    pub critical: u8,
}

impl Sensor {
    /// A temperature, a fan, a voltage and a sensor without reading.
    pub fn samples() -> Vec<Self> {
        let sensor = |number, name: &str, sensor_type, unit, m, exponent, raw| Self {
            number,
            name: name.to_owned(),
            sensor_type,
            unit,
            m,
            exponent,
            raw,
            critical: 230,
        };
        vec![
            sensor(1, "CPU Temp", 0x01, 1, 1, 0, Some(42)),
            sensor(2, "System Fan", 0x04, 18, 60, 0, Some(80)),
            sensor(3, "12V", 0x02, 4, 60, -3, Some(201)),
            sensor(4, "DIMM Temp", 0x01, 1, 1, 0, None),
        ]
    }

    /// The full sensor record (§43.1).
    pub(crate) fn record(&self, id: u16) -> Vec<u8> {
        let entity = if self.sensor_type == 0x01 { 3 } else { 7 };
        // Owner, number, entity, initialisation, capabilities, types, masks (all thresholds readable: upper critical).
        let mut body = vec![0x20, 0, self.number, entity, 1, 0x7f, 0x68, self.sensor_type, 0x01];
        body.extend([0x00, 0x02, 0x00, 0x02, 0x10, 0x10]);
        // Units, linearization, M, B, accuracy, exponents.
        body.extend([0x00, self.unit, 0, 0, self.m, 0, 0, 0, 0, (self.exponent as u8) << 4]);
        // Characteristics, nominal values, then thresholds from upper non-recoverable down.
        body.extend([0, 0, 0, 0, 0xff, 0, 0, self.critical, 0, 0, 0, 0, 1, 1, 0, 0, 0]);
        let name: Vec<u8> = self.name.bytes().take(16).collect();
        body.push(0xc0 | name.len() as u8);
        body.extend(name);
        let [low, high] = id.to_le_bytes();
        [vec![low, high, 0x51, 0x01, body.len() as u8], body].concat()
    }
}

impl Server {
    pub(super) fn sensor_command(&self, request: &Request) -> Reply {
        let [number, ..] = request.data.as_slice() else { return Err(completion::LENGTH_INVALID) };
        let sensor = self
            .config
            .sensors
            .iter()
            .find(|sensor| sensor.number == *number)
            .ok_or(completion::NOT_PRESENT)?;
        match request.command {
            0x2d => Ok(match sensor.raw {
                Some(raw) => vec![raw, 0xc0, if raw >= sensor.critical { 0xd0 } else { 0xc0 }, 0],
                None => vec![0, 0xe0, 0, 0],
            }),
            0x27 => Ok(vec![0x10, 0, 0, 0, 0, sensor.critical, 0]),
            0x25 => Ok(vec![0, 0, 0]),
            0x29 => Ok(vec![0xc0, 0, 0, 0, 0]),
            0x2b => Ok(vec![0xc0, 0, 0, 0, 0]),
            _ => Err(completion::INVALID_COMMAND),
        }
    }
}
