//! A small site with pages and API on a port of 127.0.0.1, over a database of its own that is gone afterwards.

#![allow(dead_code, reason = "the tests and the preview each use a part")]

#[allow(clippy::zombie_processes, reason = "its server lives as long as this process")]
#[path = "../../../region/tests/support/postgres.rs"]
mod postgres;

use rackwright_region::app::App;
use rackwright_region::auth::password;
use rackwright_region::db::wakeups::Wakeups;
use rackwright_region::images::Store;
use rackwright_region::model::Role;
use rackwright_region::secrets::MasterKey;
use rackwright_region::{db, scripts};
use sqlx::PgPool;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The password of every user.
pub const PASSWORD: &str = "correct horse battery";

/// The site.
pub struct Site {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// The same without a socket.
    pub router: axum::Router,
    /// Its use cases.
    pub app: App,
    /// Its database.
    pub pool: PgPool,
    cancel: CancellationToken,
    _database: postgres::Database,
    /// Of its image store.
    pub folder: tempfile::TempDir,
}

impl Site {
    /// With the users `admin`, `ann` (operator), `ben` (user) and `vera` (viewer), and machines.
    pub async fn start(address: &str) -> Self {
        let database = postgres::Database::create().await;
        let pool = db::connect(&database.url, 10).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        scripts::install_builtin(&pool).await.unwrap();
        let hash = password::hash(PASSWORD.to_owned().into()).await;
        let mut conn = pool.acquire().await.unwrap();
        let users = [
            ("admin", Role::Administrator),
            ("ann", Role::Operator),
            ("ben", Role::User),
            ("vera", Role::Viewer),
        ];
        for (name, role) in users {
            db::user::insert(&mut conn, name, role, hash.as_deref()).await.unwrap();
        }
        drop(conn);
        let (wakeups, cancel) = (Wakeups::default(), CancellationToken::new());
        tokio::spawn(wakeups.clone().run(pool.clone(), cancel.clone()));
        let app = App::new(pool.clone(), MasterKey::from_bytes([7; 32]), store).with_wakeups(wakeups);
        tokio::spawn(rackwright_region::app::bulk::run(app.clone(), cancel.clone()));
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = rackwright_web_ui::site(app.clone());
        let pages = router.clone().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, pages).await });
        let site = Self { url, router, app, pool, cancel, _database: database, folder };
        site.run(include_str!("seed.sql")).await;
        site
    }

    /// Adds a machine whose every text is markup.
    pub async fn add_hostile_machine(&self) {
        self.run(include_str!("hostile.sql")).await;
    }

    /// Adds thirty machines of one model, with results.
    pub async fn add_fleet(&self) {
        self.run(include_str!("fleet.sql")).await;
    }

    /// Runs statements, as the workers of a region would.
    pub async fn run(&self, sql: &str) {
        let mut conn = self.pool.acquire().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut *conn).await.unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
