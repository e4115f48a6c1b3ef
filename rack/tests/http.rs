//! HTTP for machines, asked by curl.

#![expect(clippy::unwrap_used, reason = "a test says by its line what failed")]

mod common;
#[path = "common/rack.rs"]
mod rack;

use common::{MAC, content, run, snapshot, until};
use rack::Rack;
use rackwright_common::link::Fact;
use rackwright_rack::boot::serve_http;
use std::net::TcpStream;

const PORT: u16 = 5299;

struct Served {
    rack: Rack,
    base: String,
    initrd: Vec<u8>,
}

async fn served(address: [u8; 4]) -> Served {
    let rack = Rack::new(address, PORT);
    let initrd = content(1_000_000);
    let mut world = snapshot(rack.blob(b"kernel"), rack.blob(&initrd));
    world.boot_files.insert("snponly.efi".to_owned(), rack.blob(b"loader"));
    rack.world.apply(world, true).unwrap();
    tokio::spawn(serve_http(rack.context.clone(), rack.address, rack.cancel.clone()));
    let (host, port) = (rack.address, PORT);
    until(|| TcpStream::connect((host, port)).is_ok(), |there| *there).await;
    Served { base: format!("http://{}:{PORT}", rack.address), rack, initrd }
}

impl Served {
    /// Runs curl: status, and the body.
    async fn curl(&self, arguments: &[&str], path: &str) -> (String, Vec<u8>) {
        let url = format!("{}{path}", self.base);
        let mut all = vec!["-sS", "-o", "body", "-w", "%{http_code}"];
        all.extend(arguments);
        all.push(&url);
        std::fs::write(self.rack.got().join("body"), b"").unwrap();
        let ran = run(&self.rack.got(), "curl", &all).await;
        let body = std::fs::read(self.rack.got().join("body")).unwrap();
        (String::from_utf8(ran.stdout).unwrap(), body)
    }

    fn initrd_path(&self) -> String {
        format!("/blob/{}", rackwright_link::sha256_hex(&self.initrd))
    }
}

#[tokio::test]
async fn ipxe_gets_its_script() {
    let s = served([127, 54, 1, 1]).await;
    let (status, script) = s.curl(&[], &format!("/boot/ipxe?mac={MAC}&uuid=")).await;
    let (kernel, initrd) = (rackwright_link::sha256_hex(b"kernel"), rackwright_link::sha256_hex(&s.initrd));
    assert_eq!(status, "200");
    assert_eq!(
        String::from_utf8(script).unwrap(),
        format!(
            "#!ipxe
echo Rackwright: node-1 (abc234)
set arguments initrd=initrd BOOTIF=01-52-54-00-ab-cd-01 rackwright.racks=127.54.1.1:5299 rackwright.token=t0ken rackwright.machine=abc234 console=ttyS0
:try0
imgfree ||
kernel --timeout 8000 http://127.54.1.1:5299/blob/{kernel} ${{arguments}} || goto try1
initrd --timeout 8000 --name initrd http://127.54.1.1:5299/blob/{initrd} || goto try1
boot || goto try1
:try1
imgfree ||
kernel http://127.54.1.1:5299/blob/{kernel} ${{arguments}} || goto failed
initrd --name initrd http://127.54.1.1:5299/blob/{initrd} || goto failed
boot || goto failed
:failed
echo No rack gave kernel and initial RAM disk; restarting in 10 seconds.
sleep 10
reboot ||
:again
sleep 10
chain --replace --autofree http://127.54.1.1:5299/boot/ipxe?mac=52:54:00:ab:cd:01&uuid=${{uuid}} ||
goto again
"
        )
    );
    s.curl(&[], &s.initrd_path()).await;
    let told = until(|| s.rack.told(), |t| t.len() >= 2).await;
    assert_eq!(told[0], "52:54:00:ab:cd:01 script ephemeral environment");
    assert!(told[1].starts_with("52:54:00:ab:cd:01 initrd 1000000 bytes, "), "{told:?}");
}

#[tokio::test]
async fn who_says_nothing_of_itself_is_a_stranger() {
    let s = served([127, 54, 2, 1]).await;
    for query in ["", "?mac=nonsense&uuid=%ff", "?mac=a&mac=b"] {
        let (status, script) = s.curl(&[], &format!("/boot/ipxe{query}")).await;
        assert_eq!(status, "200");
        assert!(String::from_utf8(script).unwrap().contains("This machine is not known"));
    }
}

#[tokio::test]
async fn blobs_come_whole_in_parts_or_not_at_all() {
    let s = served([127, 54, 3, 1]).await;
    let path = s.initrd_path();
    let (status, body) = s.curl(&[], &path).await;
    assert!(status == "200" && body == s.initrd);
    let (status, body) = s.curl(&["-r", "999990-"], &path).await;
    assert_eq!((status.as_str(), &body[..]), ("206", &s.initrd[999_990..]));
    let (status, body) = s.curl(&["-r", "300000-699999"], &path).await;
    assert!(status == "206" && body == s.initrd[300_000..700_000]);
    assert_eq!(s.curl(&["-r", "1000000-"], &path).await.0, "416");
    let (status, body) = s.curl(&["-r", "5-", "-H", "If-Range: \"other\""], &path).await;
    assert!(status == "200" && body.len() == 1_000_000);
    let etag = format!("If-None-Match: \"{}\"", rackwright_link::sha256_hex(&s.initrd));
    assert_eq!(s.curl(&["-H", &etag], &path).await, ("304".to_owned(), vec![]));
    std::fs::write(s.rack.got().join("resumed"), &s.initrd[..123_456]).unwrap();
    run(&s.rack.got(), "curl", &["-sS", "-C", "-", "-o", "resumed", &format!("{}{path}", s.base)]).await;
    assert!(std::fs::read(s.rack.got().join("resumed")).unwrap() == s.initrd);
}

#[tokio::test]
async fn uefi_http_boot_asks_for_the_size_first() {
    let s = served([127, 54, 4, 1]).await;
    for path in ["/boot/files/snponly.efi", "/boot/snponly.efi"] {
        let ran = run(&s.rack.got(), "curl", &["-sSI", &format!("{}{path}", s.base)]).await;
        let head = String::from_utf8(ran.stdout).unwrap().to_ascii_lowercase();
        assert!(
            head.starts_with("http/1.1 200 ok\r\n") && head.contains("\r\ncontent-length: 6\r\n"),
            "{head}"
        );
        assert_eq!(s.curl(&[], path).await, ("200".to_owned(), b"loader".to_vec()));
    }
    let told = until(|| s.rack.told(), |t| !t.is_empty()).await;
    assert_eq!(told, ["? loader snponly.efi, 6 bytes by HTTP"]);
}

#[tokio::test]
async fn what_the_snapshot_does_not_list_is_refused() {
    let s = served([127, 54, 5, 1]).await;
    let secret = s.rack.blob(b"in the cache, but listed no more");
    for path in [
        format!("/blob/{}", secret.sha256),
        "/blob/..%2f..%2fsnapshot.json".to_owned(),
        "/boot/files/grub.cfg".to_owned(),
        "/boot/..%2f..%2f..%2fetc%2fpasswd".to_owned(),
        "/".to_owned(),
    ] {
        assert_eq!(s.curl(&["--path-as-is"], &path).await.0, "404", "{path}");
    }
    assert_eq!(s.curl(&["-X", "DELETE"], &s.initrd_path()).await.0, "405");
    let told = until(|| s.rack.told(), |t| !t.is_empty()).await;
    assert!(told[0].contains("refused HTTP: no blob"), "{told:?}");
}

/// iPXE obeys Retry-After for ever; without it, it goes on to the next rack of its script.
#[tokio::test]
async fn a_blob_that_cannot_be_had_sends_ipxe_to_the_next_rack() {
    let s = served([127, 54, 8, 1]).await;
    std::fs::remove_file(s.rack.dir.path().join("blobs").join(rackwright_link::sha256_hex(b"kernel")))
        .unwrap();
    let url = format!("{}/blob/{}", s.base, rackwright_link::sha256_hex(b"kernel"));
    let ran = run(&s.rack.got(), "curl", &["-sSi", &url]).await;
    let answer = String::from_utf8(ran.stdout).unwrap().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 404 ") && !answer.contains("retry-after"), "{answer}");
}

#[tokio::test]
async fn without_a_region_requests_are_refused_but_reports_are_kept() {
    let s = served([127, 54, 6, 1]).await;
    assert_eq!(s.curl(&["-d", "{}"], "/agent/v1/hello").await.0, "503");
    assert_eq!(s.curl(&[], "/MAAS/metadata/2012-03-01/meta-data/instance-id").await.0, "503");
    let report = ["-H", "Authorization: OAuth x", "-d", "{\"name\":\"init\"}"];
    assert_eq!(
        s.curl(&report, "/MAAS/metadata/status/abc234?x=1").await,
        ("200".to_owned(), b"kept\n".to_vec())
    );
    let on_disk = std::fs::read_to_string(s.rack.dir.path().join("journal")).unwrap();
    assert!(on_disk.contains("{\\\"name\\\":\\\"init\\\"}"), "{on_disk}");
    let kept = s.rack.journal.after(0, 10).into_iter().find_map(|e| match e.fact {
        Fact::Report(relay) => Some(relay),
        _ => None,
    });
    let kept = kept.unwrap();
    assert_eq!((kept.method.as_str(), kept.path.as_str()), ("POST", "/MAAS/metadata/status/abc234?x=1"));
    assert_eq!(kept.authorization.as_deref(), Some("OAuth x"));
    assert_eq!(kept.local, "127.54.6.1:5299");
}

#[tokio::test]
async fn bodies_have_a_limit_and_the_rack_says_that_it_lives() {
    let s = served([127, 54, 7, 1]).await;
    std::fs::write(s.rack.got().join("large"), vec![b'x'; (8 << 20) + 1]).unwrap();
    assert_eq!(s.curl(&["--data-binary", "@large"], "/agent/v1/hello").await.0, "413");
    assert_eq!(s.curl(&[], "/healthz").await, ("200".to_owned(), b"ok\n".to_vec()));
}
