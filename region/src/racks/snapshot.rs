//! Makes the picture of the world that a rack serves from.
//!
//! Whichever region makes it does so under the lock of the rack's row, after which it reads everything: so
//! generations follow the order of changes, and equal content never makes a new one.

use crate::db::rack::Rack;
use crate::db::{DbError, discovery, dns_zone, domain, lease_block, rack, region, setting, subnet, world};
use crate::lifecycle::request::EPHEMERAL_IMAGE;
use crate::model::setting::Settings;
use crate::network;
use crate::secrets::{AgentToken, MasterKey};
use rackwright_common::dhcp_option::DhcpOption;
use rackwright_common::id::Fence;
use rackwright_common::names::NamesView;
use rackwright_common::ntp::{TimeReport, TimeView};
use rackwright_common::snapshot::{
    BlobRef, BlockView, BootDecision, EphemeralBoot, HostInterface, HostView, OptionView, ReservationView,
    ServeMode, Snapshot, SubnetView,
};
use sqlx::{Connection, PgConnection};
use std::net::Ipv4Addr;

/// The name under which boot loaders are registered.
pub const BOOT_LOADERS: &str = "bootloaders";

/// Makes the present snapshot of a rack.
pub async fn make(conn: &mut PgConnection, keys: &MasterKey, id: i64) -> Result<Snapshot, DbError> {
    let mut tx = conn.begin().await?;
    rack::lock(&mut tx, id).await?;
    let racks = rack::list(&mut tx).await?;
    let present = racks.iter().find(|r| r.id == id).ok_or(DbError::NotFound)?;
    let mut snapshot = content(&mut tx, keys, present, &racks).await?;
    let json = serde_json::to_vec(&snapshot).map_err(|_| DbError::Corrupt { what: "snapshot" })?;
    let hash = rackwright_link::sha256_hex(&json);
    let generation = if hash == present.content_hash && present.generation >= present.running {
        present.generation
    } else {
        rack::next_generation(&mut tx, id, &hash).await?
    };
    tx.commit().await?;
    snapshot.generation = u64::try_from(generation).unwrap_or(0);
    Ok(snapshot)
}

async fn content(
    conn: &mut PgConnection,
    keys: &MasterKey,
    present: &Rack,
    racks: &[Rack],
) -> Result<Snapshot, DbError> {
    let settings = setting::load(conn).await?;
    let images = world::images(conn).await?;
    let blocks = lease_block::of_rack(conn, present.id).await?;
    let subnets = network::reached(world::subnets(conn).await?, &present.addresses);
    let boot = Ephemeral::find(&images, &settings);
    let hosts = world::hosts(conn).await?.into_iter().map(|h| host_view(h, keys, boot.as_ref())).collect();
    let reservations = world::reservations(conn).await?;
    let scanned = discovery::scanned(conn).await?;
    let in_reach = |r: &&Rack| r.alive || r.id == present.id;
    let addresses = racks.iter().filter(in_reach).flat_map(|r| &r.addresses);
    let reached = addresses.filter(|a| subnets.iter().any(|s| s.cidr.contains(&a.network.addr())));
    let domain = domain::list(conn, None).await?.into_iter().find(|d| d.is_default).map(|d| d.name);
    let reached: Vec<_> = reached.collect();
    let mut subnets6 = world::subnets6(conn).await?;
    subnets6.retain(|v6| subnets.iter().any(|s| s.vlan == v6.vlan));
    for v6 in &mut subnets6 {
        v6.domain = v6.domain.take().or_else(|| domain.clone());
    }
    let clocks = clocks(racks, present, &subnets);
    let names = NamesView {
        zones: dns_zone::whole(conn, None).await?,
        clients: subnet::list(conn, None).await?.into_iter().map(|s| s.cidr).collect(),
        upstreams: settings.upstream_dns.clone(),
        servers: reached.iter().filter(|a| a.dns).map(|a| a.network.addr()).collect(),
    };
    Ok(Snapshot {
        generation: 0,
        subnets6,
        names,
        time: time_view(conn, &settings).await?,
        enlist: boot.as_ref().filter(|_| settings.enlist).map(|b| b.boot(keys, None)),
        hosts,
        reservations: reservations
            .into_iter()
            .map(|r| ReservationView {
                mac: r.mac,
                address: r.address,
                hostname: r.hostname,
                options: wire(&r.options),
            })
            .collect(),
        boot_files: files_of(&images, BOOT_LOADERS),
        pinned: pinned(&images),
        racks: reached.iter().map(|a| format!("{}:{}", a.network.addr(), a.http_port)).collect(),
        router_advertisements: settings.router_advertisements,
        scan: scanned
            .into_iter()
            .filter(|(id, _)| subnets.iter().any(|s| s.id == *id))
            .map(|(_, net)| net)
            .collect(),
        subnets: subnets.iter().map(|s| subnet_view(s, &blocks, domain.as_deref(), &clocks)).collect(),
    })
}

async fn time_view(conn: &mut PgConnection, settings: &Settings) -> Result<TimeView, DbError> {
    let regions = region::time_servers(conn, None).await?;
    let sources = if regions.is_empty() { settings.ntp_servers.clone() } else { regions };
    Ok(TimeView { sources, local: settings.ntp_local_reference })
}

/// Where machines in reach of a rack get the time: addresses of racks that have it, its own first.
fn clocks(racks: &[Rack], present: &Rack, subnets: &[world::Subnet]) -> Vec<Ipv4Addr> {
    let own = racks.iter().filter(|r| r.id == present.id);
    let others = racks.iter().filter(|r| r.id != present.id && r.alive);
    let having = own.chain(others).filter(|r| r.time.as_ref().is_some_and(TimeReport::is_synchronised));
    let addresses = having.flat_map(|r| &r.addresses).map(|a| a.network.addr());
    addresses.filter(|a| subnets.iter().any(|s| s.cidr.contains(a))).collect()
}

/// Those in the subnet; where none is, a router leads to the others.
fn near(subnet: &world::Subnet, clocks: &[Ipv4Addr]) -> Vec<Ipv4Addr> {
    let near: Vec<_> = clocks.iter().copied().filter(|a| subnet.cidr.contains(a)).collect();
    if near.is_empty() { clocks.to_vec() } else { near }
}

fn subnet_view(
    subnet: &world::Subnet,
    blocks: &[lease_block::Block],
    domain: Option<&str>,
    clocks: &[Ipv4Addr],
) -> SubnetView {
    SubnetView {
        id: subnet.id,
        cidr: subnet.cidr,
        gateway: subnet.gateway,
        dns_servers: subnet.dns_servers.clone(),
        ntp_servers: near(subnet, clocks),
        domain: subnet.domain.clone().or_else(|| domain.map(str::to_owned)),
        mtu: u16::try_from(subnet.mtu).ok().filter(|mtu| *mtu != 1500),
        // A rack of the version before, which knows no modes, must not serve where another server does.
        dhcp: subnet.dhcp && subnet.mode == ServeMode::Serve,
        lease_seconds: u32::try_from(subnet.lease_seconds).unwrap_or(600),
        blocks: blocks
            .iter()
            .filter(|b| b.subnet == subnet.id)
            .map(|b| BlockView { first: b.first, last: b.last, epoch: b.epoch, since: b.since })
            .collect(),
        vlan: Some(subnet.vlan),
        mode: if subnet.dhcp { subnet.mode } else { ServeMode::Serve },
        boot_architectures: subnet
            .boot_architectures
            .as_ref()
            .map(|kinds| kinds.iter().flat_map(|kind| kind.numbers()).copied().collect()),
        options: wire(&subnet.options),
        routes: subnet.routes.clone(),
    }
}

/// Options as bytes. What cannot be encoded was refused when it was set.
fn wire(options: &[DhcpOption]) -> Vec<OptionView> {
    let encoded = options.iter().filter_map(|o| Some(OptionView { code: o.code, value: o.encode().ok()? }));
    encoded.collect()
}

/// The ephemeral environment of the moment.
struct Ephemeral {
    kernel: BlobRef,
    initrd: BlobRef,
    arguments: String,
}

impl Ephemeral {
    fn find(images: &[world::Image], settings: &Settings) -> Option<Self> {
        let files = files_of(images, EPHEMERAL_IMAGE);
        Some(Self {
            kernel: files.get("vmlinuz")?.clone(),
            initrd: files.get("initrd")?.clone(),
            arguments: settings.ephemeral_kernel_arguments.clone(),
        })
    }

    fn boot(&self, keys: &MasterKey, fence: Option<Fence>) -> EphemeralBoot {
        let token = fence
            .map_or(AgentToken::Enlist, |f| AgentToken::Operation { operation: f.operation, epoch: f.epoch });
        EphemeralBoot {
            kernel: self.kernel.clone(),
            initrd: self.initrd.clone(),
            arguments: self.arguments.clone(),
            token: keys.agent_token(token),
            fence,
        }
    }
}

fn host_view(host: world::Host, keys: &MasterKey, ephemeral: Option<&Ephemeral>) -> HostView {
    let hold = |reason: &str| BootDecision::Hold { reason: reason.to_owned() };
    let boot = match (host.boot.as_str(), host.on_behalf, ephemeral) {
        ("ephemeral", Some((operation, epoch)), Some(e)) => {
            BootDecision::Ephemeral(e.boot(keys, Some(Fence { operation, epoch })))
        }
        ("ephemeral", _, _) => hold("there is no ephemeral environment to boot"),
        ("hold", _, _) => hold(&host.status_message),
        ("off", _, _) => BootDecision::PowerOff,
        _ => BootDecision::Local,
    };
    HostView {
        machine: host.machine,
        hostname: host.hostname,
        uuid: host.uuid,
        interfaces: host
            .interfaces
            .into_iter()
            .map(|(mac, address)| HostInterface { mac, address })
            .collect(),
        boot,
        secure_boot: host.secure_boot,
    }
}

fn blob(file: &world::ImageFile) -> BlobRef {
    BlobRef { sha256: file.sha256.clone(), size: file.size }
}

fn files_of(images: &[world::Image], kind: &str) -> std::collections::BTreeMap<String, BlobRef> {
    let newest = images.iter().filter(|i| i.kind == kind).max_by_key(|i| i.id);
    newest
        .map(|i| i.files.iter().map(|(name, file)| (name.clone(), blob(file))).collect())
        .unwrap_or_default()
}

fn pinned(images: &[world::Image]) -> Vec<BlobRef> {
    let mut blobs: Vec<BlobRef> = images.iter().flat_map(|i| i.files.values()).map(blob).collect();
    blobs.sort();
    blobs.dedup();
    blobs
}
