//! What is wrong with a rack and only a person can put right is told once, names the cure, and leaves the rack serving.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use rackwright_common::link::{RackHello, ToRack, ToRegion};
use rackwright_link::{Ca, LinkClient, serve_on};
use rackwright_region::db::wakeups::Wakeups;
use rackwright_region::db::{rack, region};
use rackwright_region::images::exchange::Exchange;
use rackwright_region::inband::InBand;
use rackwright_region::network::NewNetworks;
use rackwright_region::racks::{RackService, complaint};
use rackwright_region::standing::Standing;
use std::time::Duration;
use support::Site;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

fn hello(version: &str, clock: Option<i64>) -> RackHello {
    RackHello { version: version.into(), generation: 0, addresses: vec![], instance: Uuid::new_v4(), clock }
}

async fn told(site: &Site, kind: &str) -> Vec<String> {
    let sql = "SELECT message FROM event WHERE kind = $1 ORDER BY id";
    sqlx::query_scalar(sql).bind(kind).fetch_all(&site.pool).await.unwrap()
}

#[tokio::test]
async fn a_clock_that_is_off_by_minutes_is_told_of_once_and_the_rack_is_served() {
    let site = Site::new().await;
    let mut conn = site.pool.acquire().await.unwrap();
    let now = region::clock(&mut conn).await.unwrap().unix_timestamp();
    for clock in [None, Some(now - 30)] {
        complaint::look_at_clock(&mut conn, "rack-1", &hello("0", clock)).await.unwrap();
    }
    assert_eq!(told(&site, "rack.clock").await, Vec::<String>::new());
    for _ in 0..3 {
        complaint::look_at_clock(&mut conn, "rack-1", &hello("0", Some(now - 450))).await.unwrap();
    }
    let [message]: [String; 1] = told(&site, "rack.clock").await.try_into().unwrap();
    assert!(
        message.contains("rack-1 is 7 minutes behind") && message.contains("chronyc makestep"),
        "{message}"
    );
    // Of another rack it is told all the same, and again after a while.
    complaint::look_at_clock(&mut conn, "rack-2", &hello("0", Some(now + 450))).await.unwrap();
    sqlx::query("UPDATE event SET at = at - interval '11 minutes'").execute(&site.pool).await.unwrap();
    complaint::look_at_clock(&mut conn, "rack-1", &hello("0", Some(now - 450))).await.unwrap();
    assert_eq!(told(&site, "rack.clock").await.len(), 3);
}

#[tokio::test]
async fn a_rack_whose_version_is_too_far_away_is_turned_away_and_people_are_told_what_to_do() {
    let site = Site::new().await;
    let mut conn = site.pool.acquire().await.unwrap();
    let ours = env!("CARGO_PKG_VERSION");
    rack::hello(&mut conn, "rack-1", &hello(ours, None)).await.unwrap();
    let ca = Ca::create().unwrap();
    let credentials = ca.issue_region(&["region-1".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (pool, keys, store) = (site.pool.clone(), site.app.keys().clone(), site.app.store().clone());
    let service = RackService {
        inband: InBand::new(pool.clone(), keys.clone(), Wakeups::default()),
        exchange: Exchange::new("region-1", store.clone(), pool.clone(), credentials.clone()),
        standing: Standing::default(),
        region: "region-1".into(),
        new_networks: NewNetworks::Enter,
        wakeups: Wakeups::default(),
        store,
        pool,
        keys,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    tokio::spawn(async move { serve_on(listener, &credentials, service, stop).await });

    let own = ca.issue_rack("rack-1").unwrap();
    let answer = async |version: &str| {
        let client = LinkClient::connect(&address, &own).await.unwrap();
        let (sender, mut receiver) = client.attach().await.unwrap();
        sender.send(ToRegion::Hello(hello(version, None))).await.unwrap();
        tokio::time::timeout(Duration::from_secs(5), receiver.next()).await.expect("an answer or an end")
    };
    let refused = answer("99.0.0").await;
    assert!(!matches!(refused, Some(Ok(_))), "a rack of version 99 was welcomed");
    let [message]: [String; 1] = told(&site, "rack.version").await.try_into().unwrap();
    assert!(message.contains("rack-1 has Rackwright 99.0.0") && message.contains("install"), "{message}");
    let racks = site.get("/racks").await.expect(200);
    assert_eq!(racks["items"][0]["error"], message.as_str());

    // The right version is welcome, whatever was before.
    let welcome = answer(ours).await.unwrap().unwrap();
    assert!(matches!(welcome.message, ToRack::Welcome { .. }), "{:?}", welcome.message);
}
