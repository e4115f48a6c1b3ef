//! Session commands (§22): privilege level, closing, what a channel can do.

use super::{Command, netfn};
use crate::error::{DecodeError, Reader};
use crate::wire::message::Request;
use crate::wire::rakp::Privilege;

/// Set Session Privilege Level (§22.18).
#[derive(Debug, Clone, Copy)]
pub struct SetSessionPrivilege {
    /// The level to work at.
    pub privilege: Privilege,
}

impl Command for SetSessionPrivilege {
    type Answer = u8;

    fn request(&self) -> Request {
        Request::new(netfn::APP, 0x3b, [self.privilege.code()])
    }

    /// The level now in force, as its code.
    fn parse(&self, data: &[u8]) -> Result<u8, DecodeError> {
        Reader::new("Set Session Privilege Level", data).u8()
    }
}

/// Close Session (§22.19).
#[derive(Debug, Clone, Copy)]
pub struct CloseSession {
    /// The BMC's session id.
    pub session_id: u32,
}

impl Command for CloseSession {
    type Answer = ();

    fn request(&self) -> Request {
        Request::new(netfn::APP, 0x3c, self.session_id.to_le_bytes())
    }

    fn parse(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Get Channel Cipher Suites (§22.15.1), one block of 16 bytes.
#[derive(Debug, Clone, Copy)]
pub struct GetChannelCipherSuites {
    /// Block number, 0..=63.
    pub block: u8,
}

impl Command for GetChannelCipherSuites {
    type Answer = Vec<u8>;

    fn request(&self) -> Request {
        Request::new(netfn::APP, 0x54, [0x0e, 0x00, 0x80 | (self.block & 0x3f)])
    }

    /// Up to 16 bytes of cipher suite records; fewer than 16 means the end.
    fn parse(&self, data: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut reader = Reader::new("Get Channel Cipher Suites", data);
        reader.u8()?;
        Ok(reader.rest().to_vec())
    }
}
