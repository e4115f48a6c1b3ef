//! What regions and racks both serve, around cores that know no sockets.

pub mod dns;
pub mod ntp;
