//! Field replaceable unit inventory (§34, and the FRU storage definition 1.0): maker, model, serial numbers.

use super::sdr::decode_text;
use super::{Command, netfn};
use crate::error::{DecodeError, Reader};
use crate::wire::message::{Request, checksum};

/// Get FRU Inventory Area Info (§34.1).
#[derive(Debug, Clone, Copy)]
pub struct GetFruInfo {
    /// FRU device, 0 for the main board.
    pub device: u8,
}

impl Command for GetFruInfo {
    /// Size in bytes, and whether offsets count 16-bit words.
    type Answer = (u16, bool);

    fn request(&self) -> Request {
        Request::new(netfn::STORAGE, 0x10, [self.device])
    }

    fn parse(&self, data: &[u8]) -> Result<(u16, bool), DecodeError> {
        let mut reader = Reader::new("Get FRU Inventory Area Info", data);
        Ok((reader.u16()?, reader.u8()? & 1 != 0))
    }
}

/// Read FRU Data (§34.2).
#[derive(Debug, Clone, Copy)]
pub struct ReadFru {
    /// FRU device.
    pub device: u8,
    /// Offset in bytes or words, as [`GetFruInfo`] says.
    pub offset: u16,
    /// Count in the same unit.
    pub count: u8,
}

impl Command for ReadFru {
    /// The bytes read.
    type Answer = Vec<u8>;

    fn request(&self) -> Request {
        let [low, high] = self.offset.to_le_bytes();
        Request::new(netfn::STORAGE, 0x11, [self.device, low, high, self.count])
    }

    fn parse(&self, data: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut reader = Reader::new("Read FRU Data", data);
        reader.u8()?;
        Ok(reader.rest().to_vec())
    }
}

/// The areas that say what the machine is. An area that is absent or damaged is `None`; the others still count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fru {
    /// Chassis info area.
    pub chassis: Option<ChassisArea>,
    /// Board info area.
    pub board: Option<BoardArea>,
    /// Product info area.
    pub product: Option<ProductArea>,
}

/// Chassis info area.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChassisArea {
    /// SMBIOS chassis type.
    pub kind: u8,
    /// Part number.
    pub part_number: String,
    /// Serial number.
    pub serial: String,
}

/// Board info area.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BoardArea {
    /// Minutes since 1996-01-01 00:00 UTC; 0 for unknown.
    pub made_minutes: u32,
    /// Manufacturer.
    pub manufacturer: String,
    /// Product name.
    pub product: String,
    /// Serial number.
    pub serial: String,
    /// Part number.
    pub part_number: String,
}

/// Product info area.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProductArea {
    /// Manufacturer.
    pub manufacturer: String,
    /// Product name.
    pub name: String,
    /// Part or model number.
    pub part_number: String,
    /// Version.
    pub version: String,
    /// Serial number.
    pub serial: String,
    /// Asset tag.
    pub asset_tag: String,
}

impl Fru {
    /// Reads a whole FRU image.
    pub fn decode(image: &[u8]) -> Result<Self, DecodeError> {
        let header: [u8; 8] = Reader::new("FRU header", image).array()?;
        if header[0] & 0x0f != 1 {
            return Err(DecodeError::Value { what: "FRU version", value: header[0].into() });
        }
        if checksum(&header) != 0 {
            return Err(DecodeError::Checksum { what: "FRU header" });
        }
        let [_, _internal, chassis, board, product, ..] = header;
        Ok(Self {
            chassis: area(image, chassis).and_then(|area| decode_chassis(area).ok()),
            board: area(image, board).and_then(|area| decode_board(area).ok()),
            product: area(image, product).and_then(|area| decode_product(area).ok()),
        })
    }
}

/// An area's bytes if it is there and its checksum fits. `offset` counts eight bytes.
fn area(image: &[u8], offset: u8) -> Option<&[u8]> {
    if offset == 0 {
        return None;
    }
    let rest = image.get(usize::from(offset) * 8..)?;
    let area = rest.get(..usize::from(*rest.get(1)?) * 8)?;
    (!area.is_empty() && checksum(area) == 0).then_some(area)
}

/// The next text; an empty one past the end marker.
fn text(reader: &mut Reader<'_>, ended: &mut bool) -> Result<String, DecodeError> {
    if *ended {
        return Ok(String::new());
    }
    let text = decode_text(reader)?;
    *ended = text.is_none();
    Ok(text.unwrap_or_default())
}

fn decode_chassis(area: &[u8]) -> Result<ChassisArea, DecodeError> {
    let mut reader = Reader::new("FRU chassis area", area);
    let [_version, _length, kind] = reader.array()?;
    let mut ended = false;
    Ok(ChassisArea {
        kind,
        part_number: text(&mut reader, &mut ended)?,
        serial: text(&mut reader, &mut ended)?,
    })
}

fn decode_board(area: &[u8]) -> Result<BoardArea, DecodeError> {
    let mut reader = Reader::new("FRU board area", area);
    let [_version, _length, _language, m0, m1, m2] = reader.array()?;
    let mut ended = false;
    Ok(BoardArea {
        made_minutes: u32::from_le_bytes([m0, m1, m2, 0]),
        manufacturer: text(&mut reader, &mut ended)?,
        product: text(&mut reader, &mut ended)?,
        serial: text(&mut reader, &mut ended)?,
        part_number: text(&mut reader, &mut ended)?,
    })
}

fn decode_product(area: &[u8]) -> Result<ProductArea, DecodeError> {
    let mut reader = Reader::new("FRU product area", area);
    let [_version, _length, _language] = reader.array()?;
    let mut ended = false;
    Ok(ProductArea {
        manufacturer: text(&mut reader, &mut ended)?,
        name: text(&mut reader, &mut ended)?,
        part_number: text(&mut reader, &mut ended)?,
        version: text(&mut reader, &mut ended)?,
        serial: text(&mut reader, &mut ended)?,
        asset_tag: text(&mut reader, &mut ended)?,
    })
}

/// Builds a FRU image; the BMC's side.
pub fn encode(fru: &Fru) -> Vec<u8> {
    let mut image = vec![0; 8];
    image[0] = 1;
    let chassis = fru.chassis.as_ref().map(|area| pack(&[area.kind], &[&area.part_number, &area.serial]));
    let board = fru.board.as_ref().map(|area| {
        let [m0, m1, m2, _] = area.made_minutes.to_le_bytes();
        pack(&[0, m0, m1, m2], &[&area.manufacturer, &area.product, &area.serial, &area.part_number, ""])
    });
    let product = fru.product.as_ref().map(|area| {
        let texts =
            [&area.manufacturer, &area.name, &area.part_number, &area.version, &area.serial, &area.asset_tag];
        let mut texts: Vec<&str> = texts.into_iter().map(String::as_str).collect();
        texts.push("");
        pack(&[0], &texts)
    });
    for (slot, area) in [(2, chassis), (3, board), (4, product)] {
        if let Some(area) = area {
            image[slot] = (image.len() / 8) as u8;
            image.extend(area);
        }
    }
    image[7] = checksum(&image[..7]);
    image
}

fn pack(head: &[u8], texts: &[&str]) -> Vec<u8> {
    let mut area = vec![1, 0];
    area.extend(head);
    for text in texts {
        let bytes: Vec<u8> = text.bytes().take(0x3f).collect();
        // One character of 8-bit ASCII would read as the end marker: give it a blank.
        let length = if bytes.len() == 1 { 2 } else { bytes.len() };
        area.push(0xc0 | length as u8);
        area.extend(&bytes);
        area.resize(area.len() + length - bytes.len(), b' ');
    }
    area.push(0xc1);
    area.resize((area.len() + 1).next_multiple_of(8) - 1, 0);
    area[1] = ((area.len() + 1) / 8) as u8;
    area.push(checksum(&area));
    area
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Fru {
        Fru {
            chassis: Some(ChassisArea { kind: 0x17, part_number: "C-1".into(), serial: "CH01".into() }),
            board: Some(BoardArea {
                made_minutes: 13_000_000,
                manufacturer: "Maker".into(),
                product: "Board".into(),
                serial: "B".into(),
                part_number: String::new(),
            }),
            product: Some(ProductArea {
                name: "Server".into(),
                serial: "S1".into(),
                ..ProductArea::default()
            }),
        }
    }

    #[test]
    fn an_image_survives_the_round_trip() {
        assert_eq!(Fru::decode(&encode(&sample())).unwrap(), sample());
    }

    #[test]
    fn a_damaged_area_does_not_hide_the_others() {
        let mut image = encode(&sample());
        let board_at = usize::from(image[3]) * 8;
        image[board_at + 7] ^= 0xff;
        let fru = Fru::decode(&image).unwrap();
        assert_eq!(fru.board, None);
        assert_eq!((fru.chassis, fru.product), (sample().chassis, sample().product));
    }

    #[test]
    fn a_header_with_a_wrong_checksum_is_refused() {
        let mut image = encode(&sample());
        image[7] ^= 1;
        assert_eq!(Fru::decode(&image), Err(DecodeError::Checksum { what: "FRU header" }));
        assert!(Fru::decode(&[]).is_err());
    }
}
