//! Intel AMT over WS-Man: messages as text, HTTP digest, answers read. No sockets; the driver moves the bytes.
//!
//! What holds: an answer is read into a bounded tree or refused, whatever a device sends; a fault of the device becomes
//! [`AmtError::Fault`] with its own words. Left out: Kerberos, serial over LAN and media redirection (port 16994), events.
//!
//! - [`digest`]: HTTP digest authentication (RFC 7616, MD5 with `qop=auth`), both sides.
//! - [`message`]: the requests Rackwright needs and what their answers say.
//! - [`sim`]: a small AMT device for tests and for the lab.

pub mod digest;
pub mod message;
pub mod sim;
mod xml;

pub use message::{AmtError, BootSource, Power, Request};

/// TCP port without TLS.
pub const PORT: u16 = 16992;
/// TCP port with TLS.
pub const TLS_PORT: u16 = 16993;
/// Path of every request.
pub const PATH: &str = "/wsman";
/// Content type of every request.
pub const CONTENT_TYPE: &str = "application/soap+xml;charset=UTF-8";
/// Largest answer worth reading, bytes.
pub const ANSWER_LIMIT: usize = 256 * 1024;
