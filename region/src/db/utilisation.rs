//! How the addresses of subnets and ranges are used, and where they run out.

use super::DbError;
use crate::model::network::{RangeUse, Subnet, Utilisation};
use ipnet::IpNet;
use sqlx::PgConnection;

/// With so few addresses left a subnet or a dynamic range runs low.
pub const LOW: u64 = 16;
/// A network smaller than this is not warned about by number: it always has few.
const SMALL: u64 = 64;

/// How the addresses of a subnet are used.
pub async fn of(conn: &mut PgConnection, subnet: &Subnet) -> Result<Utilisation, DbError> {
    let r = sqlx::query!(
        r#"SELECT coalesce((SELECT sum(last - first + 1) FROM ip_range WHERE subnet_id = $1 AND kind = 'dynamic'), 0)::float8 AS "dynamic!",
                  coalesce((SELECT sum(last - first + 1) FROM ip_range WHERE subnet_id = $1 AND kind = 'reserved'), 0)::float8 AS "reserved!",
                  (SELECT count(*) FROM interface WHERE subnet_id = $1 AND address IS NOT NULL)
                  + (SELECT count(*) FROM interface_address WHERE subnet_id = $1 AND address IS NOT NULL) AS "machines!",
                  (SELECT count(*) FROM reservation WHERE subnet_id = $1) AS "reservations!",
                  (SELECT count(*) FROM lease WHERE address << $2::text::inet AND expires_at > now()
                     AND EXISTS (SELECT 1 FROM ip_range r WHERE r.subnet_id = $1 AND r.kind = 'dynamic'
                                  AND address BETWEEN r.first AND r.last)) AS "leased!",
                  (SELECT count(*) FROM (SELECT address FROM interface WHERE subnet_id = $1 AND address IS NOT NULL
                                         UNION SELECT address FROM interface_address WHERE subnet_id = $1 AND address IS NOT NULL
                                         UNION SELECT address FROM reservation WHERE subnet_id = $1
                                         UNION SELECT gateway FROM subnet WHERE id = $1 AND gateway IS NOT NULL) a
                   WHERE NOT EXISTS (SELECT 1 FROM ip_range r WHERE r.subnet_id = $1
                                      AND a.address BETWEEN r.first AND r.last)) AS "outside_ranges!""#,
        subnet.id,
        subnet.cidr.to_string()
    )
    .fetch_one(&mut *conn)
    .await?;
    let whole = |count: f64| count as u64;
    let number = |count: i64| u64::try_from(count).unwrap_or(0);
    let addresses = host_addresses(subnet.cidr);
    let (dynamic, reserved) = (whole(r.dynamic), whole(r.reserved));
    let used = dynamic.saturating_add(reserved).saturating_add(number(r.outside_ranges));
    let (ranges, mut warnings) = ranges(conn, subnet.id).await?;
    let free = addresses.saturating_sub(used);
    if subnet.managed && addresses >= SMALL && free <= LOW {
        warnings.push(format!(
            "{free} addresses of {} are left for machines: enlarge the network, or make its ranges smaller",
            subnet.cidr
        ));
    }
    Ok(Utilisation {
        addresses,
        dynamic,
        reserved,
        machines: number(r.machines),
        reservations: number(r.reservations),
        leased: number(r.leased),
        free,
        ranges,
        warnings,
    })
}

/// The ranges of a subnet, and which dynamic ones run low: fewer than a tenth left, or [`LOW`] addresses of a large one.
async fn ranges(conn: &mut PgConnection, subnet: i64) -> Result<(Vec<RangeUse>, Vec<String>), DbError> {
    let rows = sqlx::query!(
        r#"SELECT r.id, r.kind, host(r.first) AS "first!", host(r.last) AS "last!", (r.last - r.first + 1)::float8 AS "addresses!",
                  (SELECT count(*) FROM (
                       SELECT address FROM lease WHERE expires_at > now() AND address BETWEEN r.first AND r.last
                       UNION SELECT address FROM lease_state WHERE subnet_id = $1 AND address BETWEEN r.first AND r.last
                       UNION SELECT address FROM interface WHERE subnet_id = $1 AND address BETWEEN r.first AND r.last
                       UNION SELECT address FROM interface_address WHERE subnet_id = $1 AND address BETWEEN r.first AND r.last
                       UNION SELECT address FROM reservation WHERE subnet_id = $1 AND address BETWEEN r.first AND r.last) a) AS "used!"
           FROM ip_range r WHERE r.subnet_id = $1 ORDER BY r.first"#,
        subnet
    )
    .fetch_all(conn)
    .await?;
    let mut warnings = Vec::new();
    let mut ranges = Vec::new();
    for r in rows {
        let addresses = r.addresses as u64;
        let used = u64::try_from(r.used).unwrap_or(0);
        let left = addresses.saturating_sub(used);
        if r.kind == "dynamic" && (left * 10 < addresses || (addresses >= SMALL && left <= LOW)) {
            warnings.push(format!(
                "{left} of {addresses} addresses are left in the dynamic range {} to {}: enlarge it, or shorten its leases",
                r.first, r.last
            ));
        }
        ranges.push(RangeUse { range: r.id, addresses, used });
    }
    Ok((ranges, warnings))
}

/// Notes whether a subnet runs low; true when it does since now, so that the warning is given once.
pub async fn note_low(conn: &mut PgConnection, subnet: i64, low: bool) -> Result<bool, DbError> {
    let changed = sqlx::query!(
        "UPDATE subnet SET low_since = CASE WHEN $2 THEN now() END WHERE id = $1 AND (low_since IS NOT NULL) <> $2",
        subnet,
        low
    )
    .execute(conn)
    .await?;
    Ok(low && changed.rows_affected() == 1)
}

/// Addresses that hosts can have: without network and broadcast address, where IPv4 has them.
fn host_addresses(net: IpNet) -> u64 {
    match net {
        IpNet::V4(v4) if v4.prefix_len() < 31 => (1u64 << (32 - v4.prefix_len())) - 2,
        IpNet::V4(v4) => 1 << (32 - v4.prefix_len()),
        IpNet::V6(v6) => 1u64.checked_shl(u32::from(128 - v6.prefix_len())).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_an_ipv4_network_are_no_hosts() {
        let count = |net: &str| host_addresses(net.parse().unwrap());
        assert_eq!(count("10.0.0.0/24"), 254);
        assert_eq!(count("10.0.0.0/31"), 2);
        assert_eq!(count("10.0.0.1/32"), 1);
        assert_eq!(count("fd00::/120"), 256);
        assert_eq!(count("fd00::/48"), u64::MAX);
    }
}
