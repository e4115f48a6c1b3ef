//! System boot options (§28.12, §28.13, table 28-14): what to boot next.
//!
//! A whole setting is five commands, of which only the boot flags themselves must succeed: BMCs differ in whether they know
//! the locks around them (0xCC and 0x80 are common answers), and refusing those changes nothing.

use super::{Command, netfn};
use crate::error::{DecodeError, Reader};
use crate::wire::message::Request;

/// Parameter selectors.
pub mod parameter {
    /// Set in progress: a lock nobody enforces.
    pub const SET_IN_PROGRESS: u8 = 0;
    /// When the BMC forgets the flags by itself.
    pub const VALID_BIT_CLEARING: u8 = 3;
    /// Which firmware has handled the flags.
    pub const INFO_ACKNOWLEDGE: u8 = 4;
    /// The boot flags.
    pub const FLAGS: u8 = 5;
}

/// A device to boot from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// As the firmware's own order says.
    NoOverride,
    /// Network.
    Pxe,
    /// Hard disk.
    Disk,
    /// CD or DVD.
    Cd,
    /// The firmware's set-up screen.
    BiosSetup,
    /// Another selector, 0..=15.
    Other(u8),
}

impl Device {
    /// Its selector.
    pub fn code(self) -> u8 {
        match self {
            Self::NoOverride => 0,
            Self::Pxe => 1,
            Self::Disk => 2,
            Self::Cd => 5,
            Self::BiosSetup => 6,
            Self::Other(code) => code & 0x0f,
        }
    }

    /// The device with that selector.
    pub fn from_code(code: u8) -> Self {
        match code & 0x0f {
            0 => Self::NoOverride,
            1 => Self::Pxe,
            2 => Self::Disk,
            5 => Self::Cd,
            6 => Self::BiosSetup,
            other => Self::Other(other),
        }
    }
}

/// The boot flags, parameter 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootFlags {
    /// The flags count. Cleared by the BMC after the next boot unless persistent.
    pub valid: bool,
    /// For every boot, not only the next.
    pub persistent: bool,
    /// UEFI boot, not legacy BIOS.
    pub efi: bool,
    /// The device.
    pub device: Device,
}

impl BootFlags {
    /// "The next boot only, from `device`."
    pub fn once(device: Device, efi: bool) -> Self {
        Self { valid: true, persistent: false, efi, device }
    }

    /// The parameter's five bytes.
    pub fn encode(&self) -> [u8; 5] {
        let first = u8::from(self.valid) << 7 | u8::from(self.persistent) << 6 | u8::from(self.efi) << 5;
        [first, self.device.code() << 2, 0, 0, 0]
    }

    /// Reads the parameter; only its first two bytes count.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let [first, second] = Reader::new("boot flags", bytes).array()?;
        Ok(Self {
            valid: first & 0x80 != 0,
            persistent: first & 0x40 != 0,
            efi: first & 0x20 != 0,
            device: Device::from_code(second >> 2),
        })
    }
}

/// Set System Boot Options: one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetBootOption {
    /// Parameter selector.
    pub parameter: u8,
    /// The parameter's data.
    pub data: Vec<u8>,
}

impl Command for SetBootOption {
    type Answer = ();

    fn request(&self) -> Request {
        Request::new(netfn::CHASSIS, 0x08, [&[self.parameter], self.data.as_slice()].concat())
    }

    fn parse(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Get System Boot Options: the boot flags.
#[derive(Debug, Clone, Copy)]
pub struct GetBootFlags;

impl Command for GetBootFlags {
    type Answer = BootFlags;

    fn request(&self) -> Request {
        Request::new(netfn::CHASSIS, 0x09, [parameter::FLAGS, 0, 0])
    }

    fn parse(&self, data: &[u8]) -> Result<BootFlags, DecodeError> {
        let mut reader = Reader::new("Get System Boot Options", data);
        let [_version, parameter] = reader.array()?;
        if parameter & 0x7f != parameter::FLAGS {
            return Err(DecodeError::Value { what: "boot option parameter", value: parameter.into() });
        }
        let flags = BootFlags::decode(reader.rest())?;
        Ok(BootFlags { valid: flags.valid && parameter & 0x80 == 0, ..flags })
    }
}

/// One step of [`set_boot_steps`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The command.
    pub command: SetBootOption,
    /// Whether a refusal is a failure of the whole.
    pub required: bool,
}

/// The commands that set the boot flags, in order. With `only_flags` the locks around them are left out, for BMCs that
/// misbehave when asked.
pub fn set_boot_steps(flags: BootFlags, only_flags: bool) -> Vec<Step> {
    let step = |parameter, data: &[u8], required| Step {
        command: SetBootOption { parameter, data: data.to_vec() },
        required,
    };
    let the_flags = step(parameter::FLAGS, &flags.encode(), true);
    if only_flags {
        return vec![the_flags];
    }
    vec![
        step(parameter::SET_IN_PROGRESS, &[1], false),
        // Do not forget the flags after 60 s: a machine may take longer to be switched off and on.
        step(parameter::VALID_BIT_CLEARING, &[0x08], false),
        step(parameter::INFO_ACKNOWLEDGE, &[1, 1], false),
        the_flags,
        step(parameter::SET_IN_PROGRESS, &[0], false),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pxe_once_by_uefi_has_the_bytes_ipmitool_sends() {
        assert_eq!(BootFlags::once(Device::Pxe, true).encode(), [0xa0, 0x04, 0, 0, 0]);
        let persistent = BootFlags { valid: true, persistent: true, efi: false, device: Device::Disk };
        assert_eq!(persistent.encode(), [0xc0, 0x08, 0, 0, 0]);
    }

    #[test]
    fn flags_marked_invalid_by_the_parameter_do_not_count() {
        let flags = GetBootFlags.parse(&[1, 0x85, 0xa0, 4, 0, 0, 0]).unwrap();
        assert_eq!(flags, BootFlags { valid: false, ..BootFlags::once(Device::Pxe, true) });
        assert!(GetBootFlags.parse(&[1, 4, 0xa0, 4]).is_err());
    }

    #[test]
    fn only_the_flags_must_succeed() {
        let steps = set_boot_steps(BootFlags::once(Device::Pxe, false), false);
        let required: Vec<u8> =
            steps.iter().filter(|step| step.required).map(|step| step.command.parameter).collect();
        assert_eq!(required, [parameter::FLAGS]);
        assert_eq!(steps.len(), 5);
    }
}
