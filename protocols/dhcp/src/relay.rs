//! Option 82, what a relay tells about the client's port (RFC 3046).

use std::net::Ipv4Addr;

/// The sub-options that the server acts on; the option itself is echoed as bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RelayInfo {
    /// Sub-option 1: the port, in the relay's own words.
    pub circuit_id: Option<Vec<u8>>,
    /// Sub-option 2: the client's side of the circuit.
    pub remote_id: Option<Vec<u8>>,
    /// Sub-option 5 (RFC 3527): the subnet to take an address from, instead of giaddr's.
    pub link_selection: Option<Ipv4Addr>,
    /// Sub-option 11 (RFC 5107): the server identifier to give, so that the relay stays in the path.
    pub server_id_override: Option<Ipv4Addr>,
}

impl RelayInfo {
    /// Reads the option; sub-options that are cut short or of the wrong length are skipped.
    pub fn decode(mut bytes: &[u8]) -> RelayInfo {
        let mut info = RelayInfo::default();
        while let [code, len, rest @ ..] = bytes {
            let Some((value, after)) = rest.split_at_checked(usize::from(*len)) else { break };
            let address = || <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from);
            match code {
                1 => info.circuit_id = Some(value.to_vec()),
                2 => info.remote_id = Some(value.to_vec()),
                5 => info.link_selection = address(),
                11 => info.server_id_override = address(),
                _ => {}
            }
            bytes = after;
        }
        info
    }
}
