//! A small reader of the firmware's tables (SMBIOS, DSP0134): types 0, 1, 2, 4, 17 and 38. Firmware lies and leaves out, so
//! every field is looked up with its bounds, and text that only says that nobody filled it in counts as missing.

use rackwright_common::inventory::{Dimm, FirmwareInfo, SystemInfo};
use std::fs;
use std::path::Path;
use uuid::Uuid;

/// What the tables say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Smbios {
    /// Types 1 and 2.
    pub system: SystemInfo,
    /// Type 0; `efi` and `secure_boot` are not the table's to say.
    pub firmware: FirmwareInfo,
    /// Model of the first populated processor (type 4).
    pub cpu_model: Option<String>,
    /// Highest frequency of it, MHz.
    pub cpu_max_mhz: Option<u32>,
    /// Memory modules (type 17), empty slots too.
    pub dimms: Vec<Dimm>,
    /// The firmware speaks of a BMC (type 38).
    pub has_bmc: bool,
}

/// One structure: its formatted part and its strings.
struct Structure<'a> {
    kind: u8,
    data: &'a [u8],
    strings: &'a [u8],
}

impl Structure<'_> {
    fn byte(&self, offset: usize) -> Option<u8> {
        self.data.get(offset).copied()
    }

    fn word(&self, offset: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.data.get(offset..offset + 2)?.try_into().ok()?))
    }

    fn double(&self, offset: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.data.get(offset..offset + 4)?.try_into().ok()?))
    }

    /// The string whose number stands at this offset.
    fn string(&self, offset: usize) -> Option<String> {
        let index = usize::from(self.byte(offset)?).checked_sub(1)?;
        let bytes = self.strings.split(|byte| *byte == 0).nth(index)?;
        let text: String = String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect();
        let text = text.trim();
        is_meant(text).then(|| text.to_owned())
    }
}

/// Whether a text was put in by somebody.
fn is_meant(text: &str) -> bool {
    const FILLERS: [&str; 14] = [
        "to be filled by o.e.m.",
        "to be filled by o.e.m",
        "default string",
        "not specified",
        "not available",
        "not provided",
        "none",
        "n/a",
        "unknown",
        "no dimm",
        "empty",
        "system serial number",
        "system product name",
        "system manufacturer",
    ];
    let lower = text.to_lowercase();
    let only = |c: char| !text.is_empty() && text.chars().all(|other| other == c);
    !text.is_empty()
        && !FILLERS.contains(&lower.as_str())
        && !only('0')
        && !only('x')
        && !only('.')
        && !only(' ')
}

impl Smbios {
    /// Reads the tables that the kernel shows; what is missing stays empty.
    pub fn read(root: &Path) -> Self {
        let folder = root.join("sys/firmware/dmi/tables");
        let entry = fs::read(folder.join("smbios_entry_point")).unwrap_or_default();
        let table = fs::read(folder.join("DMI")).unwrap_or_default();
        Self::parse(version(&entry), &table)
    }

    /// Reads a table; `version` is major and minor.
    pub fn parse(version: (u8, u8), table: &[u8]) -> Self {
        let mut smbios = Self::default();
        let mut rest = table;
        while let Some((structure, after)) = next(rest) {
            match structure.kind {
                0 => smbios.firmware = firmware(&structure),
                1 => smbios.take_system(&structure, version),
                2 => smbios.take_board(&structure),
                4 => smbios.take_processor(&structure),
                17 => smbios.dimms.push(dimm(&structure)),
                38 => smbios.has_bmc = true,
                127 => break,
                _ => {}
            }
            rest = after;
        }
        smbios
    }

    fn take_system(&mut self, structure: &Structure<'_>, version: (u8, u8)) {
        self.system = SystemInfo {
            uuid: system_uuid(structure, version),
            vendor: structure.string(4),
            product: structure.string(5),
            version: structure.string(6),
            serial: structure.string(7),
            board: self.system.board.take(),
        };
    }

    fn take_board(&mut self, structure: &Structure<'_>) {
        let parts: Vec<String> = [structure.string(4), structure.string(5)].into_iter().flatten().collect();
        if self.system.board.is_none() && !parts.is_empty() {
            self.system.board = Some(parts.join(" "));
        }
    }

    fn take_processor(&mut self, structure: &Structure<'_>) {
        // Bit 6 of the status: the socket is populated.
        let populated = structure.byte(0x18).is_some_and(|status| status & 0x40 != 0);
        if populated && self.cpu_model.is_none() {
            self.cpu_model = structure.string(0x10);
            self.cpu_max_mhz = structure.word(0x14).map(u32::from).filter(|mhz| *mhz > 0);
        }
    }
}

/// Major and minor version from the entry point, 64 or 32 bits.
fn version(entry: &[u8]) -> (u8, u8) {
    let at = if entry.starts_with(b"_SM3_") { 7 } else { 6 };
    match entry.get(at..at + 2) {
        Some([major, minor]) => (*major, *minor),
        _ => (2, 8),
    }
}

/// The first structure of a table and what follows it.
fn next(table: &[u8]) -> Option<(Structure<'_>, &[u8])> {
    let kind = *table.first()?;
    let length = usize::from(*table.get(1)?);
    if length < 4 {
        return None;
    }
    let data = table.get(..length)?;
    let after = &table[length..];
    // The strings end with two zero bytes; a structure without strings has just those two.
    let end = after.windows(2).position(|pair| pair == [0, 0])?;
    Some((Structure { kind, data, strings: &after[..end] }, &after[end + 2..]))
}

fn firmware(structure: &Structure<'_>) -> FirmwareInfo {
    FirmwareInfo {
        vendor: structure.string(4),
        version: structure.string(5),
        date: structure.string(8),
        ..FirmwareInfo::default()
    }
}

/// Since version 2.6 the first three fields are little-endian (DSP0134 §7.2.1).
fn system_uuid(structure: &Structure<'_>, version: (u8, u8)) -> Option<Uuid> {
    let bytes: [u8; 16] = structure.data.get(8..24)?.try_into().ok()?;
    let known = bytes != [0; 16] && bytes != [0xff; 16];
    let uuid = if version >= (2, 6) { Uuid::from_bytes_le(bytes) } else { Uuid::from_bytes(bytes) };
    known.then_some(uuid)
}

fn dimm(structure: &Structure<'_>) -> Dimm {
    // 0xffff: not known; 0x7fff: in the extended field; bit 15: the number is KiB.
    let size_mib = match structure.word(0x0c) {
        None | Some(0 | 0xffff) => 0,
        Some(0x7fff) => u64::from(structure.double(0x1c).unwrap_or(0) & 0x7fff_ffff),
        Some(size) if size & 0x8000 != 0 => u64::from(size & 0x7fff) / 1024,
        Some(size) => u64::from(size),
    };
    let place = [structure.string(0x10), structure.string(0x11)];
    if size_mib == 0 {
        return Dimm { slot: slot(place), ..Dimm::default() };
    }
    let speed = |offset| structure.word(offset).filter(|mts| *mts != 0 && *mts != 0xffff).map(u32::from);
    Dimm {
        slot: slot(place),
        size_mib,
        kind: structure.byte(0x12).and_then(memory_type).map(str::to_owned),
        speed_mts: speed(0x20).or_else(|| speed(0x15)),
        vendor: structure.string(0x17),
        part: structure.string(0x1a),
        serial: structure.string(0x18),
    }
}

/// The device locator is enough where it is unique; that is the vendor's duty.
fn slot([device, bank]: [Option<String>; 2]) -> String {
    device.or(bank).unwrap_or_default()
}

/// Names of memory types (DSP0134 §7.18.2).
fn memory_type(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0x07 => "RAM",
        0x12 => "DDR",
        0x13 => "DDR2",
        0x18 => "DDR3",
        0x1a => "DDR4",
        0x1b => "LPDDR",
        0x1c => "LPDDR2",
        0x1d => "LPDDR3",
        0x1e => "LPDDR4",
        0x1f => "NVDIMM",
        0x20 => "HBM",
        0x21 => "HBM2",
        0x22 => "DDR5",
        0x23 => "LPDDR5",
        0x24 => "HBM3",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(kind: u8, formatted: &[u8], strings: &[&str]) -> Vec<u8> {
        let mut bytes = vec![kind, formatted.len() as u8 + 4, 0, 0];
        bytes.extend(formatted);
        for string in strings {
            bytes.extend(string.as_bytes());
            bytes.push(0);
        }
        if strings.is_empty() {
            bytes.push(0);
        }
        bytes.push(0);
        bytes
    }

    fn table() -> Vec<u8> {
        let mut system = vec![1, 2, 0, 3];
        system.extend(hex::decode("0410203040506070801122334455667788").unwrap().split_off(1));
        system.extend([6, 0, 0]);
        let mut dimm = vec![0; 0x24];
        dimm[0x0c - 4..0x0e - 4].copy_from_slice(&0x7fff_u16.to_le_bytes());
        dimm[0x1c - 4..0x20 - 4].copy_from_slice(&65536_u32.to_le_bytes());
        dimm[0x10 - 4] = 1;
        dimm[0x12 - 4] = 0x22;
        dimm[0x15 - 4..0x17 - 4].copy_from_slice(&4800_u16.to_le_bytes());
        dimm[0x17 - 4] = 2;
        dimm[0x18 - 4] = 3;
        let mut empty = vec![0; 0x24];
        empty[0x10 - 4] = 1;
        [
            structure(0, &[1, 2, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0], &["SeaBIOS", "1.16", "04/01/2014"]),
            structure(1, &system, &["ACME", "Rocket", "S-1"]),
            structure(2, &[1, 2], &["ACME", "Board"]),
            structure(17, &dimm, &["DIMM_A1", "Samsung", "00000000"]),
            structure(17, &empty, &["DIMM_A2"]),
            structure(127, &[], &[]),
        ]
        .concat()
    }

    #[test]
    fn the_usual_structures_are_read() {
        let smbios = Smbios::parse((3, 0), &table());
        assert_eq!(smbios.system.vendor.as_deref(), Some("ACME"));
        assert_eq!(smbios.system.serial.as_deref(), Some("S-1"));
        assert_eq!(smbios.system.version, None);
        assert_eq!(smbios.system.board.as_deref(), Some("ACME Board"));
        assert_eq!(smbios.system.uuid.unwrap().to_string(), "40302010-6050-8070-1122-334455667788");
        assert_eq!(smbios.firmware.date.as_deref(), Some("04/01/2014"));
        let module = &smbios.dimms[0];
        assert_eq!((module.slot.as_str(), module.size_mib), ("DIMM_A1", 65536));
        assert_eq!((module.kind.as_deref(), module.speed_mts), (Some("DDR5"), Some(4800)));
        assert_eq!(module.serial, None, "zeroes are no serial number");
        assert_eq!(smbios.dimms[1], Dimm { slot: "DIMM_A2".into(), ..Dimm::default() });
    }

    #[test]
    fn before_2_6_the_uuid_is_in_network_order() {
        let uuid = Smbios::parse((2, 5), &table()).system.uuid.unwrap();
        assert_eq!(uuid.to_string(), "10203040-5060-7080-1122-334455667788");
    }

    #[test]
    fn no_bytes_whatever_make_it_panic() {
        let good = table();
        for cut in 0..good.len() {
            Smbios::parse((3, 0), &good[..cut]);
        }
        // A simple generator of repeatable nonsense: each byte of a good table replaced in turn, and random tables.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..4 {
                let at = random() as usize % bytes.len();
                bytes[at] = random() as u8;
            }
            Smbios::parse((3, 0), &bytes);
            let noise: Vec<u8> = (0..random() % 64).map(|_| random() as u8).collect();
            Smbios::parse((2, 1), &noise);
            version(&noise);
        }
    }
}
