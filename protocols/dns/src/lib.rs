//! DNS without sockets, clocks or files: messages in, answers out, over zones that are kept in memory whole.
//!
//! [`Query::parse`] reads what arrives, [`Zones::answer`] makes the answer, [`Reply`] reads what another server said.
//! The caller owns sockets, caches and the time.
//!
//! Spoken: RFC 1034 and 1035, wildcards (RFC 4592), negative answers (RFC 2308), EDNS (RFC 6891), little for ANY
//! (RFC 8482), classless reverse zones (RFC 2317), signed zones (RFC 4033 to 4035, 8080), transfers (RFC 5936, 1995), NOTIFY (RFC 1996), signed messages (RFC 8945).
//!
//! What holds: no bytes from the network make this crate panic or loop; an answer is never longer than the caller
//! allows, and says so by TC.

mod answer;
pub mod dnssec;
mod limit;
mod message;
mod name;
mod record;
mod reply;
pub mod transfer;
pub mod tsig;
mod zone;

pub use answer::{Answer, Rest, refusal};
pub use limit::{Allowance, Limit};
pub use message::{Edns, MAX_UDP, Malformed, Query, Writer, class, flag, opcode, rcode};
pub use name::{InvalidName, Name};
pub use record::{Data, InvalidData, RecordType};
pub use reply::{Reply, UsableReply};
pub use transfer::Difference;
pub use zone::{Record, Zone, ZoneError, Zones};
