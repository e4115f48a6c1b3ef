//! The BMC's own network settings (§23): how the agent finds the address the rack will talk to.

use std::net::Ipv4Addr;

use super::{Command, netfn};
use crate::error::{DecodeError, Reader};
use crate::wire::message::Request;

/// Get LAN Configuration Parameters (§23.2): one parameter.
#[derive(Debug, Clone, Copy)]
struct Parameter {
    channel: u8,
    number: u8,
}

impl Parameter {
    fn request(self) -> Request {
        Request::new(netfn::TRANSPORT, 0x02, [self.channel & 0x0f, self.number, 0, 0])
    }

    fn read<const N: usize>(data: &[u8]) -> Result<[u8; N], DecodeError> {
        let mut reader = Reader::new("LAN parameter", data);
        reader.u8()?;
        reader.array()
    }
}

/// The BMC's IPv4 address (parameter 3).
#[derive(Debug, Clone, Copy)]
pub struct GetLanAddress {
    /// LAN channel.
    pub channel: u8,
}

impl Command for GetLanAddress {
    type Answer = Ipv4Addr;

    fn request(&self) -> Request {
        Parameter { channel: self.channel, number: 3 }.request()
    }

    fn parse(&self, data: &[u8]) -> Result<Ipv4Addr, DecodeError> {
        Parameter::read::<4>(data).map(Ipv4Addr::from)
    }
}

/// The BMC's MAC address (parameter 5).
#[derive(Debug, Clone, Copy)]
pub struct GetLanMac {
    /// LAN channel.
    pub channel: u8,
}

impl Command for GetLanMac {
    type Answer = [u8; 6];

    fn request(&self) -> Request {
        Parameter { channel: self.channel, number: 5 }.request()
    }

    fn parse(&self, data: &[u8]) -> Result<[u8; 6], DecodeError> {
        Parameter::read(data)
    }
}

/// Get Channel Info (§22.24): which channel is a LAN.
#[derive(Debug, Clone, Copy)]
pub struct GetChannelInfo {
    /// Channel number, 0..=15.
    pub channel: u8,
}

impl Command for GetChannelInfo {
    /// The channel is an 802.3 LAN.
    type Answer = bool;

    fn request(&self) -> Request {
        Request::new(netfn::APP, 0x42, [self.channel & 0x0f])
    }

    fn parse(&self, data: &[u8]) -> Result<bool, DecodeError> {
        let [_channel, medium] = Reader::new("Get Channel Info", data).array()?;
        Ok(medium & 0x7f == 4)
    }
}
