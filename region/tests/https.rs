//! The region's port as curl sees it: HTTPS and HTTP at one address, certificates of the own authority and from files
//! that change.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use axum::extract::{ConnectInfo, Request};
use axum::routing::get;
use axum::{Extension, Router};
use rackwright_link::Ca;
use rackwright_region::door::{Caller, Door, Encrypted, Tls, TlsFiles, admit};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A port that says who asks and how, and sets a cookie.
async fn door(tls: Option<Arc<Tls>>, only_tls: bool) -> (SocketAddr, DropGuard) {
    door_behind(tls, only_tls, &[]).await
}

/// The same with proxies in front.
async fn door_behind(tls: Option<Arc<Tls>>, only_tls: bool, proxies: &[&str]) -> (SocketAddr, DropGuard) {
    let proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
    let who = async |ConnectInfo(peer): ConnectInfo<SocketAddr>,
                     tls: Option<Extension<Encrypted>>,
                     request: Request| {
        let text = format!("{} {} tls={}", request.method(), peer.ip(), tls.is_some());
        ([("set-cookie", "a=b; Path=/")], text)
    };
    let router = admit(Router::new().route("/x", get(who).post(who)), only_tls, proxies);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let door = Door::open(listener, tls, stop.clone()).unwrap();
    tokio::spawn(async move {
        axum::serve(door, router.into_make_service_with_connect_info::<Caller>()).await.unwrap();
    });
    (address, stop.drop_guard())
}

/// curl's exit code and what it printed, headers included.
async fn curl(arguments: &[&str]) -> (i32, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", "20"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

fn own(folder: &Path) -> (Arc<Ca>, Arc<Tls>, String) {
    let ca = Arc::new(Ca::load_or_create(folder).unwrap());
    let tls = Tls::own(ca.clone(), vec!["region-1".to_owned(), "localhost".to_owned()]);
    (ca, Arc::new(tls), folder.join("ca.pem").to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_proxy_is_believed_whom_it_serves_and_nobody_else_is() {
    let header = ["-H", "X-Forwarded-For: 10.1.1.1", "-H", "X-Forwarded-For: 10.2.2.2, 10.3.3.3"];
    let (address, _stop) = door_behind(None, false, &["10.0.0.1", "127.0.0.1"]).await;
    let url = format!("http://{address}/x");
    let shown = |text: &str| text.lines().last().unwrap_or_default().to_owned();
    assert_eq!(shown(&curl(&[&header[..], &[url.as_str()]].concat()).await.1), "GET 10.3.3.3 tls=false");
    assert_eq!(shown(&curl(&["-H", "X-Forwarded-For: nonsense", &url]).await.1), "GET 127.0.0.1 tls=false");
    let (address, _stop) = door_behind(None, false, &["10.0.0.1"]).await;
    let url = format!("http://{address}/x");
    assert_eq!(shown(&curl(&[&header[..], &[url.as_str()]].concat()).await.1), "GET 127.0.0.1 tls=false");
}

#[tokio::test]
async fn one_port_speaks_both_and_the_own_certificate_is_good_for_the_address_and_the_names() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tls, ca) = own(folder.path());
    let (at, _guard) = door(Some(tls), false).await;
    let (code, text) = curl(&["--cacert", &ca, &format!("https://{at}/x")]).await;
    assert!(code == 0 && text.contains("GET 127.0.0.1 tls=true"), "{code} {text}");
    assert!(text.contains("a=b; Path=/; Secure"), "{text}");
    let named = format!("https://region-1:{}/x", at.port());
    let (code, text) =
        curl(&["--cacert", &ca, "--resolve", &format!("region-1:{}:127.0.0.1", at.port()), &named]).await;
    assert!(code == 0 && text.contains("tls=true"), "{code} {text}");
    let (code, text) = curl(&[&format!("http://{at}/x")]).await;
    assert!(code == 0 && text.contains("tls=false") && !text.contains("Secure"), "{code} {text}");
    // 60: the peer's certificate cannot be checked with the known authorities.
    let (code, text) = curl(&[&format!("https://{at}/x")]).await;
    assert_eq!(code, 60, "{text}");
}

#[tokio::test]
async fn with_https_only_pages_are_sent_there_and_changes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tls, ca) = own(folder.path());
    let (at, _guard) = door(Some(tls), true).await;
    let (_, text) = curl(&[&format!("http://{at}/x?y=1")]).await;
    assert!(text.starts_with("HTTP/1.1 308"), "{text}");
    assert!(text.contains(&format!("location: https://{at}/x?y=1")), "{text}");
    let (_, text) = curl(&["--data", "z", &format!("http://{at}/x")]).await;
    assert!(text.starts_with("HTTP/1.1 403") && text.contains("HTTPS only"), "{text}");
    let (code, text) = curl(&["--cacert", &ca, "--data", "z", &format!("https://{at}/x")]).await;
    assert!(code == 0 && text.contains("POST 127.0.0.1 tls=true"), "{text}");
}

#[tokio::test]
async fn changed_files_are_read_again_and_broken_ones_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let [before, after] = ["before", "after"].map(|name| Ca::load_or_create(&at(name)).unwrap());
    let files = TlsFiles { certificate: at("cert.pem"), key: at("key.pem") };
    let write = |ca: &Ca| {
        let issued = ca.issue_region(&["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&files.certificate, issued.certificate_pem).unwrap();
        std::fs::write(&files.key, issued.key_pem.expose()).unwrap();
    };
    write(&before);
    let tls = Arc::new(Tls::files(files.clone()).unwrap());
    let (address, _guard) = door(Some(tls.clone()), false).await;
    let url = format!("https://{address}/x");
    let trusting = |name: &str| at(name).join("ca.pem").to_str().unwrap().to_owned();
    assert_eq!(curl(&["--cacert", &trusting("before"), &url]).await.0, 0);

    std::fs::write(&files.certificate, "half a certif").unwrap();
    tls.reread();
    assert_eq!(curl(&["--cacert", &trusting("before"), &url]).await.0, 0, "the one before stays in use");

    tokio::spawn(async move { tls.watch().await });
    write(&after);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let (code, text) = curl(&["--cacert", &trusting("after"), &url]).await;
        if code == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "the new certificate is not shown: {text}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(curl(&["--cacert", &trusting("before"), &url]).await.0, 60);
}

#[tokio::test]
async fn a_client_that_says_nothing_holds_nobody_up_and_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tls, _) = own(folder.path());
    let (at, _guard) = door(Some(tls), false).await;
    let mut silent = TcpStream::connect(at).await.unwrap();
    let (code, text) = curl(&[&format!("http://{at}/x")]).await;
    assert_eq!(code, 0, "{text}");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), silent.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() && rest.is_empty(), "{ended:?}");
}

#[tokio::test]
async fn without_tls_all_is_plain_and_a_handshake_gets_no_answer_of_its_kind() {
    let (at, _guard) = door(None, false).await;
    let (code, text) = curl(&[&format!("http://{at}/x")]).await;
    assert!(code == 0 && text.contains("tls=false"), "{text}");
    assert_ne!(curl(&["--insecure", &format!("https://{at}/x")]).await.0, 0);
}
