use rackwright_common::clock::FixedClock;
use rackwright_common::lease::{LeaseEvent, LeaseWord, LiveRacks};
use rackwright_common::snapshot::SubnetView;
use rackwright_dhcp::{Action, MessageType, code};

use super::super::view;
use super::*;

const NOW: i64 = 1_000_000;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
const OTHERS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);

fn snapshot() -> Snapshot {
    let block = BlockView { first: FIRST, last: Ipv4Addr::new(10, 77, 0, 103), epoch: 1, since: 1 };
    let subnet = SubnetView {
        id: 4,
        cidr: "10.77.0.0/24".parse().unwrap(),
        gateway: None,
        dns_servers: vec![],
        ntp_servers: vec![],
        domain: None,
        mtu: None,
        dhcp: true,
        lease_seconds: 600,
        blocks: vec![block],
        vlan: None,
        mode: rackwright_common::snapshot::ServeMode::Serve,
        boot_architectures: None,
        options: vec![],
        routes: vec![],
    };
    Snapshot { generation: 1, subnets: vec![subnet], ..Snapshot::default() }
}

/// A rack's box: its folder and its clock.
struct Rack {
    folder: tempfile::TempDir,
    clock: FixedClock,
    exchange: LeaseExchange,
}

impl Rack {
    fn new() -> Rack {
        Rack {
            folder: tempfile::tempdir().unwrap(),
            clock: FixedClock::at(NOW),
            exchange: LeaseExchange::default(),
        }
    }

    async fn start(&self) -> Memory {
        let config = view::config(&snapshot(), &[], 5248);
        let clock = Arc::new(self.clock.clone());
        Memory::open(self.folder.path(), self.exchange.clone(), clock, &config, &snapshot()).await.unwrap()
    }

    /// A region answers the report of the moment.
    async fn hear(&self, memory: &mut Memory, upto: u64, words: &[LeaseWord]) {
        let report = self.exchange.report().unwrap();
        let news = LeaseNews {
            rack: 3,
            memory: report.memory,
            life: report.life,
            sent_at: report.sent_at,
            blocks: (report.learned < upto).then(|| snapshot().subnets[0].blocks.clone()),
            after: report.learned,
            upto,
            whole: report.learned == 0,
            stored: report.facts.last().map_or(report.after, |f| f.number),
            words: words.to_vec(),
            live: vec![LiveRacks { network: "10.77.0.0/24".parse().unwrap(), racks: vec![3] }],
        };
        self.exchange.take(news);
        let news = memory.news().await;
        memory.learn(&news).await.unwrap();
    }
}

fn message(kind: MessageType, client: u8) -> Packet {
    let mut packet = Packet::decode(&[0; 236]).unwrap();
    (packet.op, packet.htype, packet.hlen, packet.xid) = (1, 1, 6, client.into());
    packet.chaddr[..6].copy_from_slice(&[2, 0, 0, 0, 0, client]);
    packet.options.set(code::MESSAGE_TYPE, [kind as u8]);
    packet
}

/// The client asks to keep the address; whether it may.
async fn renews(memory: &mut Memory, client: u8, address: Ipv4Addr) -> bool {
    let mut packet = message(MessageType::Request, client);
    packet.ciaddr = address;
    ask(memory, &packet).await
}

/// The client takes the address as offered; whether it gets it.
async fn takes(memory: &mut Memory, client: u8, address: Ipv4Addr) -> bool {
    let mut packet = message(MessageType::Request, client);
    packet.options.set(code::REQUESTED_ADDRESS, address.octets());
    packet.options.set(code::SERVER_ID, SERVER.octets());
    ask(memory, &packet).await
}

async fn ask(memory: &mut Memory, packet: &Packet) -> bool {
    let network = Some("10.77.0.0/24".parse().unwrap());
    let answer = memory.respond(packet, Arrival { server: SERVER, broadcast: true }, network);
    memory.write(answer.records).await.unwrap();
    matches!(answer.outcome.action, Action::Ack(_))
}

fn keep(address: Ipv4Addr, client: u8) -> LeaseWord {
    LeaseWord { address, client: Some(format!("0102000000{:04x}", client)) }
}

#[tokio::test]
async fn it_gives_nothing_before_a_region_has_answered_and_tells_what_it_gave() {
    let rack = Rack::new();
    let mut memory = rack.start().await;
    assert!(!takes(&mut memory, 1, FIRST).await);
    rack.hear(&mut memory, 1, &[keep(OTHERS, 9)]).await;
    assert!(takes(&mut memory, 1, FIRST).await);
    assert!(renews(&mut memory, 9, OTHERS).await, "another rack's lease");
    let report = rack.exchange.report().unwrap();
    assert_eq!((report.life, report.learned), (1, 1));
    let told: Vec<_> = report.facts.iter().map(|f| &f.what).collect();
    let lease = |address, client: u8, epoch| LeaseEvent::Lease {
        address,
        client: format!("0102000000{client:04x}"),
        seconds: 600,
        epoch,
    };
    assert_eq!(
        told,
        [&LeaseEvent::CaughtUp { change: 1 }, &lease(FIRST, 1, Some(1)), &lease(OTHERS, 9, None)]
    );
}

#[tokio::test]
async fn it_goes_on_after_a_restart_without_a_region_and_tells_again_what_is_not_stored() {
    let rack = Rack::new();
    let mut memory = rack.start().await;
    rack.hear(&mut memory, 1, &[]).await;
    assert!(takes(&mut memory, 1, FIRST).await);
    let before = rack.exchange.report().unwrap();
    drop(memory);
    assert!(rack.exchange.report().is_none(), "DHCP is not served");
    rack.clock.advance(60);
    let mut memory = rack.start().await;
    let after = rack.exchange.report().unwrap();
    assert_eq!((after.memory, after.life, after.learned), (before.memory, 2, 1));
    assert_eq!(after.facts, before.facts);
    assert!(renews(&mut memory, 1, FIRST).await);
    assert!(!takes(&mut memory, 2, FIRST).await, "it is the first client's");
    rack.hear(&mut memory, 2, &[LeaseWord { address: FIRST, client: None }]).await;
    assert!(takes(&mut memory, 2, FIRST).await, "the regions say that it is free");
    drop(memory);
    let mut memory = rack.start().await;
    assert!(!renews(&mut memory, 1, FIRST).await, "and so it is after one more start");
}

#[tokio::test]
async fn leases_of_the_version_before_are_kept_and_told() {
    let rack = Rack::new();
    let line = |last: u8, state: &str, expires: i64| {
        format!(
            r#"{{"address":"10.77.0.{last}","client":"010200000000{:02x}","state":"{state}","expires":{expires}}}"#,
            last - 99
        )
    };
    let lines =
        [line(100, "bound", NOW + 300), line(101, "bound", NOW - 1), line(102, "released", NOW + 300)];
    std::fs::write(rack.folder.path().join("leases.jsonl"), lines.join("\n")).unwrap();
    let mut memory = rack.start().await;
    let facts = rack.exchange.report().unwrap().facts;
    let kept =
        LeaseEvent::Lease { address: FIRST, client: "01020000000001".into(), seconds: 300, epoch: Some(1) };
    assert_eq!(facts.iter().map(|f| &f.what).collect::<Vec<_>>(), [&kept]);
    rack.hear(&mut memory, 1, &[keep(FIRST, 1)]).await;
    assert!(!takes(&mut memory, 7, FIRST).await);
    assert!(renews(&mut memory, 1, FIRST).await);
    assert!(takes(&mut memory, 8, Ipv4Addr::new(10, 77, 0, 101)).await, "that one was over");
}
