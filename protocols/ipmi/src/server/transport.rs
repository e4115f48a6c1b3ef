//! LAN and SOL parameters, read only: enough for clients that look before they leap.

use super::{Reply, Server};
use crate::command::completion;
use crate::wire::message::Request;

/// Parameter not supported (§23.2, §26.3).
const NO_PARAMETER: u8 = 0x80;

impl Server {
    pub(super) fn transport_command(&self, request: &Request) -> Reply {
        match (request.command, request.data.as_slice()) {
            (0x02, [_channel, number, ..]) => self.lan_parameter(*number),
            (0x22, [_channel, number, ..]) => self.sol_parameter(*number),
            (0x02 | 0x22, _) => Err(completion::LENGTH_INVALID),
            _ => Err(completion::INVALID_COMMAND),
        }
    }

    fn lan_parameter(&self, number: u8) -> Reply {
        let data = match number {
            0 => vec![0],
            1 => vec![0],
            2 => vec![0; 5],
            3 => vec![127, 0, 0, 1],
            4 => vec![1],
            5 => vec![0x02, 0, 0, 0, 0, 1],
            6 => vec![255, 0, 0, 0],
            12 => vec![0; 4],
            22 => vec![self.suites().len() as u8],
            23 => {
                let mut ids: Vec<u8> = self.suites().iter().map(|suite| suite.id()).collect();
                ids.resize(16, 0);
                [vec![0], ids].concat()
            }
            _ => return Err(NO_PARAMETER),
        };
        Ok([vec![0x11], data].concat())
    }

    fn sol_parameter(&self, number: u8) -> Reply {
        let [port_low, port_high] = self.config.port.to_le_bytes();
        let data = match number {
            0 => vec![0],
            1 => vec![1],
            2 => vec![0xc2],
            3 => vec![4, 100],
            4 => vec![7, 50],
            5 | 6 => vec![0x0a],
            7 => vec![1],
            8 => vec![port_low, port_high],
            _ => return Err(NO_PARAMETER),
        };
        Ok([vec![0x11], data].concat())
    }
}
