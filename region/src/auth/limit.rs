//! Slows down guessing: tries are counted per name and address, and per address, for all regions together.
//!
//! What holds: whoever fails locks out nobody but those at their own address. Left out: a limit per name from everywhere,
//! because with it anybody could keep an administrator out.

use crate::db::login_try::Try;
use ring::digest::{SHA256, digest};
use std::net::{IpAddr, Ipv6Addr};

/// Tries of one name from one address before it has to wait.
pub const PER_NAME: i32 = 5;
/// Tries from one address, whatever the name.
pub const PER_ADDRESS: i32 = 30;

/// What is counted of a try. An IPv6 address counts as its /64: a single host has all of those.
pub fn counted(name: &str, from: Option<IpAddr>) -> Try {
    let address = from.map(|from| match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    });
    Try { name: digest(&SHA256, name.as_bytes()).as_ref().to_vec(), address }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_many_addresses_is_one() {
        let from = |address: &str| counted("ann", Some(address.parse().unwrap())).address;
        assert_eq!(from("fd00:1:2:3:4::5"), from("fd00:1:2:3:ffff::9"));
        assert_ne!(from("fd00:1:2:3::5"), from("fd00:1:2:4::5"));
        assert_eq!(from("::ffff:10.0.0.5"), from("10.0.0.5"));
        assert_ne!(from("10.0.0.5"), from("10.0.0.6"));
        assert_ne!(counted("ann", None).name, counted("bob", None).name);
    }
}
