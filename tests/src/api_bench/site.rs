//! A site to measure: a database of its own with seeded machines, and the region's real router on 127.0.0.1.
//!
//! Left out: the life cycle's workers, racks and web pages; nothing runs here but what answers the API.

use anyhow::{Context, Result};
use rackwright_common::Mac;
use rackwright_common::inventory::{
    CpuInfo, Dimm, Disk, FirmwareInfo, InBandBmc, Interface, Inventory, NumaNode, PciDevice, SystemInfo,
};
use rackwright_region::app::App;
use rackwright_region::auth::bootstrap::bootstrap;
use rackwright_region::config::RegionConfig;
use rackwright_region::images::store::Store;
use rackwright_region::secrets::MasterKey;
use rackwright_region::{api, db, scripts};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A seeded region that serves.
pub struct Site {
    /// Where.
    pub address: SocketAddr,
    /// The administrator's API token.
    pub token: String,
    /// The administrator's password.
    pub password: String,
    /// The use cases.
    pub app: App,
    pool: PgPool,
    server: JoinHandle<std::io::Result<()>>,
    admin_url: String,
    database: String,
    _folder: tempfile::TempDir,
}

impl Site {
    /// Makes a database beside the one that `url` names, fills it and serves it.
    pub async fn open(url: &str, machines: u32) -> Result<Self> {
        let database = format!("rackwright_bench_{}_{machines}", std::process::id());
        let mut admin = PgConnection::connect(url).await.context("DATABASE_URL")?;
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {database}"))).await?;
        let connections = RegionConfig::default().database_connections;
        let pool = db::connect(&beside(url, &database)?, connections).await?;
        let folder = tempfile::tempdir()?;
        let token_file = folder.path().join("admin.token");
        bootstrap(&pool, &token_file).await?;
        scripts::install_builtin(&pool).await?;
        seed(&mut *pool.acquire().await?, machines).await.context("seeding")?;
        let token = std::fs::read_to_string(&token_file)?.trim().to_owned();
        let store = Store::open(folder.path()).await?;
        let password = std::fs::read_to_string(folder.path().join("admin.password"))?.trim().to_owned();
        let app = App::new(pool.clone(), MasterKey::from_bytes([7; 32]), store);
        let router = api::router(app.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async { axum::serve(listener, service).await });
        Ok(Self {
            address,
            token,
            password,
            app,
            pool,
            server,
            admin_url: url.to_owned(),
            database,
            _folder: folder,
        })
    }

    /// Ends the server and drops the database.
    pub async fn close(self) -> Result<()> {
        self.server.abort();
        self.pool.close().await;
        let mut admin = PgConnection::connect(&self.admin_url).await?;
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database);
        admin.execute(AssertSqlSafe(drop)).await?;
        Ok(())
    }
}

/// The URL of another database of the same server.
fn beside(url: &str, database: &str) -> Result<String> {
    let (base, query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
    let (server, _) = base.rsplit_once('/').context("DATABASE_URL names no database")?;
    Ok(format!("{server}/{database}?{query}"))
}

/// Fills a database in which a region has started once; nothing is under way on any machine, so that a region which
/// works on it leaves them alone.
pub async fn seed_at_rest(url: &str, machines: u32) -> Result<()> {
    let mut conn = PgConnection::connect(url).await.context("DATABASE_URL")?;
    seed(&mut conn, machines).await.context("seeding")?;
    let rest = "UPDATE operation SET status = 'done', finished_at = now() WHERE status = 'running';
                UPDATE machine SET status = 'ready', power_state = 'off' WHERE status IN ('deploying', 'commissioning');";
    sqlx::raw_sql(rest).execute(&mut conn).await?;
    Ok(())
}

async fn seed(conn: &mut PgConnection, machines: u32) -> Result<()> {
    let inventory = serde_json::to_string(&inventory())?;
    for (name, value) in [("bench.machines", machines.to_string()), ("bench.inventory", inventory)] {
        sqlx::query("SELECT set_config($1, $2, FALSE)").bind(name).bind(value).execute(&mut *conn).await?;
    }
    sqlx::raw_sql(include_str!("seed.sql")).execute(conn).await?;
    Ok(())
}

fn text(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}

/// What an agent reports of a two-socket server, with `@` for the machine's number and zeroes at the end of each
/// MAC; `seed.sql` fills them in.
fn inventory() -> Inventory {
    Inventory {
        system: SystemInfo {
            vendor: text("Example Computers"),
            product: text("Example R740"),
            version: text("A03"),
            serial: text("SN@"),
            board: text("Example Computers 0X3D66"),
            ..SystemInfo::default()
        },
        firmware: FirmwareInfo {
            vendor: text("Example Computers"),
            version: text("2.19.1"),
            date: text("06/04/2023"),
            efi: true,
            secure_boot: false,
        },
        cpu: CpuInfo {
            architecture: "x86_64".into(),
            model: text("Example Xeon Gold 6130"),
            sockets: 2,
            cores: 32,
            threads: 64,
            max_mhz: Some(3700),
            virtualization: true,
        },
        numa_nodes: (0..2)
            .map(|node| NumaNode {
                node,
                cpus: format!("{}-{},{}-{}", node * 16, node * 16 + 15, node * 16 + 32, node * 16 + 47),
                memory_mib: 98_304,
            })
            .collect(),
        memory_mib: 196_608,
        dimms: (0..12).map(dimm).collect(),
        disks: (0..6).map(disk).collect(),
        interfaces: (1..=5).map(interface).collect(),
        pci: (0..12).map(pci).collect(),
        bmc: Some(InBandBmc {
            address: text("10.65.0.1"),
            mac: text("52:54:0f:00:00:00"),
            manufacturer: Some(674),
            product: Some(256),
            firmware: text("6.10"),
        }),
        ..Inventory::default()
    }
}

fn dimm(number: u32) -> Dimm {
    Dimm {
        slot: format!("DIMM_A{number}"),
        size_mib: 16_384,
        kind: text("DDR4"),
        speed_mts: Some(2666),
        vendor: text("Example Memory"),
        part: text("M393A2K43BB1-CTD"),
        serial: text(format!("{number:02}@")),
    }
}

fn disk(number: u8) -> Disk {
    Disk {
        name: format!("sd{}", char::from(b'a' + number)),
        model: text("Example SSD 1920G"),
        serial: text(format!("S{number}@")),
        wwid: text(format!("naa.55cd2e40{number}@")),
        size_bytes: 1_920_383_410_176,
        sector_bytes: 512,
        transport: text("sata"),
        firmware: text("DL63"),
        ..Disk::default()
    }
}

fn interface(number: u8) -> Interface {
    Interface {
        name: format!("eno{number}"),
        mac: Mac([0x52, 0x54, number, 0, 0, 0]),
        driver: text("ixgbe"),
        product: text("8086:1563"),
        speed_mbps: (number < 4).then_some(10_000),
        link: number < 4,
        boot: number == 1,
        lldp: None,
    }
}

fn pci(number: u8) -> PciDevice {
    PciDevice {
        address: format!("0000:{number:02x}:00.0"),
        vendor: "8086".into(),
        device: "1563".into(),
        class: "020000".into(),
        driver: text("ixgbe"),
    }
}
