use std::net::Ipv4Addr;

use rackwright_dhcp::{ClientKey, LeaseState, MacAddr, Pool};

use super::*;

fn lease(last: u8, state: LeaseState, expires: u64) -> Lease {
    let client = ClientKey::ethernet(MacAddr([2, 0, 0, 0, 0, last]));
    Lease { address: Ipv4Addr::new(10, 0, 0, last), client, state, expires }
}

fn given(number: u64, last: u8) -> Record {
    let lease = lease(last, LeaseState::Bound, 100);
    Record::Lease { number, lease, seconds: 60, dynamic: true, epoch: Some(3) }
}

fn happened(records: &[Record]) -> Vec<Entry> {
    records.iter().cloned().map(Entry::Happened).collect()
}

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("rwdhcp-{name}-{}", std::process::id()));
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("leases.jsonl")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[tokio::test]
async fn what_happened_comes_back_in_its_order_and_what_is_stored_is_not_told_again() {
    let folder = Folder::new("back");
    let (found, mut file) = open(&folder.0).await.unwrap();
    assert!(found.memory.is_none() && found.records.is_empty());
    let block =
        Block { pool: Pool { first: [10, 0, 0, 1].into(), last: [10, 0, 0, 9].into() }, epoch: 3, since: 2 };
    let id = Uuid::from_u128(9);
    let start = [Entry::Memory { id, life: 4 }, Entry::Rack(7), Entry::Blocks(vec![block.clone()])];
    file.rewrite(&start).await.unwrap();
    let client = ClientKey::ethernet(MacAddr([2, 0, 0, 0, 0, 5]));
    let records = [
        given(1, 1),
        Record::Kept { address: [10, 0, 0, 5].into(), client },
        Record::CaughtUp { number: 2, change: 12 },
        Record::Contact { at: 90, boot: u128::MAX - 1 },
        Record::Dropped { address: [10, 0, 0, 1].into() },
        given(3, 2),
    ];
    file.append(&happened(&records)).await.unwrap();
    file.append(&[Entry::Stored(1)]).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(folder.file()).unwrap().lines().nth(3).unwrap(),
        r#"{"line":"lease","number":1,"address":"10.0.0.1","client":"01020000000001","state":"bound","expires":100,"seconds":60,"dynamic":true,"epoch":3}"#
    );
    drop(file);
    let (found, _file) = open(&folder.0).await.unwrap();
    assert_eq!((found.memory, found.rack), (Some((id, 4)), Some(7)));
    assert_eq!((found.blocks, found.records.as_slice()), (Some(vec![block]), records.as_slice()));
    assert_eq!(found.untold, [records[2].clone(), given(3, 2)]);
}

#[tokio::test]
async fn what_is_written_anew_is_no_report_and_what_is_to_be_told_says_nothing_of_the_present() {
    let folder = Folder::new("anew");
    let (_, mut file) = open(&folder.0).await.unwrap();
    let endless = Record::Lease {
        number: 8,
        lease: lease(3, LeaseState::Bound, u64::MAX),
        seconds: 0,
        dynamic: true,
        epoch: None,
    };
    file.rewrite(&[Entry::State(endless.clone()), Entry::Tell(given(2, 1))]).await.unwrap();
    drop(file);
    let (found, _file) = open(&folder.0).await.unwrap();
    assert_eq!((found.records, found.untold), (vec![endless], vec![given(2, 1)]));
}

#[tokio::test]
async fn leases_of_the_version_before_are_found() {
    let folder = Folder::new("former");
    std::fs::create_dir_all(&folder.0).unwrap();
    let text = r#"{"address":"10.0.0.1","client":"01020000000001","state":"bound","expires":100}
{"address":"10.0.0.2","client":"01020000000002","state":"bound","expires":100}
{"address":"10.0.0.1","client":"01020000000001","state":"bound","expires":200}
"#;
    std::fs::write(folder.file(), text).unwrap();
    let (found, _file) = open(&folder.0).await.unwrap();
    assert_eq!(found.former, [lease(1, LeaseState::Bound, 200), lease(2, LeaseState::Bound, 100)]);
    assert!(found.memory.is_none() && found.records.is_empty());
}

#[tokio::test]
async fn a_torn_last_line_costs_nothing_else() {
    let folder = Folder::new("torn");
    let (_, mut file) = open(&folder.0).await.unwrap();
    file.append(&happened(&[given(1, 1)])).await.unwrap();
    drop(file);
    let mut text = std::fs::read(folder.file()).unwrap();
    text.extend_from_slice(b"{\"line\":\"lease\",\"addr");
    std::fs::write(folder.file(), text).unwrap();
    let (found, mut file) = open(&folder.0).await.unwrap();
    assert_eq!(found.records.len(), 1);
    file.append(&happened(&[given(2, 3)])).await.unwrap();
    drop(file);
    assert_eq!(open(&folder.0).await.unwrap().0.records, [given(1, 1), given(2, 3)]);
}

#[tokio::test]
async fn two_processes_do_not_share_a_folder() {
    let folder = Folder::new("lock");
    let (_, _file) = open(&folder.0).await.unwrap();
    assert!(matches!(open(&folder.0).await, Err(LeaseFileError::InUse(_))));
}

#[test]
fn only_leases_of_fixed_addresses_need_not_be_on_the_disk() {
    let Record::Lease { number, lease, seconds, epoch, .. } = given(1, 1) else { panic!("a lease") };
    let fixed = Record::Lease { number, lease, seconds, dynamic: false, epoch };
    assert!(is_fixed(&Entry::Happened(fixed)));
    assert!(!is_fixed(&Entry::Happened(given(1, 1))));
    assert!(!is_fixed(&Entry::Stored(1)));
}
