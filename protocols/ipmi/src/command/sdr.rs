//! The sensor data repository (§33, §43): which sensors there are, and how their raw readings become numbers.

use super::{Command, netfn};
use crate::error::{DecodeError, Reader};
use crate::wire::message::Request;

/// Record id of the first record in a request.
pub const FIRST: u16 = 0x0000;
/// Record id that means "no further record" in an answer.
pub const LAST: u16 = 0xffff;
/// Bytes before a record's body: id, version, type, length.
pub const HEADER: usize = 5;

/// Reserve SDR Repository (§33.11): the ticket for reading records in pieces.
#[derive(Debug, Clone, Copy)]
pub struct ReserveSdr;

impl Command for ReserveSdr {
    type Answer = u16;

    fn request(&self) -> Request {
        Request::new(netfn::STORAGE, 0x22, [])
    }

    fn parse(&self, data: &[u8]) -> Result<u16, DecodeError> {
        Reader::new("Reserve SDR Repository", data).u16()
    }
}

/// Get SDR (§33.12): a piece of a record.
#[derive(Debug, Clone, Copy)]
pub struct GetSdr {
    /// Ticket of [`ReserveSdr`]; 0 when reading from the start.
    pub reservation: u16,
    /// Record id.
    pub record: u16,
    /// First byte wanted.
    pub offset: u8,
    /// Bytes wanted; 0xFF for all.
    pub count: u8,
}

impl Command for GetSdr {
    /// The id of the next record, and the bytes.
    type Answer = (u16, Vec<u8>);

    fn request(&self) -> Request {
        let mut data = self.reservation.to_le_bytes().to_vec();
        data.extend(self.record.to_le_bytes());
        data.extend([self.offset, self.count]);
        Request::new(netfn::STORAGE, 0x23, data)
    }

    fn parse(&self, data: &[u8]) -> Result<(u16, Vec<u8>), DecodeError> {
        let mut reader = Reader::new("Get SDR", data);
        let next = reader.u16()?;
        Ok((next, reader.rest().to_vec()))
    }
}

/// A record of the repository, as far as it is of use here.
#[derive(Debug, Clone, PartialEq)]
pub enum SdrRecord {
    /// A sensor with an analog reading (type 01h).
    Full(SensorRecord, Conversion),
    /// A sensor with states (type 02h).
    Compact(SensorRecord),
    /// Another record: its type.
    Other(u8),
}

/// What both kinds of sensor records say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorRecord {
    /// Record id.
    pub record: u16,
    /// Sensor number, for Get Sensor Reading.
    pub number: u8,
    /// Sensor type (table 42-3).
    pub sensor_type: u8,
    /// Event/reading type: 1 threshold.
    pub reading_type: u8,
    /// The thing measured (table 43-13).
    pub entity: u8,
    /// Unit (table 43-15): 1 °C, 4 V, 5 A, 6 W, 18 RPM.
    pub unit: u8,
    /// Percentage of the unit.
    pub percentage: bool,
    /// Name.
    pub name: String,
}

impl SensorRecord {
    /// The unit's usual sign, or an empty string.
    pub fn unit_sign(&self) -> &'static str {
        if self.percentage {
            return "%";
        }
        match self.unit {
            1 => "°C",
            2 => "°F",
            3 => "K",
            4 => "V",
            5 => "A",
            6 => "W",
            7 => "J",
            17 => "CFM",
            18 => "RPM",
            19 => "Hz",
            _ => "",
        }
    }
}

/// How a raw byte becomes a value: `y = L((M·x + B·10^K1)·10^K2)` (§36.3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    /// Format of the raw byte: 0 unsigned, 1 ones' complement, 2 two's complement, 3 no number.
    pub format: u8,
    /// M.
    pub m: i16,
    /// B.
    pub b: i16,
    /// K1.
    pub b_exponent: i8,
    /// K2.
    pub result_exponent: i8,
    /// L: 0 linear, 1..=11 the functions of table 43-1.
    pub linearization: u8,
}

impl Conversion {
    /// The value of a raw reading, in the sensor's unit; `None` where there is no number.
    pub fn apply(&self, raw: u8) -> Option<f64> {
        let x = match self.format {
            0 => f64::from(raw),
            1 if raw & 0x80 != 0 => -f64::from(!raw),
            1 => f64::from(raw),
            2 => f64::from(raw as i8),
            _ => return None,
        };
        let b = f64::from(self.b) * 10f64.powi(self.b_exponent.into());
        let y = (f64::from(self.m) * x + b) * 10f64.powi(self.result_exponent.into());
        let value = match self.linearization & 0x7f {
            0 => y,
            1 => y.ln(),
            2 => y.log10(),
            3 => y.log2(),
            4 => y.exp(),
            5 => 10f64.powf(y),
            6 => y.exp2(),
            7 => 1.0 / y,
            8 => y * y,
            9 => y * y * y,
            10 => y.sqrt(),
            11 => y.cbrt(),
            _ => return None,
        };
        value.is_finite().then_some(value)
    }
}

/// Sign-extends the low `bits` bits.
fn signed(value: u16, bits: u32) -> i16 {
    let shift = 16 - bits;
    ((value << shift) as i16) >> shift
}

impl SdrRecord {
    /// Reads a whole record, header included.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("SDR record", bytes);
        let record = reader.u16()?;
        let [_version, kind, length] = reader.array()?;
        let body = reader.take(length.into())?;
        match kind {
            0x01 => {
                let sensor = decode_sensor(record, body, 42)?;
                Ok(Self::Full(sensor, decode_conversion(body)?))
            }
            0x02 => Ok(Self::Compact(decode_sensor(record, body, 26)?)),
            other => Ok(Self::Other(other)),
        }
    }
}

/// The fields at the start of both sensor records; `name_at` is where the name's type/length byte stands in the body.
fn decode_sensor(record: u16, body: &[u8], name_at: usize) -> Result<SensorRecord, DecodeError> {
    let mut reader = Reader::new("sensor record", body);
    let [_owner, _lun, number, entity, _instance, _init, _capabilities, sensor_type, reading_type] =
        reader.array()?;
    reader.take(6)?;
    let [units, unit] = reader.array()?;
    let mut name = Reader::new("sensor name", body);
    name.take(name_at)?;
    let name = decode_text(&mut name)?.unwrap_or_default();
    Ok(SensorRecord {
        record,
        number,
        sensor_type,
        reading_type: reading_type & 0x7f,
        entity,
        unit,
        percentage: units & 1 != 0,
        name,
    })
}

fn decode_conversion(body: &[u8]) -> Result<Conversion, DecodeError> {
    let mut reader = Reader::new("sensor conversion", body);
    reader.take(15)?;
    let [units, _unit, _modifier, linearization, m_low, m_high, b_low, b_high, _accuracy, exponents] =
        reader.array()?;
    let ten_bits = |low: u8, high: u8| signed(u16::from(low) | u16::from(high >> 6) << 8, 10);
    Ok(Conversion {
        format: units >> 6,
        m: ten_bits(m_low, m_high),
        b: ten_bits(b_low, b_high),
        b_exponent: signed(u16::from(exponents & 0x0f), 4) as i8,
        result_exponent: signed(u16::from(exponents >> 4), 4) as i8,
        linearization,
    })
}

/// A type/length byte and its text (§43.15); `None` at the end marker 0xC1.
pub(super) fn decode_text(reader: &mut Reader<'_>) -> Result<Option<String>, DecodeError> {
    let type_length = reader.u8()?;
    if type_length == 0xc1 {
        return Ok(None);
    }
    let bytes = reader.take(usize::from(type_length & 0x3f))?;
    let text = match type_length >> 6 {
        0 => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        1 => bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).map(bcd_plus).collect(),
        2 => six_bit(bytes),
        _ => bytes.iter().map(|byte| char::from(*byte)).collect::<String>(),
    };
    Ok(Some(text.trim_matches(['\0', ' ']).to_owned()))
}

fn bcd_plus(digit: u8) -> char {
    match digit {
        0..=9 => char::from(b'0' + digit),
        10 => ' ',
        11 => '-',
        12 => '.',
        _ => '?',
    }
}

/// Packed 6-bit ASCII: four characters in three bytes, from the low bits up.
fn six_bit(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut count) = (String::new(), 0u32, 0);
    for byte in bytes {
        bits |= u32::from(*byte) << count;
        count += 8;
        while count >= 6 {
            text.push(char::from((bits & 0x3f) as u8 + 0x20));
            bits >>= 6;
            count -= 6;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full_record() -> Vec<u8> {
        let mut body = vec![0x20, 0, 0x30, 3, 1, 0x7f, 0x68, 0x01, 0x01, 0, 0, 0, 0, 0, 0];
        body.extend([0x80, 1, 0, 0, 1, 0, 0, 0, 0, 0]); // two's complement, °C, M = 1
        body.resize(42, 0);
        body.extend([0xc8]);
        body.extend(b"CPU Temp");
        let mut record = vec![0x04, 0x00, 0x51, 0x01, body.len() as u8];
        record.extend(body);
        record
    }

    #[test]
    fn a_temperature_sensor() {
        let SdrRecord::Full(sensor, conversion) = SdrRecord::decode(&full_record()).unwrap() else {
            panic!("not a full record")
        };
        assert_eq!((sensor.record, sensor.number, sensor.name.as_str()), (4, 0x30, "CPU Temp"));
        assert_eq!(sensor.unit_sign(), "°C");
        assert_eq!(conversion.apply(45), Some(45.0));
        assert_eq!(conversion.apply(0xfb), Some(-5.0));
        for cut in 0..full_record().len() {
            assert!(SdrRecord::decode(&full_record()[..cut]).is_err());
        }
    }

    #[test]
    fn conversion_with_offset_and_exponents() {
        let volt =
            Conversion { format: 0, m: 60, b: 0, b_exponent: 0, result_exponent: -3, linearization: 0 };
        assert_eq!(volt.apply(200), Some(12.0));
        let offset =
            Conversion { format: 0, m: 1, b: -5, b_exponent: 1, result_exponent: 0, linearization: 0 };
        assert_eq!(offset.apply(60), Some(10.0));
        let inverse = Conversion { linearization: 7, b: 0, ..offset };
        assert_eq!((inverse.apply(4), inverse.apply(0)), (Some(0.25), None));
        assert_eq!(signed(0x3ff, 10), -1);
        assert_eq!(signed(0x0f, 4), -1);
    }

    #[test]
    fn the_four_kinds_of_text() {
        let text = |bytes: &[u8]| decode_text(&mut Reader::new("text", bytes)).unwrap();
        assert_eq!(text(&[0xc3, b'a', b'b', b'c']).as_deref(), Some("abc"));
        assert_eq!(text(&[0x42, 0x12, 0x3c]).as_deref(), Some("123."));
        assert_eq!(text(&[0x02, 0xab, 0x01]).as_deref(), Some("ab01"));
        assert_eq!(text(&[0x83, 0x29, 0xdc, 0xa6]).as_deref(), Some("IPMI"));
        assert_eq!(text(&[0xc1]), None);
    }
}
