//! Reverse names (RFC 1035 section 3.5, RFC 3596 section 2.5), and the zones they lie in (RFC 2317 for small networks).

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The zones of a network whose reverse names are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReverseZones {
    /// Their names; more than one where the network does not end at a dot.
    pub(super) origins: Vec<String>,
    /// The zone in which a small network's names really are, when the others only lead there (RFC 2317).
    pub(super) delegated: Option<String>,
}

/// The zones of a network: `on` or `rfc2317`.
pub(super) fn zones(net: IpNet, mode: &str) -> ReverseZones {
    match net {
        IpNet::V4(net) => of_v4(net, mode == "rfc2317"),
        IpNet::V6(net) => ReverseZones { origins: of_v6(net), delegated: None },
    }
}

fn of_v4(net: Ipv4Net, delegated: bool) -> ReverseZones {
    let prefix = net.prefix_len();
    let whole = match prefix {
        0..=8 => 8,
        9..=16 => 16,
        _ => 24,
    };
    let zone = |address: Ipv4Addr| {
        let octets = &address.octets()[..usize::from(whole / 8)];
        let labels: Vec<_> = octets.iter().rev().map(u8::to_string).collect();
        format!("{}.in-addr.arpa", labels.join("."))
    };
    let origins = if prefix <= whole {
        // 2^8 at most: a prefix is at most 8 bits from the next dot.
        Ipv4Net::new(net.network(), prefix)
            .and_then(|n| n.subnets(whole))
            .map(|parts| parts.map(|part| zone(part.network())).collect())
            .unwrap_or_default()
    } else {
        vec![zone(net.network())]
    };
    let small = (delegated && prefix > 24)
        .then(|| format!("{}-{prefix}.{}", net.network().octets()[3], zone(net.network())));
    ReverseZones { origins, delegated: small }
}

fn of_v6(net: Ipv6Net) -> Vec<String> {
    let whole = net.prefix_len().div_ceil(4) * 4;
    let zone = |address: Ipv6Addr| {
        let digits = nibbles(address);
        let labels: Vec<_> = digits[..usize::from(whole / 4)].iter().rev().cloned().collect();
        format!("{}.ip6.arpa", labels.join("."))
    };
    net.subnets(whole.max(4))
        .map(|parts| parts.map(|part| zone(part.network())).collect())
        .unwrap_or_default()
}

fn nibbles(address: Ipv6Addr) -> Vec<String> {
    address.octets().iter().flat_map(|b| [b >> 4, b & 15]).map(|n| format!("{n:x}")).collect()
}

/// The reverse name of an address.
pub(super) fn name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let labels: Vec<_> = nibbles(v6).into_iter().rev().collect();
            format!("{}.ip6.arpa", labels.join("."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones_of(net: &str, mode: &str) -> Vec<String> {
        let zones = zones(net.parse().unwrap(), mode);
        zones.origins.into_iter().chain(zones.delegated).collect()
    }

    #[test]
    fn a_network_has_the_zones_that_its_addresses_lie_in() {
        assert_eq!(zones_of("10.77.0.0/24", "on"), ["0.77.10.in-addr.arpa"]);
        assert_eq!(zones_of("10.77.0.0/16", "on"), ["77.10.in-addr.arpa"]);
        assert_eq!(zones_of("10.0.0.0/8", "on"), ["10.in-addr.arpa"]);
        assert_eq!(zones_of("10.77.2.0/23", "on"), ["2.77.10.in-addr.arpa", "3.77.10.in-addr.arpa"]);
        assert_eq!(zones_of("10.77.0.64/26", "on"), ["0.77.10.in-addr.arpa"]);
        assert_eq!(zones_of("10.0.0.0/9", "on").len(), 128);
        assert_eq!(zones_of("fd00:1::/32", "on"), ["1.0.0.0.0.0.d.f.ip6.arpa"]);
        assert_eq!(zones_of("fd00:1::/31", "on").len(), 2);
    }

    #[test]
    fn a_small_network_may_have_a_zone_of_its_own() {
        assert_eq!(
            zones_of("10.77.0.64/26", "rfc2317"),
            ["0.77.10.in-addr.arpa", "64-26.0.77.10.in-addr.arpa"]
        );
        assert_eq!(zones_of("10.77.0.0/24", "rfc2317"), ["0.77.10.in-addr.arpa"]);
    }

    #[test]
    fn addresses_have_names() {
        assert_eq!(name([10, 77, 0, 5].into()), "5.0.77.10.in-addr.arpa");
        let v6 = name(IpAddr::V6("fd00::5".parse().unwrap()));
        assert!(v6.starts_with("5.0.0.0.") && v6.ends_with(".0.0.d.f.ip6.arpa"), "{v6}");
        assert_eq!(v6.len(), 72);
    }
}
