use super::*;
use rackwright_common::Mac;
use rackwright_common::clock::FixedClock;
use rackwright_common::link::BootStage;
use std::fs;

const START: i64 = 1_700_000_000;

fn open(dir: &Path) -> Journal {
    Journal::open(dir, Arc::new(FixedClock::at(START))).unwrap()
}

fn lease(n: u8) -> Fact {
    Fact::LeaseEnded { mac: Mac([2, 0, 0, 0, 0, n]), address: [10, 0, 0, n].into(), declined: false }
}

fn boot(detail: &str) -> Fact {
    Fact::Boot { mac: None, uuid: None, stage: BootStage::Kernel, detail: detail.to_owned() }
}

fn facts(journal: &Journal) -> Vec<Fact> {
    journal.after(0, usize::MAX).into_iter().map(|e| e.fact).collect()
}

#[tokio::test]
async fn a_durable_entry_is_on_disk_when_the_call_returns() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    tokio::spawn(journal.clone().run(CancellationToken::new()));
    let seq = journal.append_durable(lease(1)).await.unwrap();
    assert_eq!(seq, START as u64 * 1_000_000);
    let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert_eq!(
        text,
        "{\"seq\":1700000000000000,\"at\":\"2023-11-14T22:13:20Z\",\"fact\":{\"fact\":\"lease-ended\",\
         \"mac\":\"02:00:00:00:00:01\",\"address\":\"10.0.0.1\",\"declined\":false}}\n"
    );
}

#[tokio::test]
async fn what_no_region_took_is_there_after_a_restart_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let first = journal.append(lease(1));
    journal.append(lease(2));
    journal.write();
    journal.acknowledge(first);
    let again = open(dir.path());
    assert!(facts(&again).ends_with(&[lease(2)]));
    assert!(again.append(lease(3)) > first + 1);
}

#[tokio::test]
async fn a_line_cut_off_by_a_crash_is_dropped_and_the_rest_kept() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    journal.append(lease(1));
    journal.append(lease(2));
    journal.write();
    let path = dir.path().join(FILE);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 10]).unwrap();
    let again = open(dir.path());
    assert_eq!(facts(&again), [lease(1)]);
    again.append(lease(3));
    again.write();
    assert_eq!(facts(&open(dir.path())), [lease(1), lease(3)]);
}

#[tokio::test]
async fn what_is_acknowledged_leaves_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut last = 0;
    for n in 0..100 {
        last = journal.append(lease(n));
    }
    journal.write();
    assert!(fs::metadata(dir.path().join(FILE)).unwrap().len() > 10_000);
    journal.acknowledge(last);
    journal.write();
    assert_eq!(fs::metadata(dir.path().join(FILE)).unwrap().len(), 0);
    journal.append(lease(7));
    journal.write();
    assert_eq!(facts(&open(dir.path())), [lease(7)]);
}

#[tokio::test]
async fn entries_are_read_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let numbers: Vec<u64> = (0..5).map(|n| journal.append(lease(n))).collect();
    let piece = journal.after(numbers[1], 2);
    assert_eq!(piece.iter().map(|e| e.seq).collect::<Vec<_>>(), numbers[2..4]);
}

#[tokio::test]
async fn too_many_steps_of_boots_are_forgotten_oldest_first_and_leases_never() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    journal.append(lease(1));
    let long = "x".repeat(1 << 20);
    for n in 0..70 {
        journal.append(boot(&format!("{n} {long}")));
    }
    journal.append(lease(2));
    let kept = facts(&journal);
    assert_eq!(kept.first(), Some(&lease(1)));
    assert_eq!(kept.last(), Some(&lease(2)));
    assert!(kept.len() < 66, "{}", kept.len());
    let Fact::Boot { detail, .. } = &kept[1] else { panic!("a boot is next") };
    assert!(!detail.starts_with("0 "));
}

#[tokio::test]
async fn nothing_is_promised_that_is_not_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let cancel = CancellationToken::new();
    let writer = tokio::spawn(journal.clone().run(cancel.clone()));
    cancel.cancel();
    writer.await.unwrap();
    assert!(matches!(journal.append_durable(lease(1)).await, Err(JournalError::Closed)));
}

#[tokio::test]
async fn nobody_else_may_read_it_for_reports_carry_credentials() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let _journal = open(dir.path());
    for entry in fs::read_dir(dir.path()).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
    }
}
