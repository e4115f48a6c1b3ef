//! Bytes on the wire: RMCP and session headers, LAN messages, the RAKP exchange. Encoders and decoders only; no state.

pub mod message;
pub mod packet;
pub mod rakp;
pub mod sol;

/// UDP port of IPMI over LAN.
pub const PORT: u16 = 623;
