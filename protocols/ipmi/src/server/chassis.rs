//! Chassis commands: power and boot options.

use std::time::{Duration, Instant};

use super::{Reply, Server};
use crate::command::boot::{BootFlags, Device, parameter};
use crate::command::chassis::ChassisControl;
use crate::command::completion;
use crate::wire::message::Request;
use crate::wire::rakp::Privilege;

/// The boot flags expire after this, unless the client asks otherwise (table 28-14, parameter 3).
const FLAGS_VALID: Duration = Duration::from_secs(60);

/// The machine could not be switched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the chassis program failed: {0}")]
pub struct ChassisFault(pub String);

/// The machine behind the BMC.
pub trait Chassis {
    /// Power is on.
    fn power(&mut self) -> Result<bool, ChassisFault>;
    /// Switches power; nothing happens when it is so already.
    fn set_power(&mut self, on: bool) -> Result<(), ChassisFault>;
    /// Hard reset.
    fn reset(&mut self) -> Result<(), ChassisFault>;
    /// Presses the power button: the operating system is asked to shut down.
    fn shutdown(&mut self) -> Result<(), ChassisFault>;
    /// Chooses what the next boot, or every boot, starts from.
    fn set_boot(&mut self, flags: BootFlags) -> Result<(), ChassisFault>;
}

/// What the BMC remembers of its chassis.
#[derive(Debug)]
pub(super) struct ChassisState {
    flags: BootFlags,
    flags_set: Option<Instant>,
    clearing: u8,
    set_in_progress: u8,
    acknowledge: [u8; 2],
    identify: u8,
    restore_policy: u8,
    /// "Power on" was only pretended.
    pretend_on: bool,
}

impl Default for ChassisState {
    fn default() -> Self {
        Self {
            flags: BootFlags { valid: false, persistent: false, efi: false, device: Device::NoOverride },
            flags_set: None,
            clearing: 0,
            set_in_progress: 0,
            acknowledge: [0; 2],
            identify: 0,
            restore_policy: 0,
            pretend_on: false,
        }
    }
}

impl From<ChassisFault> for u8 {
    fn from(_: ChassisFault) -> Self {
        completion::UNSPECIFIED
    }
}

impl Server {
    pub(super) fn chassis_command(
        &mut self,
        now: Instant,
        id: u32,
        request: &Request,
        chassis: &mut dyn Chassis,
    ) -> Reply {
        if request.command > 0x01 {
            self.require(id, Privilege::Operator)?;
        }
        if matches!(request.command, 0x02 | 0x08)
            && let Some(code) = self.behaviour.refuse
        {
            return Err(code);
        }
        match (request.command, request.data.as_slice()) {
            (0x00, []) => Ok(vec![0, 0x20, 0x20, 0x20, 0x20]),
            (0x01, []) => self.chassis_status(chassis),
            (0x02, [control]) => self.control(*control, chassis),
            (0x04, data) => self.identify(data),
            (0x05, _) => Ok(vec![0x1f]),
            (0x06, [policy]) => {
                if policy & 7 != 3 {
                    self.chassis.restore_policy = policy & 3;
                }
                Ok(vec![0x07])
            }
            (0x07, []) => Ok(vec![0x00, 0x00]),
            (0x08, [selector, data @ ..]) => self.set_boot_option(now, selector & 0x7f, data, chassis),
            (0x09, [selector, ..]) => self.get_boot_option(now, selector & 0x7f),
            (0x01 | 0x02 | 0x08 | 0x09, _) => Err(completion::LENGTH_INVALID),
            _ => Err(completion::INVALID_COMMAND),
        }
    }

    fn chassis_status(&mut self, chassis: &mut dyn Chassis) -> Reply {
        let pretending = self.behaviour.stuck_off && self.chassis.pretend_on;
        let on = pretending || chassis.power()?;
        let identify = 0x40 | if self.chassis.identify > 0 { 0x10 } else { 0 };
        Ok(vec![u8::from(on) | self.chassis.restore_policy << 5, 0, identify])
    }

    fn control(&mut self, code: u8, chassis: &mut dyn Chassis) -> Reply {
        let control = ChassisControl::from_code(code).ok_or(completion::INVALID_FIELD)?;
        if self.behaviour.stuck_off && control != ChassisControl::Off {
            self.chassis.pretend_on = true;
            if control != ChassisControl::On {
                chassis.set_power(false)?;
            }
            return Ok(Vec::new());
        }
        self.chassis.pretend_on = false;
        match control {
            ChassisControl::Off => chassis.set_power(false)?,
            ChassisControl::On => {
                if !chassis.power()? {
                    chassis.set_power(true)?;
                    self.use_up_flags();
                }
            }
            ChassisControl::Cycle | ChassisControl::Reset => {
                if !chassis.power()? {
                    return Err(completion::WRONG_STATE);
                }
                if control == ChassisControl::Cycle {
                    chassis.set_power(false)?;
                    chassis.set_power(true)?;
                } else {
                    chassis.reset()?;
                }
                self.use_up_flags();
            }
            ChassisControl::SoftOff => chassis.shutdown()?,
            ChassisControl::DiagnosticInterrupt => return Err(completion::INVALID_FIELD),
        }
        Ok(Vec::new())
    }

    /// The firmware has read the flags at this boot.
    fn use_up_flags(&mut self) {
        if !self.chassis.flags.persistent {
            self.chassis.flags.valid = false;
        }
    }

    fn identify(&mut self, data: &[u8]) -> Reply {
        self.chassis.identify = match data {
            [] => 15,
            [_, force, ..] if force & 1 != 0 => u8::MAX,
            [seconds, ..] => *seconds,
        };
        Ok(Vec::new())
    }

    fn set_boot_option(
        &mut self,
        now: Instant,
        selector: u8,
        data: &[u8],
        chassis: &mut dyn Chassis,
    ) -> Reply {
        match (selector, data) {
            (parameter::SET_IN_PROGRESS, [value]) => self.chassis.set_in_progress = value & 3,
            (parameter::VALID_BIT_CLEARING, [value]) => self.chassis.clearing = *value,
            (parameter::INFO_ACKNOWLEDGE, [mask, value]) => self.chassis.acknowledge = [*mask, *value],
            (parameter::FLAGS, data) => {
                let flags = BootFlags::decode(data).map_err(|_| completion::LENGTH_INVALID)?;
                chassis.set_boot(flags)?;
                self.chassis.flags = flags;
                self.chassis.flags_set = Some(now);
            }
            // Nothing but a mark "parameter valid".
            (_, []) => {}
            _ => return Err(0x80),
        }
        Ok(Vec::new())
    }

    fn get_boot_option(&mut self, now: Instant, selector: u8) -> Reply {
        let expires = self.chassis.clearing & 0x08 == 0 && !self.chassis.flags.persistent;
        if expires && self.chassis.flags_set.is_some_and(|set| now >= set + FLAGS_VALID) {
            self.chassis.flags.valid = false;
        }
        let data = match selector {
            parameter::SET_IN_PROGRESS => vec![self.chassis.set_in_progress],
            parameter::VALID_BIT_CLEARING => vec![self.chassis.clearing],
            parameter::INFO_ACKNOWLEDGE => self.chassis.acknowledge.to_vec(),
            parameter::FLAGS => self.chassis.flags.encode().to_vec(),
            _ => return Err(0x80),
        };
        Ok([&[1, selector], data.as_slice()].concat())
    }
}
