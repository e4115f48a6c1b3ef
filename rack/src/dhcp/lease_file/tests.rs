use rackwright_dhcp::MacAddr;

use super::*;

fn lease(last: u8, state: LeaseState, expires: u64) -> Lease {
    let client = ClientKey::ethernet(MacAddr([2, 0, 0, 0, 0, last]));
    Lease { address: Ipv4Addr::new(10, 0, 0, last), client, state, expires }
}

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("rwdhcp-{name}-{}", std::process::id()));
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[tokio::test]
async fn leases_come_back_the_last_line_counts_and_the_file_is_compacted() {
    let folder = Folder::new("back");
    let (leases, mut file) = open(&folder.0).await.unwrap();
    assert!(leases.is_empty());
    file.append(&[lease(1, LeaseState::Bound, 100), lease(2, LeaseState::Bound, 100)]).await.unwrap();
    file.append(&[lease(1, LeaseState::Bound, 200), lease(2, LeaseState::Released, 150)]).await.unwrap();
    let path = folder.0.join("leases.jsonl");
    assert_eq!(
        std::fs::read_to_string(&path).unwrap().lines().next().unwrap(),
        r#"{"address":"10.0.0.1","client":"01020000000001","state":"bound","expires":100}"#
    );
    drop(file);
    let (leases, _file) = open(&folder.0).await.unwrap();
    let expected = [lease(1, LeaseState::Bound, 200), lease(2, LeaseState::Released, 150)];
    assert_eq!(leases.iter().cloned().collect::<Vec<_>>(), expected);
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
}

#[tokio::test]
async fn a_torn_last_line_costs_nothing_else() {
    let folder = Folder::new("torn");
    let (_, mut file) = open(&folder.0).await.unwrap();
    file.append(&[lease(1, LeaseState::Bound, 100)]).await.unwrap();
    drop(file);
    let path = folder.0.join("leases.jsonl");
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"address\":\"10.0.0.2\",\"cli");
    std::fs::write(&path, text).unwrap();
    let (leases, mut file) = open(&folder.0).await.unwrap();
    assert_eq!(leases.len(), 1);
    file.append(&[lease(3, LeaseState::Bound, 100)]).await.unwrap();
    drop(file);
    assert_eq!(open(&folder.0).await.unwrap().0.len(), 2);
}

#[tokio::test]
async fn two_processes_do_not_share_a_folder() {
    let folder = Folder::new("lock");
    let (_, _file) = open(&folder.0).await.unwrap();
    assert!(matches!(open(&folder.0).await, Err(LeaseFileError::InUse(_))));
}
