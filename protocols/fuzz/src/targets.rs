//! Every decoder of network input: what it is fed, and the real packets from which its input is made.

use rackwright_amt::Request as AmtRequest;
use rackwright_amt::digest::Challenge;
use rackwright_common::link::{Relay, ToRack, ToRegion};
use rackwright_dhcp::{Client, Packet, RelayInfo};
use rackwright_dns::{Name, Query, RecordType, Reply, Writer, flag, tsig};
use rackwright_ipmi::command::{boot::BootFlags, fru::Fru, sdr::SdrRecord};
use rackwright_ipmi::wire::message::{RequestMessage, ResponseMessage};
use rackwright_ipmi::wire::packet::Datagram;
use rackwright_ipmi::wire::rakp::{OpenRequest, OpenResponse, Rakp1, Rakp2, RakpProof};
use rackwright_ipmi::wire::sol::SolPacket;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};

/// A decoder.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Feeds it; what it made of that, as text.
    pub feed: fn(&[u8]) -> String,
    /// What comes to it in the field.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "dhcp", feed: dhcp, seeds: dhcp_seeds },
    Target {
        name: "dhcp-relay",
        feed: |b| show(RelayInfo::decode(b)),
        seeds: || bytes(&["0104636972310206020000000001050404d04d00", "0b040a4d0001"]),
    },
    Target { name: "dhcpv6", feed: dhcpv6, seeds: dhcpv6_seeds },
    Target { name: "tftp", feed: tftp, seeds: tftp_seeds },
    Target { name: "ipmi", feed: ipmi, seeds: ipmi_seeds },
    Target { name: "amt", feed: amt, seeds: amt_seeds },
    Target { name: "dns-query", feed: dns_query, seeds: dns_seeds },
    Target { name: "dns-reply", feed: dns_reply, seeds: dns_seeds },
    Target { name: "neighbour", feed: |b| show(rackwright_neighbour::read(b)), seeds: neighbour_seeds },
    Target { name: "mdns", feed: mdns, seeds: dns_seeds },
    Target {
        name: "lldp",
        feed: |b| show(rackwright_neighbour::lldp::read_frame(b)),
        seeds: neighbour_seeds,
    },
    Target { name: "ntp", feed: ntp, seeds: || bytes(&[NTP]) },
    Target { name: "link-region", feed: |b| json::<ToRegion>(b), seeds: link_seeds },
    Target { name: "link-rack", feed: |b| json::<ToRack>(b), seeds: link_seeds },
    Target { name: "relay", feed: |b| json::<Relay>(b), seeds: link_seeds },
];

fn show(value: impl Debug) -> String {
    format!("{value:?}")
}

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    let plain = |text: &str| text.split(' ').collect::<String>();
    texts.iter().map(|text| hex::decode(plain(text)).expect("seeds are hexadecimal")).collect()
}

/// Decoded, asked what its sender is, and encoded again: what was read is written without a panic.
fn dhcp(input: &[u8]) -> String {
    match Packet::decode(input) {
        Ok(packet) => {
            format!("{:?} {:?} {}", Client::of(&packet), packet.options, packet.encode(300).len() % 2)
        }
        Err(error) => error.to_string(),
    }
}

/// Decoded, asked what its sender is, and answered as a relay would have it.
fn dhcpv6(input: &[u8]) -> String {
    match rackwright_dhcp6::Packet::decode(input) {
        Some(packet) => {
            let client = rackwright_dhcp6::Client::of(&packet, std::net::Ipv6Addr::LOCALHOST);
            format!("{client:?} {}", packet.answer(&packet.message).len() % 2)
        }
        None => "no message".to_owned(),
    }
}

fn dhcpv6_seeds() -> Vec<Vec<u8>> {
    // SOLICIT of firmware (RFC 5970), and the same through a relay that names the client (RFC 6939).
    let solicit = "01abcdef0001000a0003000152540000000700060008001700180038003b00030028000000070000000000000000000500180000000000000000fd0000920000000000000000000000000000003d000200070010001a00000157001450584543                   6c69656e743a417263683a3030303037000f00060004695058450008000200 00";
    let solicit = solicit.replace([' ', '\n'], "");
    let length = format!("{:04x}", solicit.len() / 2);
    let relayed = format!(
        "0c00fd009200000000000000000000000000fe8000000000000000000000000000000012000470 6f7274004f00080001525400000009 0009{length}{solicit}"
    );
    bytes(&[solicit.as_str(), relayed.replace(' ', "").as_str()])
}

fn dhcp_seeds() -> Vec<Vec<u8>> {
    // DISCOVER of PXE (RFC 4578), REQUEST of iPXE behind a relay, each after BOOTP's fixed fields.
    let options = [
        "350101390205c03712010203050608090c0f1011122b363c4243807d0010010203040506070809000a0b0c0d0e0f61110000112233445566778899aabbccddeeff5d0200005e030102013c20505845436c69656e743a417263683a30303030303a554e44493a303032303031ff",
        "3501033604 0a4d00013204 0a4d00054d0469505845af0a1305070108 b105010180 5d0200073d0701525400000001520a01046369723102 0201 020c046e6f6465ff",
    ];
    let mut seeds: Vec<Vec<u8>> = options
        .iter()
        .map(|options| {
            let mut packet = vec![0; 236];
            packet[..8].copy_from_slice(&[1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78]);
            packet[28..34].copy_from_slice(&[0x52, 0x54, 0, 0, 0, 1]);
            packet.extend([0x63, 0x82, 0x53, 0x63]);
            packet.extend(bytes(&[options]).concat());
            packet
        })
        .collect();
    // Overloaded fields (option 52) and plain BOOTP.
    let mut overloaded = seeds[0].clone();
    overloaded.splice(240..240, [52, 1, 3]);
    overloaded[44..48].copy_from_slice(&[12, 1, b'a', 255]);
    let bootp = seeds[0][..236].to_vec();
    seeds.extend([overloaded, bootp]);
    seeds
}

fn tftp(input: &[u8]) -> String {
    format!("{:?} {:?}", rackwright_tftp::Request::decode(input), rackwright_tftp::Packet::decode(input))
}

fn tftp_seeds() -> Vec<Vec<u8>> {
    let request = b"\0\x01undionly.kpxe\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0timeout\x001\0";
    vec![request.to_vec(), b"\0\x04\xff\xff".to_vec(), b"\0\x05\0\x08no thanks\0".to_vec()]
}

fn ipmi(input: &[u8]) -> String {
    let wire = format!(
        "{:?} {:?} {:?} {:?}",
        Datagram::decode(input),
        RequestMessage::decode(input),
        ResponseMessage::decode(input),
        SolPacket::decode(input),
    );
    let opening = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        OpenRequest::decode(input),
        OpenResponse::decode(input),
        Rakp1::decode(input),
        Rakp2::decode(input),
        RakpProof::decode(input),
    );
    format!(
        "{wire} {opening} {:?} {:?} {:?}",
        BootFlags::decode(input),
        Fru::decode(input),
        SdrRecord::decode(input)
    )
}

fn ipmi_seeds() -> Vec<Vec<u8>> {
    bytes(&[
        // Presence pong, answer to Get Channel Authentication Capabilities, open-session answer, RAKP 2.
        "0600ff06000011be40000010000011be0000000081000000000000",
        "0600ff07000000000000000000108118632000380001 86060200000000aa",
        "0600ff0706110000000000000000240000000400a4a3a2a0010000000000000801000000010000080100000002000008 01000000",
        "00000000a4a3a2a0000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b",
        // A FRU with a board area; an SDR of a full sensor.
        "0100000001000000fe0109190000 00c4414d4943c4424f415244c1000000",
        "010051012b2000 0401 7f6801010100000000000080010000000000000000000000000000000000000000000000c854656d70",
    ])
}

fn amt(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    format!("{:?} {:?}", AmtRequest::Identify.read(&text), Challenge::parse(&text))
}

fn amt_seeds() -> Vec<Vec<u8>> {
    let envelope = r#"<?xml version="1.0"?><a:Envelope xmlns:a="http://www.w3.org/2003/05/soap-envelope"><a:Body><b:IdentifyResponse><b:ProductVendor>Intel(r)</b:ProductVendor><b:ProductVersion>AMT 12.0 &amp; &#x41;</b:ProductVersion></b:IdentifyResponse></a:Body></a:Envelope>"#;
    let challenge =
        r#"Digest realm="Digest:AB", nonce="a\"b", stale="false", qop="auth", opaque=x, algorithm=MD5"#;
    vec![envelope.as_bytes().to_vec(), challenge.as_bytes().to_vec()]
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// Read, proven against a key, answered: what comes of a query is written without a panic.
fn dns_query(input: &[u8]) -> String {
    match Query::parse(input) {
        Ok(query) => {
            let key = tsig::Key::new(name("ns-1"), vec![7; 32]);
            let proof = tsig::verify(input, &query, &[key], 1_700_000_000).err();
            let mut buffer = Vec::new();
            let message = Writer::respond(&query, &mut buffer, query.udp_limit());
            message.finish(query.edns);
            let shape = "x".repeat(query.asked().len().min(60));
            format!("{shape} {} {} {proof:?} {}", query.kind, query.opcode() > 0, query.edns.is_some())
        }
        Err(error) => show(error),
    }
}

fn dns_reply(input: &[u8]) -> String {
    let mut texts = Vec::new();
    for kind in [RecordType::A, RecordType::CNAME] {
        texts.push(show(Reply::read(input, 77, &name("www.lab"), kind)));
    }
    texts.concat()
}

fn mdns(input: &[u8]) -> String {
    show(rackwright_neighbour::mdns::name_of(input, IpAddr::V4(Ipv4Addr::new(10, 77, 0, 9))))
}

fn dns_seeds() -> Vec<Vec<u8>> {
    let mut query = Vec::new();
    let mut writer = Writer::begin(&mut query, 77, flag::RD, 512);
    writer.ask(name("www.lab").wire(), RecordType::A, 1);
    writer.finish(None);
    let mut seeds = bytes(&[
        // www.lab A: CNAME node.lab, A 10.77.0.9, with compression and EDNS.
        "004d818000010002000000010377777703 6c61620000010001c00c000500010000003c0007046e6f6465c010c02500010001 0000003c00040a4d00090000291000000000000000",
        // node.local A 10.77.0.9 of multicast DNS, cache-flush bit set.
        "000084000000000100000000046e6f6465056c6f63616c00000180010000007800040a4d0009",
        // A pointer that leads to itself.
        "004d01000001000000000000c00c00010001",
        // A signed query (RFC 8945).
        "004d00000001000000000001036c616200000600 01046e732d310000fa00ff00000000 003d0b686d61632d7368613235360000006553f100012c0020000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f004d00000000",
    ]);
    seeds.push(query);
    seeds
}

fn neighbour_seeds() -> Vec<Vec<u8>> {
    bytes(&[
        // ARP answer; the same tagged; LLDP with port, name and VLAN; neighbour advertisement; mDNS in UDP.
        "ffffffffffff5254000000010806000108000604000252540000000 10a4d0005ffffffffffff0a4d0001",
        "ffffffffffff5254000000018100000a0806000108000604000152540000000 10a4d00050000000000000a4d0001",
        "0180c200000e52540000000188cc02070452540000000104060567653 0 2f310602007808 0467 6530310a02737708046465736310060 50a4d000101fe060080c2010014 0000",
        "33330000000152540000000186dd6000000000203afffe800000000000005054 00fffe000001ff0200000000000000000000000000018800000060000000fe80000000000000505400fffe0000010201525400000001",
        "01005e0000fb525400000001080045000042000100 00ff1100000a4d0009e00000fb14e914e9002e0000000084000000000100000000046e6f6465056c6f63616c00000180010000007800040a4d0009",
    ])
}

/// An answer of stratum 3 to the question of moment 0x1122334455667788.
const NTP: &str =
    "240306e70000000000000000c0000201eb00000000000000112233445566778811223344556677991122334455667799";

fn ntp(input: &[u8]) -> String {
    show(rackwright_services::ntp::read_answer(input, 0x1122_3344_5566_7788, 0x1122_3344_5566_7790))
}

/// Messages between controllers come from certified boxes, of another version perhaps.
fn json<T: serde::de::DeserializeOwned + serde::Serialize>(input: &[u8]) -> String {
    match serde_json::from_slice::<T>(input) {
        Ok(value) => serde_json::to_string(&value).unwrap_or_else(|error| error.to_string()),
        Err(error) => format!("{:?}", error.classify()),
    }
}

fn link_seeds() -> Vec<Vec<u8>> {
    [
        r#"{"type":"hello","version":"0.1.0","generation":3,"addresses":[{"interface":"eth1","network":"10.77.0.1/24","http_port":5248,"dns":true}],"instance":"00000000-0000-0000-0000-000000000001","clock":1700000000}"#,
        r#"{"type":"journal","entries":[{"seq":1,"at":"2026-11-22T06:20:00Z","fact":{"fact":"lease","mac":"52:54:00:00:00:01","address":"10.77.0.5","expires":"2026-11-22T06:30:00Z","hostname":"n"}}]}"#,
        r#"{"type":"time","state":"synchronised","message":"m","stratum":3,"offset_ns":-12}"#,
        r#"{"type":"task","id":1,"claim":2,"beat":3,"work":{"kind":"unknown"}}"#,
        r#"{"type":"renewed","beat":1,"tasks":[1,2]}"#,
        r#"{"id":1,"method":"GET","path":"/agent/v1/next","authorization":null,"body":"","peer":"10.77.0.9","local":"10.77.0.1:5248"}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
