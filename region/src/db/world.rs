//! What snapshots are made of, read by a constant number of statements.

use super::DbError;
use crate::model::network::BootArchitecture;
use ipnet::Ipv4Net;
use rackwright_common::dhcp_option::DhcpOption;
use rackwright_common::snapshot::{Fixed6View, RouteView, ServeMode, Subnet6View};
use rackwright_common::{Hostname, Mac, MachineId, OperationId};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// A subnet with its VLAN.
#[derive(Debug, Clone)]
pub struct Subnet {
    /// Row.
    pub id: i64,
    /// Network.
    pub cidr: Ipv4Net,
    /// Default route.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers.
    pub dns_servers: Vec<Ipv4Addr>,
    /// Domain.
    pub domain: Option<String>,
    /// DHCP is on for its VLAN.
    pub dhcp: bool,
    /// MTU of its VLAN.
    pub mtu: i32,
    /// Lease time, seconds.
    pub lease_seconds: i32,
    /// Its VLAN's row.
    pub vlan: i64,
    /// The VLAN to whose racks a relay passes its requests on.
    pub relay: Option<i64>,
    /// What serving means.
    pub mode: ServeMode,
    /// Addresses are given from all of it.
    pub managed: bool,
    /// Firmware that may boot; all when absent.
    pub boot_architectures: Option<Vec<BootArchitecture>>,
    /// Its options, and those of its VLAN that it does not have.
    pub options: Vec<DhcpOption>,
    /// Static routes, the better ones first.
    pub routes: Vec<RouteView>,
}

/// IPv4 subnets.
pub async fn subnets(conn: &mut PgConnection) -> Result<Vec<Subnet>, DbError> {
    let rows = sqlx::query!(
        "SELECT s.id, text(s.cidr) AS \"cidr!\", host(s.gateway) AS gateway, (SELECT array_agg(host(d)) FROM unnest(s.dns_servers) d) AS dns,
                s.domain, s.lease_seconds, v.dhcp, v.mtu, v.id AS vlan, v.relay_vlan_id, v.dhcp_mode, s.managed, s.boot_architectures,
                s.dhcp_options, v.dhcp_options AS vlan_options,
                ARRAY(SELECT text(destination) || ' ' || host(r.gateway) FROM static_route r WHERE r.subnet_id = s.id
                       ORDER BY r.destination, r.metric, r.id) AS \"routes!\"
         FROM subnet s JOIN vlan v ON v.id = s.vlan_id WHERE family(s.cidr) = 4 ORDER BY s.id"
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Subnet {
                id: r.id,
                cidr: r.cidr.parse().map_err(|_| DbError::Corrupt { what: "subnet" })?,
                gateway: r.gateway.and_then(|g| g.parse().ok()),
                dns_servers: r.dns.unwrap_or_default().iter().filter_map(|d| d.parse().ok()).collect(),
                domain: r.domain,
                dhcp: r.dhcp,
                mtu: r.mtu,
                lease_seconds: r.lease_seconds,
                vlan: r.vlan,
                relay: r.relay_vlan_id,
                mode: match r.dhcp_mode.as_str() {
                    "shadow" => ServeMode::Shadow,
                    "proxy" => ServeMode::Proxy,
                    _ => ServeMode::Serve,
                },
                managed: r.managed,
                boot_architectures: r
                    .boot_architectures
                    .map(|names| names.iter().filter_map(|name| name.parse().ok()).collect()),
                options: merged(r.dhcp_options, r.vlan_options)?,
                routes: r.routes.iter().filter_map(|route| self::route(route)).collect(),
            })
        })
        .collect()
}

/// IPv6 subnets where addresses are given, as racks need them. Fixed addresses are reservations.
pub async fn subnets6(conn: &mut PgConnection) -> Result<Vec<Subnet6View>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT s.id, v.id AS vlan, text(s.cidr) AS "cidr!", s.domain, s.lease_seconds, s.boot_architectures,
                  ARRAY(SELECT host(d) FROM unnest(s.dns_servers) d) AS "dns!",
                  ARRAY(SELECT host(r.first) || ' ' || host(r.last) FROM ip_range r WHERE r.subnet_id = s.id AND r.kind = 'dynamic'
                        ORDER BY r.first) AS "ranges!",
                  ARRAY(SELECT r.mac || ' ' || host(r.address) FROM reservation r WHERE r.subnet_id = s.id ORDER BY r.id) AS "fixed!"
           FROM subnet s JOIN vlan v ON v.id = s.vlan_id
           WHERE family(s.cidr) = 6 AND v.dhcp AND v.dhcp_mode = 'serve' ORDER BY s.id"#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let pairs = |all: &[String]| -> Vec<(String, String)> {
                let split = all.iter().filter_map(|pair| pair.split_once(' '));
                split.map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
            };
            let range = |(first, last): (String, String)| Some((first.parse().ok()?, last.parse().ok()?));
            let fixed = |(mac, address): (String, String)| {
                Some(Fixed6View { mac: mac.parse().ok()?, address: address.parse().ok()? })
            };
            Ok(Subnet6View {
                id: r.id,
                vlan: r.vlan,
                cidr: r.cidr.parse().map_err(|_| DbError::Corrupt { what: "subnet" })?,
                dns_servers: r.dns.iter().filter_map(|d| d.parse().ok()).collect(),
                domain: r.domain,
                valid_seconds: u32::try_from(r.lease_seconds).unwrap_or(600),
                boot_architectures: r.boot_architectures.map(|names| {
                    let kinds = names.iter().filter_map(|name| name.parse::<BootArchitecture>().ok());
                    kinds.flat_map(|kind| kind.numbers()).copied().collect()
                }),
                ranges: pairs(&r.ranges).into_iter().filter_map(range).collect(),
                fixed: pairs(&r.fixed).into_iter().filter_map(fixed).collect(),
            })
        })
        .collect()
}

/// The nearer options, and those of the wider place that they do not replace.
fn merged(near: serde_json::Value, far: serde_json::Value) -> Result<Vec<DhcpOption>, DbError> {
    let read = |value| serde_json::from_value(value).map_err(|_| DbError::Corrupt { what: "DHCP option" });
    let mut options: Vec<DhcpOption> = read(near)?;
    let far: Vec<DhcpOption> = read(far)?;
    for option in far {
        if !options.iter().any(|o| o.code == option.code) {
            options.push(option);
        }
    }
    Ok(options)
}

fn route(text: &str) -> Option<RouteView> {
    let (destination, gateway) = text.split_once(' ')?;
    Some(RouteView { destination: destination.parse().ok()?, gateway: gateway.parse().ok()? })
}

/// A machine as racks need it.
#[derive(Debug, Clone)]
pub struct Host {
    /// Identifier.
    pub machine: MachineId,
    /// Name.
    pub hostname: Hostname,
    /// System UUID.
    pub uuid: Option<Uuid>,
    /// `local`, `ephemeral`, `hold`, `off`.
    pub boot: String,
    /// For whom it boots the ephemeral environment, and under which epoch.
    pub on_behalf: Option<(OperationId, i64)>,
    /// Shown while it is held.
    pub status_message: String,
    /// Whether its firmware starts signed loaders only; `None` when it was never seen from inside.
    pub secure_boot: Option<bool>,
    /// MAC and fixed address.
    pub interfaces: Vec<(Mac, Option<Ipv4Addr>)>,
}

/// All machines.
pub async fn hosts(conn: &mut PgConnection) -> Result<Vec<Host>, DbError> {
    let rows = sqlx::query!(
        "SELECT m.id, m.hostname, m.system_uuid, m.boot, m.boot_operation_id, m.boot_epoch, m.status_message,
                CASE WHEN m.inventory IS NOT NULL THEN m.secure_boot END AS secure_boot,
                array_agg(i.mac ORDER BY i.id) FILTER (WHERE i.mac IS NOT NULL) AS macs,
                array_agg(coalesce(host(i.address), '') ORDER BY i.id) FILTER (WHERE i.mac IS NOT NULL) AS addresses
         FROM machine m LEFT JOIN interface i ON i.machine_id = m.id GROUP BY m.id ORDER BY m.id"
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let macs = r.macs.unwrap_or_default();
            let addresses = r.addresses.unwrap_or_default();
            Ok(Host {
                machine: r.id.parse().map_err(|_| DbError::Corrupt { what: "machine id" })?,
                hostname: r.hostname.parse().map_err(|_| DbError::Corrupt { what: "host name" })?,
                uuid: r.system_uuid,
                boot: r.boot,
                on_behalf: r.boot_operation_id.map(OperationId).zip(r.boot_epoch),
                status_message: r.status_message,
                secure_boot: r.secure_boot,
                interfaces: macs
                    .iter()
                    .zip(addresses)
                    .filter_map(|(mac, a)| Some((mac.parse().ok()?, a.parse().ok())))
                    .collect(),
            })
        })
        .collect()
}

/// A reservation as racks need it.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// Hardware address.
    pub mac: Mac,
    /// The address.
    pub address: Ipv4Addr,
    /// Name told to the client.
    pub hostname: Option<Hostname>,
    /// Options of its own.
    pub options: Vec<DhcpOption>,
}

/// Reservations that are no machine's.
pub async fn reservations(conn: &mut PgConnection) -> Result<Vec<Reservation>, DbError> {
    let rows = sqlx::query!(
        "SELECT mac, host(address) AS \"address!\", hostname, dhcp_options FROM reservation r
         WHERE NOT EXISTS (SELECT 1 FROM interface i WHERE i.mac = r.mac AND i.address IS NOT NULL) ORDER BY id"
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|r| {
            Some(Reservation {
                mac: r.mac.parse().ok()?,
                address: r.address.parse().ok()?,
                hostname: r.hostname.and_then(|h| h.parse().ok()),
                options: serde_json::from_value(r.dhcp_options).ok()?,
            })
        })
        .collect())
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// Bytes after decompression.
    pub uncompressed_size: u64,
}

/// An image with its files.
#[derive(Debug, Clone)]
pub struct Image {
    /// Row.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Version.
    pub version: i32,
    /// `os`, `ephemeral`, `toolbox`, `bootloaders`.
    pub kind: String,
    /// By name.
    pub files: BTreeMap<String, ImageFile>,
}

/// The newest version of every image, and those versions that machines still need.
pub async fn images(conn: &mut PgConnection) -> Result<Vec<Image>, DbError> {
    let rows = sqlx::query!(
        "SELECT i.id, i.name, i.version, i.kind, f.name AS file, f.sha256, f.size, f.uncompressed_size
         FROM image i JOIN image_file f ON f.image_id = i.id
         WHERE i.version = (SELECT max(version) FROM image WHERE name = i.name)
            OR EXISTS (SELECT 1 FROM machine m WHERE m.image_id = i.id AND m.status = 'deploying')
         ORDER BY i.name, i.version DESC, f.name"
    )
    .fetch_all(conn)
    .await?;
    let mut images: Vec<Image> = Vec::new();
    for r in rows {
        let file = ImageFile {
            sha256: r.sha256,
            size: u64::try_from(r.size).unwrap_or(0),
            uncompressed_size: u64::try_from(r.uncompressed_size).unwrap_or(0),
        };
        match images.last_mut().filter(|i| i.id == r.id) {
            Some(image) => {
                image.files.insert(r.file, file);
            }
            None => images.push(Image {
                id: r.id,
                name: r.name,
                version: r.version,
                kind: r.kind,
                files: BTreeMap::from([(r.file, file)]),
            }),
        }
    }
    Ok(images)
}

/// Finds an image to deploy: `name` for the newest version, or `name@version`.
pub async fn find_image(conn: &mut PgConnection, reference: &str) -> Result<Option<Image>, DbError> {
    let (name, version) = match reference.split_once('@') {
        Some((name, version)) => (name, Some(version.parse::<i32>().unwrap_or(-1))),
        None => (reference, None),
    };
    let id = sqlx::query_scalar!(
        "SELECT id FROM image WHERE name = $1 AND ($2::int IS NULL OR version = $2) ORDER BY version DESC LIMIT 1",
        name,
        version
    )
    .fetch_optional(&mut *conn)
    .await?;
    match id {
        Some(id) => get_image(conn, id).await.map(Some),
        None => Ok(None),
    }
}

/// An image by its row.
pub async fn get_image(conn: &mut PgConnection, id: i64) -> Result<Image, DbError> {
    let image =
        sqlx::query!("SELECT name, version, kind FROM image WHERE id = $1", id).fetch_one(&mut *conn).await?;
    let files =
        sqlx::query!("SELECT name, sha256, size, uncompressed_size FROM image_file WHERE image_id = $1", id)
            .fetch_all(conn)
            .await?;
    let files = files.into_iter().map(|f| {
        let size = |n: i64| u64::try_from(n).unwrap_or(0);
        (
            f.name,
            ImageFile { sha256: f.sha256, size: size(f.size), uncompressed_size: size(f.uncompressed_size) },
        )
    });
    Ok(Image { id, name: image.name, version: image.version, kind: image.kind, files: files.collect() })
}
