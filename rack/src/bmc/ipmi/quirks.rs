//! How BMCs differ, as data. An entry names what was measured on the real thing; the default is the specification.

use std::time::Duration;

use rackwright_ipmi::command::device::DeviceId;

/// What the driver does differently for a BMC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quirks {
    /// Least time between two commands.
    pub(super) gap: Duration,
    /// Send the boot flags alone, without the parameters around them.
    pub(super) only_boot_flags: bool,
    /// The boot flags read back are what was set.
    pub(super) boot_flags_readable: bool,
    /// Bytes of an SDR or FRU asked for at a time.
    pub(super) chunk: u8,
    /// How long to stay off in a power cycle, so that supplies discharge.
    pub(super) off_time: Duration,
}

const USUAL: Quirks = Quirks {
    gap: Duration::from_millis(50),
    only_boot_flags: false,
    boot_flags_readable: true,
    chunk: 32,
    off_time: Duration::from_secs(1),
};

/// One line of the table: maker's IANA number, product id or any, the difference.
type Line = (u32, Option<u16>, Quirks);

const TABLE: &[Line] = &[
    // OpenIPMI's simulator: refuses the parameters around the flags, reads the flags back as invalid.
    (
        0x1291,
        Some(0x0f02),
        Quirks { only_boot_flags: true, boot_flags_readable: false, off_time: Duration::ZERO, ..USUAL },
    ),
    // Our own simulator has no supplies that discharge.
    (0, Some(1), Quirks { off_time: Duration::ZERO, ..USUAL }),
];

impl Quirks {
    /// The quirks of a BMC; a line with the product goes before one for the whole maker.
    pub(super) fn of(device: &DeviceId) -> Self {
        let fits = |product: Option<u16>| {
            TABLE.iter().find(|line| line.0 == device.manufacturer && line.1 == product).map(|line| line.2)
        };
        fits(Some(device.product)).or_else(|| fits(None)).unwrap_or(USUAL)
    }

    /// Before anything is known of the BMC.
    pub(super) fn unknown() -> Self {
        USUAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_makers_get_the_specification() {
        let mut device = DeviceId {
            device_id: 0,
            firmware_major: 1,
            firmware_minor: 0,
            ipmi_version: (2, 0),
            manufacturer: 0x1291,
            product: 0x0f02,
            updating: false,
        };
        assert!(Quirks::of(&device).only_boot_flags);
        device.product = 7;
        assert_eq!(Quirks::of(&device), USUAL);
    }
}
