//! IPMI commands as types: each knows its number, how to encode its data and how to read its answer.
//!
//! They are transport-free: the same bytes go through a LAN session and through `/dev/ipmi0`.

pub mod boot;
pub mod chassis;
pub mod device;
pub mod fru;
pub mod lan;
pub mod sdr;
pub mod sel;
pub mod sensor;
pub mod session;
pub mod sol;
pub mod user;

use crate::error::DecodeError;
use crate::wire::message::Request;

/// Network functions (table 5-1).
pub mod netfn {
    /// Chassis.
    pub const CHASSIS: u8 = 0x00;
    /// Sensor/event.
    pub const SENSOR: u8 = 0x04;
    /// Application.
    pub const APP: u8 = 0x06;
    /// Storage: SDR, SEL, FRU.
    pub const STORAGE: u8 = 0x0a;
    /// Transport: LAN, SOL.
    pub const TRANSPORT: u8 = 0x0c;
}

/// One IPMI command.
pub trait Command {
    /// What the answer says.
    type Answer;

    /// Network function, number and data.
    fn request(&self) -> Request;

    /// Reads the answer's data (after the completion code).
    fn parse(&self, data: &[u8]) -> Result<Self::Answer, DecodeError>;
}

/// A completion code other than success (table 5-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", describe(self.0))]
pub struct CompletionError(pub u8);

/// Completion codes used here.
pub mod completion {
    /// Done.
    pub const OK: u8 = 0x00;
    /// Busy, ask again.
    pub const NODE_BUSY: u8 = 0xc0;
    /// Unknown command.
    pub const INVALID_COMMAND: u8 = 0xc1;
    /// Timed out inside the BMC.
    pub const TIMEOUT: u8 = 0xc3;
    /// The reservation is gone: reserve anew.
    pub const RESERVATION_CANCELLED: u8 = 0xc5;
    /// Data has the wrong length.
    pub const LENGTH_INVALID: u8 = 0xc7;
    /// Offset or record out of range.
    pub const OUT_OF_RANGE: u8 = 0xc9;
    /// More bytes asked for than fit.
    pub const CANNOT_RETURN: u8 = 0xca;
    /// No such sensor or record.
    pub const NOT_PRESENT: u8 = 0xcb;
    /// A field holds a wrong value.
    pub const INVALID_FIELD: u8 = 0xcc;
    /// The privilege level does not allow it.
    pub const INSUFFICIENT_PRIVILEGE: u8 = 0xd4;
    /// Not possible in this state.
    pub const WRONG_STATE: u8 = 0xd5;
    /// Something else.
    pub const UNSPECIFIED: u8 = 0xff;
}

fn describe(code: u8) -> String {
    let text = match code {
        0xc0 => "node busy",
        0xc1 => "command not supported",
        0xc2 => "command not supported for this logical unit",
        0xc3 => "timeout inside the BMC",
        0xc4 => "out of space",
        0xc5 => "reservation cancelled",
        0xc6 => "request data truncated",
        0xc7 => "request data length invalid",
        0xc8 => "request data too long",
        0xc9 => "parameter out of range",
        0xca => "cannot return that many bytes",
        0xcb => "no such sensor, data or record",
        0xcc => "invalid data field in request",
        0xcd => "command illegal for this sensor or record",
        0xce => "response could not be provided",
        0xcf => "duplicated request",
        0xd0 => "SDR repository in update mode",
        0xd1 => "firmware in update mode",
        0xd2 => "BMC is initialising",
        0xd3 => "destination unavailable",
        0xd4 => "insufficient privilege",
        0xd5 => "not possible in the present state",
        0xd6 => "command disabled",
        0xff => "unspecified error",
        other => return format!("completion code {other:#04x}"),
    };
    format!("{text} ({code:#04x})")
}

/// Why a command did not give its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The BMC refused it.
    #[error("the BMC refused the command: {0}")]
    Completion(CompletionError),
    /// The BMC's answer makes no sense.
    #[error("the BMC's answer makes no sense")]
    Decode(#[from] DecodeError),
}

/// Completion code and data of an answer as `command`'s result.
pub fn read_answer<C: Command>(command: &C, completion: u8, data: &[u8]) -> Result<C::Answer, CommandError> {
    if completion != completion::OK {
        return Err(CommandError::Completion(CompletionError(completion)));
    }
    Ok(command.parse(data)?)
}
