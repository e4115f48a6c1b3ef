//! Activating and deactivating serial over LAN (§24).

use super::{Command, netfn};
use crate::error::{DecodeError, Reader};
use crate::wire::message::Request;

/// The SOL payload's type number.
pub const SOL_PAYLOAD: u8 = 1;
/// Completion code: someone else has the console.
pub const ALREADY_ACTIVE: u8 = 0x80;

/// Activate Payload (§24.1) for SOL instance 1, encrypted and authenticated.
#[derive(Debug, Clone, Copy)]
pub struct ActivateSol;

/// What the BMC grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SolGrant {
    /// Largest payload the BMC takes, bytes with the four of the header.
    pub to_bmc: u16,
    /// Largest payload the BMC sends.
    pub from_bmc: u16,
    /// UDP port for the payload; the session's own in practice.
    pub port: u16,
}

impl Command for ActivateSol {
    type Answer = SolGrant;

    fn request(&self) -> Request {
        Request::new(netfn::APP, 0x48, [SOL_PAYLOAD, 1, 0xc0, 0, 0, 0])
    }

    fn parse(&self, data: &[u8]) -> Result<SolGrant, DecodeError> {
        let mut reader = Reader::new("Activate Payload", data);
        reader.take(4)?;
        Ok(SolGrant { to_bmc: reader.u16()?, from_bmc: reader.u16()?, port: reader.u16()? })
    }
}

/// Deactivate Payload (§24.2) for SOL instance 1.
#[derive(Debug, Clone, Copy)]
pub struct DeactivateSol;

impl Command for DeactivateSol {
    type Answer = ();

    fn request(&self) -> Request {
        Request::new(netfn::APP, 0x49, [SOL_PAYLOAD, 1, 0, 0, 0, 0])
    }

    fn parse(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}
