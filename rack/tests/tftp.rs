//! TFTP against clients that nobody here wrote: tftp-hpa, atftp, curl; and one by hand for what firmware does.

#![expect(clippy::unwrap_used, reason = "a test says by its line what failed")]

mod common;
#[path = "common/rack.rs"]
mod rack;

use common::{MAC, content, run, snapshot, until};
use rack::Rack;
use rackwright_rack::boot::serve_tftp;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

const PORT: u16 = 6969;

/// A rack that serves `loader.efi` of so many bytes.
async fn served(address: [u8; 4], size: usize) -> (Rack, Vec<u8>) {
    let rack = Rack::new(address, 5248);
    let loader = content(size);
    let mut world = snapshot(rack.blob(b"kernel"), rack.blob(b"initrd"));
    world.boot_files.insert("loader.efi".to_owned(), rack.blob(&loader));
    world.boot_files.insert("text.cfg".to_owned(), rack.blob(b"one\ntwo\n"));
    world.boot_files.insert("empty".to_owned(), rack.blob(b""));
    rack.world.apply(world, true).unwrap();
    tokio::spawn(serve_tftp(rack.context.clone(), rack.address, PORT, rack.cancel.clone()));
    let probe = || UdpSocket::bind((Ipv4Addr::from(address), PORT)).is_err();
    until(probe, |bound| *bound).await;
    (rack, loader)
}

fn got(rack: &Rack, name: &str) -> Vec<u8> {
    std::fs::read(rack.got().join(name)).unwrap_or_default()
}

#[tokio::test]
async fn tftp_hpa_gets_files_in_both_modes() {
    let (rack, loader) = served([127, 53, 1, 1], 1_000_000).await;
    let (host, port) = (rack.address.to_string(), PORT.to_string());
    let ran = run(&rack.got(), "tftp", &["-m", "binary", &host, &port, "-c", "get", "/loader.efi"]).await;
    assert!(got(&rack, "loader.efi") == loader, "{ran:?}");
    run(&rack.got(), "tftp", &["-m", "binary", &host, &port, "-c", "get", "empty"]).await;
    assert!(rack.got().join("empty").exists() && got(&rack, "empty").is_empty());
    run(&rack.got(), "tftp", &["-m", "netascii", &host, &port, "-c", "get", "text.cfg"]).await;
    assert_eq!(got(&rack, "text.cfg"), b"one\ntwo\n");
    let ran = run(&rack.got(), "tftp", &["-m", "binary", &host, &port, "-c", "get", "grubx64.efi"]).await;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("Error code 1: no such file"), "{said}");
    let told = until(|| rack.told(), |t| t.len() >= 4).await;
    assert_eq!(told[0], "? loader loader.efi, 1000000 bytes by TFTP");
    assert_eq!(told[3], "? refused TFTP: no file \"grubx64.efi\"");
}

#[tokio::test]
async fn curl_gets_files_of_every_awkward_size() {
    for (n, size) in [1, 511, 512, 513, 1468, 2936, 100_000].into_iter().enumerate() {
        let (rack, loader) = served([127, 53, 2, n as u8 + 1], size).await;
        let url = format!("tftp://{}:{PORT}/loader.efi", rack.address);
        for block in ["512", "1468", "8192"] {
            let ran = run(&rack.got(), "curl", &["-sS", "--tftp-blksize", block, "-o", "x", &url]).await;
            assert!(
                ran.status.success() && got(&rack, "x") == loader,
                "size {size}, blocks of {block}: {ran:?}"
            );
        }
        let ran = run(&rack.got(), "curl", &["-sS", "--tftp-no-options", "-o", "y", &url]).await;
        assert!(ran.status.success() && got(&rack, "y") == loader, "size {size}, no options: {ran:?}");
    }
}

#[tokio::test]
async fn atftp_gets_a_large_file_with_windows_and_block_numbers_that_roll_over() {
    let (rack, loader) = served([127, 53, 3, 1], 40_000_000).await;
    let (host, port) = (rack.address.to_string(), PORT.to_string());
    for option in ["windowsize 16", "blksize 512"] {
        let arguments = ["-g", "-r", "loader.efi", "-l", "z", "--option", option, &host, &port];
        let ran = run(&rack.got(), "atftp", &arguments).await;
        assert!(ran.status.success() && got(&rack, "z") == loader, "{option}: {ran:?}");
        std::fs::remove_file(rack.got().join("z")).unwrap();
    }
}

#[tokio::test]
async fn many_clients_at_a_time() {
    let (rack, loader) = served([127, 53, 4, 1], 2_000_000).await;
    let url = format!("tftp://{}:{PORT}/loader.efi", rack.address);
    let clients: Vec<_> = (0..12)
        .map(|n| {
            let (dir, url, out) = (rack.got(), url.clone(), format!("c{n}"));
            tokio::spawn(async move { run(&dir, "curl", &["-sS", "-o", &out, &url]).await })
        })
        .collect();
    for (n, client) in clients.into_iter().enumerate() {
        let ran = client.await.unwrap();
        assert!(got(&rack, &format!("c{n}")) == loader, "{ran:?}");
    }
}

/// One datagram of the server, and the port it came from.
fn receive(socket: &UdpSocket) -> (Vec<u8>, u16) {
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from.port())
}

#[tokio::test(flavor = "multi_thread")]
async fn firmware_that_probes_the_size_and_asks_again_from_the_same_port_is_served_at_once() {
    let (rack, loader) = served([127, 53, 5, 1], 1000).await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(900))).unwrap();
    let server = (rack.address, PORT);
    let ask = b"\0\x01loader.efi\0octet\0tsize\x000\0blksize\x001468\0";
    socket.send_to(ask, server).unwrap();
    let (oack, port) = receive(&socket);
    assert_eq!(oack, b"\0\x06tsize\x001000\0blksize\x001468\0");
    socket.send_to(b"\0\x05\0\x08User aborted the transfer\0", (rack.address, port)).unwrap();
    socket.send_to(ask, server).unwrap();
    let (oack, second) = receive(&socket);
    assert_eq!(oack, b"\0\x06tsize\x001000\0blksize\x001468\0");
    assert_ne!(second, port);
    // Asked again without an abort: the newest transfer counts.
    socket.send_to(ask, server).unwrap();
    let (_, third) = receive(&socket);
    socket.send_to(b"\0\x04\0\0", (rack.address, third)).unwrap();
    let (data, from) = receive(&socket);
    assert_eq!(from, third);
    assert_eq!(data, [&b"\0\x03\0\x01"[..], &loader].concat());
    socket.send_to(b"\0\x04\0\x01", (rack.address, third)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_cannot_take_all_places() {
    let (rack, _) = served([127, 53, 6, 1], 1000).await;
    let sockets: Vec<UdpSocket> = (0..17).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut answers = Vec::new();
    for socket in &sockets {
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket.send_to(b"\0\x01loader.efi\0octet\0", (rack.address, PORT)).unwrap();
        answers.push(receive(socket).0);
    }
    assert!(answers[..16].iter().all(|a| a.starts_with(b"\0\x03\0\x01")));
    assert_eq!(answers[16], b"\0\x05\0\0too many transfers at once, ask again later\0");
}

#[tokio::test]
async fn grub_gets_its_configuration_kernel_and_initrd() {
    let (rack, _) = served([127, 53, 7, 1], 10).await;
    let get = async |name: &str| {
        let url = format!("tftp://{}:{PORT}/{name}", rack.address);
        let ran = run(&rack.got(), "curl", &["-sS", "-o", "g", &url]).await;
        if ran.status.success() { String::from_utf8(got(&rack, "g")).unwrap() } else { "refused".to_owned() }
    };
    assert_eq!(get("grub/x86_64-efi/command.lst").await, "refused");
    assert!(get("/grub/grub.cfg").await.contains("configfile ${prefix}/by-mac/${net_default_mac}.cfg\n"));
    let own = get(&format!("grub/by-mac/{MAC}.cfg")).await;
    let kernel = rackwright_link::sha256_hex(b"kernel");
    assert!(own.contains(&format!("if linux (tftp,127.53.7.1)/blob/{kernel} 'BOOTIF=01-52-54-00-ab-cd-01' 'rackwright.racks=127.53.7.1:5248' ")), "{own}");
    assert_eq!(get(&format!("blob/{kernel}")).await, "kernel");
    assert_eq!(get(&format!("blob/{}", rackwright_link::sha256_hex(b"other"))).await, "refused");
    assert_eq!(get("../../../etc/passwd").await, "refused");
    let told = until(|| rack.told(), |t| t.iter().any(|l| l.contains(" kernel "))).await;
    assert!(told.iter().any(|l| l == "52:54:00:ab:cd:01 script ephemeral environment"), "{told:?}");
    assert!(!told.iter().any(|l| l.contains(".lst")), "{told:?}");
}

#[tokio::test]
async fn a_port_in_use_is_said_with_its_cure() {
    let (rack, _) = served([127, 53, 8, 1], 10).await;
    let error = serve_tftp(rack.context.clone(), rack.address, PORT, rack.cancel.clone()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "TFTP: port 6969 of 127.53.8.1 is in use: stop the other TFTP server (tftpd, dnsmasq), or set `tftp_port`"
    );
}
