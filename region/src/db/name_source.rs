//! What names are derived from, read by a constant number of statements.

use super::DbError;
use super::lease::ClientName;
use crate::model::domain::{DnsRecord, Domain};
use ipnet::IpNet;
use rackwright_common::link::RackAddress;
use sqlx::PgConnection;
use std::net::IpAddr;

/// A rack that was heard of within this time counts, seconds.
const RACK_ALIVE_SECONDS: f64 = 5.0;

/// A machine's interface with an address.
#[derive(Debug, Clone)]
pub struct Interface {
    /// The machine's name.
    pub hostname: String,
    /// The machine's domain; the default one when absent.
    pub domain: Option<String>,
    /// The interface's name; may be empty.
    pub name: String,
    /// The machine boots through it.
    pub boot: bool,
    /// Its address.
    pub address: IpAddr,
}

/// A region or a rack.
#[derive(Debug, Clone)]
pub struct Controller {
    /// Name.
    pub name: String,
    /// Addresses at which it is reached.
    pub addresses: Vec<IpAddr>,
    /// Heard of lately.
    pub alive: bool,
}

/// A network and what becomes of its reverse names.
#[derive(Debug, Clone)]
pub struct Subnet {
    /// Name.
    pub name: String,
    /// Network.
    pub cidr: IpNet,
    /// `off`, `on`, `rfc2317`.
    pub reverse: String,
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Domains.
    pub domains: Vec<Domain>,
    /// What people entered.
    pub records: Vec<DnsRecord>,
    /// Interfaces of machines, the one that a machine boots through first.
    pub interfaces: Vec<Interface>,
    /// Names and addresses of things that are not machines.
    pub reservations: Vec<(String, IpAddr)>,
    /// Names by which clients with dynamic addresses call themselves.
    pub clients: Vec<ClientName>,
    /// Racks.
    pub racks: Vec<Controller>,
    /// Regions; their addresses are those at which they answer names.
    pub regions: Vec<Controller>,
    /// Networks.
    pub subnets: Vec<Subnet>,
}

/// Reads everything.
pub async fn load(conn: &mut PgConnection) -> Result<Sources, DbError> {
    Ok(Sources {
        domains: super::domain::list(conn, None).await?,
        records: super::dns_record::list(conn, None).await?,
        interfaces: interfaces(conn).await?,
        reservations: reservations(conn).await?,
        clients: super::lease::client_names(conn).await?,
        racks: racks(conn).await?,
        regions: regions(conn).await?,
        subnets: subnets(conn).await?,
    })
}

/// Those of bonds and bridges come before their members, whose addresses the installed system does not have.
async fn interfaces(conn: &mut PgConnection) -> Result<Vec<Interface>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT m.hostname, d.name AS "domain?", i.name AS "name!", i.boot AS "boot!", host(i.address) AS "address!"
           FROM (SELECT id, machine_id, name, boot, address, 0 AS place FROM interface
                 UNION ALL SELECT n.id, n.machine_id, n.name, n.boot, a.address, 1
                 FROM interface_address a JOIN interface n ON n.id = a.interface_id
                 UNION ALL SELECT v.id, v.machine_id, v.name, FALSE, a.address, 1
                 FROM interface_address a JOIN virtual_interface v ON v.id = a.virtual_id) i
           JOIN machine m ON m.id = i.machine_id LEFT JOIN domain d ON d.id = m.domain_id
           WHERE i.address IS NOT NULL
           ORDER BY m.hostname,
                    i.place = 0 AND EXISTS (SELECT 1 FROM virtual_interface v
                                             WHERE v.machine_id = m.id AND v.kind <> 'vlan' AND i.id = ANY(v.parents)),
                    i.boot DESC, i.place, i.id, i.address"#
    )
    .fetch_all(conn)
    .await?;
    let interface = |(hostname, domain, name, boot, address): (_, _, _, _, String)| {
        Some(Interface { hostname, domain, name, boot, address: address.parse().ok()? })
    };
    let rows = rows.into_iter().map(|r| (r.hostname, r.domain, r.name, r.boot, r.address));
    Ok(rows.filter_map(interface).collect())
}

async fn reservations(conn: &mut PgConnection) -> Result<Vec<(String, IpAddr)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT coalesce(r.hostname, d.hostname) AS "hostname!", host(r.address) AS "address!"
           FROM reservation r LEFT JOIN device d ON d.id = r.device_id
           WHERE coalesce(r.hostname, d.hostname) IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM interface i WHERE i.mac = r.mac AND i.address IS NOT NULL) ORDER BY r.id"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().filter_map(|r| Some((r.hostname, r.address.parse().ok()?))).collect())
}

/// Racks with the addresses that they have on networks of machines.
pub async fn racks(conn: &mut PgConnection) -> Result<Vec<Controller>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT name, addresses, coalesce(last_seen_at > now() - make_interval(secs => $1), FALSE) AS "alive!"
           FROM rack ORDER BY name"#,
        RACK_ALIVE_SECONDS
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let addresses: Vec<RackAddress> =
                serde_json::from_value(r.addresses).map_err(|_| DbError::Corrupt { what: "rack address" })?;
            let addresses = addresses.iter().map(|a| a.network.addr().into()).collect();
            Ok(Controller { name: r.name, addresses, alive: r.alive })
        })
        .collect()
}

async fn regions(conn: &mut PgConnection) -> Result<Vec<Controller>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT name, ARRAY(SELECT host(a) FROM unnest(dns_addresses) a) AS "addresses!",
                  last_seen_at > now() - make_interval(secs => $1) AS "alive!" FROM region ORDER BY name"#,
        super::region::DEAD_SECONDS
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Controller {
            name: r.name,
            addresses: r.addresses.iter().filter_map(|a| a.parse().ok()).collect(),
            alive: r.alive,
        })
        .collect())
}

async fn subnets(conn: &mut PgConnection) -> Result<Vec<Subnet>, DbError> {
    let rows = sqlx::query!(r#"SELECT name, text(cidr) AS "cidr!", reverse_dns FROM subnet ORDER BY cidr"#)
        .fetch_all(conn)
        .await?;
    let subnet =
        |(name, cidr, reverse): (_, String, _)| Some(Subnet { name, cidr: cidr.parse().ok()?, reverse });
    Ok(rows.into_iter().filter_map(|r| subnet((r.name, r.cidr, r.reverse_dns))).collect())
}
