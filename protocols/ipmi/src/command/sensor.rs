//! Get Sensor Reading (§35.14).

use super::sdr::Conversion;
use super::{Command, netfn};
use crate::error::{DecodeError, Reader};
use crate::wire::message::Request;

/// Reads one sensor.
#[derive(Debug, Clone, Copy)]
pub struct GetSensorReading {
    /// Sensor number.
    pub number: u8,
}

/// What a sensor says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SensorReading {
    /// Raw reading; `None` while unavailable or not scanned.
    pub raw: Option<u8>,
    /// Threshold sensors: bits 0..=5 are below non-critical, critical, non-recoverable, then above. Others: states.
    pub states: u16,
}

impl SensorReading {
    /// The reading as a value in the sensor's unit.
    pub fn value(&self, conversion: &Conversion) -> Option<f64> {
        conversion.apply(self.raw?)
    }

    /// For a threshold sensor: a critical or non-recoverable threshold is crossed.
    pub fn is_critical(&self) -> bool {
        self.states & 0b11_0110 != 0
    }
}

impl Command for GetSensorReading {
    type Answer = SensorReading;

    fn request(&self) -> Request {
        Request::new(netfn::SENSOR, 0x2d, [self.number])
    }

    fn parse(&self, data: &[u8]) -> Result<SensorReading, DecodeError> {
        let mut reader = Reader::new("Get Sensor Reading", data);
        let [raw, flags] = reader.array()?;
        let mut states = [0; 2];
        for (slot, byte) in states.iter_mut().zip(reader.rest()) {
            *slot = *byte;
        }
        let available = flags & 0x20 == 0 && flags & 0x40 != 0;
        Ok(SensorReading { raw: available.then_some(raw), states: u16::from_le_bytes(states) & 0x7fff })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_and_their_absence() {
        let read = |data: &[u8]| GetSensorReading { number: 1 }.parse(data).unwrap();
        assert_eq!(read(&[45, 0xc0, 0xc0]).raw, Some(45));
        assert_eq!(read(&[45, 0xe0, 0xc0]).raw, None);
        assert_eq!(read(&[45, 0x80]).raw, None);
        assert!(read(&[90, 0xc0, 0xd0]).is_critical());
    }
}
