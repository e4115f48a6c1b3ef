//! Several regions behind one address.

use super::support::Site;
use rackwright_region::app::App;
use rackwright_region::db::wakeups::Wakeups;
use rackwright_region::images::Store;
use rackwright_region::secrets::MasterKey;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// One address for people, behind which one region or another answers, or none.
pub struct Address {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// Who answers; when it changes, connections are cut.
    pub region: watch::Sender<Option<SocketAddr>>,
}

impl Address {
    /// Nobody answers yet.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (region, seen) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok((mut person, _)) = listener.accept().await {
                let mut seen = seen.clone();
                tokio::spawn(async move {
                    let Some(region) = *seen.borrow_and_update() else { return };
                    let Ok(mut region) = TcpStream::connect(region).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut person, &mut region) => {}
                        // The region that was asked has died.
                        _ = seen.changed() => {}
                    }
                });
            }
        });
        Self { url, region }
    }
}

/// Another region on the same database: its port.
pub async fn second_region(site: &Site) -> SocketAddr {
    let (wakeups, store) = (Wakeups::default(), Store::open(site.folder.path()).await.unwrap());
    tokio::spawn(wakeups.clone().run(site.pool.clone(), CancellationToken::new()));
    let app = App::new(site.pool.clone(), MasterKey::from_bytes([7; 32]), store).with_wakeups(wakeups);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pages = rackwright_web_ui::site(app).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, pages).await });
    address
}
