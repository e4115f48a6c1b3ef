//! Power (§28): is it on, switch it, show a light.

use super::{Command, netfn};
use crate::error::{DecodeError, Reader};
use crate::wire::message::Request;

/// Get Chassis Status (§28.2).
#[derive(Debug, Clone, Copy)]
pub struct GetChassisStatus;

/// What the chassis says of itself. A word, not a proof: some BMCs say "on" of a machine that is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChassisStatus {
    /// The system's power is on.
    pub power_on: bool,
    /// Power control itself is at fault.
    pub power_control_fault: bool,
    /// The supply is at fault or overloaded.
    pub power_fault: bool,
    /// What happens when mains power returns.
    pub restore_policy: RestorePolicy,
    /// The chassis is open.
    pub intrusion: bool,
    /// A drive is at fault.
    pub drive_fault: bool,
    /// A fan is at fault.
    pub fan_fault: bool,
    /// The identify light is on; `None` when the BMC does not say.
    pub identify: Option<bool>,
}

/// What happens when mains power returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestorePolicy {
    /// Stays off.
    StayOff,
    /// As it was.
    Previous,
    /// Powers on.
    PowerOn,
    /// Not said.
    Unknown,
}

impl Command for GetChassisStatus {
    type Answer = ChassisStatus;

    fn request(&self) -> Request {
        Request::new(netfn::CHASSIS, 0x01, [])
    }

    fn parse(&self, data: &[u8]) -> Result<ChassisStatus, DecodeError> {
        let mut reader = Reader::new("Get Chassis Status", data);
        let [power, _last_event, misc] = reader.array()?;
        Ok(ChassisStatus {
            power_on: power & 0x01 != 0,
            power_control_fault: power & 0x10 != 0,
            power_fault: power & 0x0a != 0,
            restore_policy: match (power >> 5) & 3 {
                0 => RestorePolicy::StayOff,
                1 => RestorePolicy::Previous,
                2 => RestorePolicy::PowerOn,
                _ => RestorePolicy::Unknown,
            },
            intrusion: misc & 0x01 != 0,
            drive_fault: misc & 0x04 != 0,
            fan_fault: misc & 0x08 != 0,
            identify: (misc & 0x40 != 0).then_some(misc & 0x30 != 0),
        })
    }
}

/// Chassis Control (§28.3). An acknowledgement only says that the BMC will try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChassisControl {
    /// Off at once.
    Off,
    /// On.
    On,
    /// Off, a moment later on. Refused by most BMCs when off.
    Cycle,
    /// Hard reset.
    Reset,
    /// Non-maskable interrupt.
    DiagnosticInterrupt,
    /// Asks the operating system to shut down (ACPI).
    SoftOff,
}

impl ChassisControl {
    /// The control's number on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::On => 1,
            Self::Cycle => 2,
            Self::Reset => 3,
            Self::DiagnosticInterrupt => 4,
            Self::SoftOff => 5,
        }
    }

    /// The control with that number.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Off, Self::On, Self::Cycle, Self::Reset, Self::DiagnosticInterrupt, Self::SoftOff]
            .into_iter()
            .find(|control| control.code() == code & 0x0f)
    }
}

impl Command for ChassisControl {
    type Answer = ();

    fn request(&self) -> Request {
        Request::new(netfn::CHASSIS, 0x02, [self.code()])
    }

    fn parse(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Chassis Identify (§28.5): the light that shows a person which machine is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identify {
    /// For so many seconds; 0 switches it off.
    Seconds(u8),
    /// Until switched off.
    Forever,
}

impl Command for Identify {
    type Answer = ();

    fn request(&self) -> Request {
        let data = match self {
            Self::Seconds(seconds) => vec![*seconds],
            Self::Forever => vec![0, 1],
        };
        Request::new(netfn::CHASSIS, 0x04, data)
    }

    fn parse(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_bits() {
        let status = GetChassisStatus.parse(&[0x21, 0x10, 0x50]).unwrap();
        assert!(status.power_on && !status.power_fault && !status.intrusion);
        assert_eq!(status.restore_policy, RestorePolicy::Previous);
        assert_eq!(status.identify, Some(true));
        assert!(GetChassisStatus.parse(&[0x21, 0x10]).is_err());
    }
}
