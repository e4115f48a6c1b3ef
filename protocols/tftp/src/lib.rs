//! A read-only TFTP server without sockets, clocks or files, made for network boot.
//!
//! [`Request::decode`] reads what arrives at port 69, [`Transfer`] is one transfer: it is told datagrams and the
//! time, and says what to send. The caller owns the sockets, reads the file, and encodes with [`data`].
//!
//! Spoken: RFC 1350, options (RFC 2347) `blksize` (2348), `timeout` and `tsize` (2349), `windowsize` (7440); block
//! numbers roll over to 0, so a file may have any size. Firmware in the field probes the size, aborts with an
//! ERROR and asks again, often from the same port: an ERROR ends a transfer at once, and the caller starts
//! anew on a repeated request.
//!
//! What holds: no bytes from the network make this crate panic; a lost or repeated datagram neither ends a
//! transfer nor doubles its traffic. Left out: writing, multicast (RFC 2090), mail mode.

#![cfg_attr(test, expect(clippy::octal_escapes, reason = "a NUL, then the digits of a value"))]

mod negotiate;
mod netascii;
mod packet;
mod transfer;

pub use negotiate::{Limits, Settings};
pub use netascii::to_netascii;
pub use packet::{Mode, Packet, Request, RequestError, code, data, error};
pub use transfer::{Outcome, Output, Transfer};
