use super::*;
use rackwright_common::snapshot::Snapshot;
use rackwright_link::sha256_hex;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a region does when it is asked.
#[derive(Clone)]
enum Turn {
    /// Gives everything from the offset on.
    Good,
    /// Gives so many bytes, then breaks.
    Breaks(usize),
    /// Gives so many bytes, then ends as if that were all.
    Ends(usize),
    /// Gives as many bytes of something else.
    Lies,
    /// Does not have it.
    Lacks,
    /// Gives one byte, then waits until it may go on.
    Waits,
}

/// A region with one blob, which behaves as told, and well once it has been told nothing more.
struct Region {
    content: Vec<u8>,
    turns: Mutex<Vec<Turn>>,
    asked: Mutex<Vec<u64>>,
    go_on: Arc<AtomicBool>,
}

#[async_trait]
impl BlobSource for Region {
    async fn fetch(&self, _: &str, offset: u64) -> Result<BlobStream, LinkError> {
        self.asked.lock().unwrap().push(offset);
        let turn = {
            let mut turns = self.turns.lock().unwrap();
            if turns.is_empty() { Turn::Good } else { turns.remove(0) }
        };
        let rest = Bytes::copy_from_slice(&self.content[offset as usize..]);
        let broken = || Err(LinkError::Unavailable("broken".to_owned()));
        Ok(match turn {
            Turn::Lacks => return Err(LinkError::NotFound("none here".to_owned())),
            Turn::Good => Box::pin(tokio_stream::iter([Ok(rest)])),
            Turn::Breaks(n) => Box::pin(tokio_stream::iter([Ok(rest.slice(..n)), broken()])),
            Turn::Ends(n) => Box::pin(tokio_stream::iter([Ok(rest.slice(..n))])),
            Turn::Lies => Box::pin(tokio_stream::iter([Ok(Bytes::from(vec![b'!'; rest.len()]))])),
            Turn::Waits => {
                let go_on = self.go_on.clone();
                let later = futures_util::stream::once(async move {
                    while !go_on.load(Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    Ok(rest.slice(1..))
                });
                let first = Bytes::copy_from_slice(&self.content[offset as usize..][..1]);
                Box::pin(futures_util::StreamExt::chain(tokio_stream::iter([Ok(first)]), later))
            }
        })
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    cache: Cache,
    region: Arc<Region>,
    blob: BlobRef,
}

fn fixture(turns: Vec<Turn>, local_store: Option<PathBuf>) -> Fixture {
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let blob = BlobRef { sha256: sha256_hex(&content), size: content.len() as u64 };
    let region = Arc::new(Region {
        content,
        turns: Mutex::new(turns),
        asked: Mutex::default(),
        go_on: Arc::default(),
    });
    let dir = tempfile::tempdir().unwrap();
    let config = CacheConfig { dir: dir.path().join("blobs"), local_store, spare_bytes: 1_000_000 };
    let cache = Cache::open(config, region.clone()).unwrap();
    Fixture { dir, cache, region, blob }
}

async fn read_all(mut reader: BlobReader) -> Result<Vec<u8>, CacheError> {
    let mut all = Vec::new();
    while (all.len() as u64) < reader.size() {
        all.extend(reader.read(all.len() as u64, u64::MAX).await?);
    }
    Ok(all)
}

#[tokio::test]
async fn a_blob_is_fetched_once_and_then_served_from_the_disk() {
    let f = fixture(vec![], None);
    for _ in 0..3 {
        let reader = f.cache.open_blob(&f.blob).await.unwrap();
        assert!(read_all(reader).await.unwrap() == f.region.content);
    }
    assert_eq!(*f.region.asked.lock().unwrap(), [0]);
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stopped() {
    let f = fixture(vec![Turn::Breaks(1000), Turn::Ends(500)], None);
    let reader = f.cache.open_blob(&f.blob).await.unwrap();
    assert!(read_all(reader).await.unwrap() == f.region.content);
    assert_eq!(*f.region.asked.lock().unwrap(), [0, 1000, 1500]);
}

#[tokio::test]
async fn what_is_not_what_was_asked_for_is_fetched_again_and_never_served_whole() {
    let f = fixture(vec![Turn::Lies], None);
    let file = f.cache.open_complete(&f.blob, PATIENCE).await.unwrap();
    assert_eq!(file.metadata().unwrap().len(), f.blob.size);
    assert!(fs::read(f.cache.path(&f.blob.sha256)).unwrap() == f.region.content);
    assert_eq!(*f.region.asked.lock().unwrap(), [0, 0]);
}

#[tokio::test]
async fn many_who_ask_share_one_download_and_read_while_it_arrives() {
    let f = fixture(vec![Turn::Waits], None);
    let mut early = f.cache.open_blob(&f.blob).await.unwrap();
    assert_eq!(early.read(0, u64::MAX).await.unwrap().as_ref(), &f.region.content[..1]);
    let others: Vec<_> = (0..5)
        .map(|_| {
            let (cache, blob) = (f.cache.clone(), f.blob.clone());
            tokio::spawn(async move { read_all(cache.open_blob(&blob).await.unwrap()).await.unwrap() })
        })
        .collect();
    f.region.go_on.store(true, Ordering::SeqCst);
    assert!(read_all(early).await.unwrap() == f.region.content);
    for other in others {
        assert!(other.await.unwrap() == f.region.content);
    }
    assert_eq!(f.region.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn the_last_byte_of_something_else_is_never_given() {
    let f = fixture(vec![Turn::Lies; 50], None);
    let given = async {
        let reader = f.cache.open_blob(&f.blob).await?;
        read_all(reader).await
    };
    let given = tokio::time::timeout(Duration::from_millis(300), given).await;
    assert!(!matches!(given, Ok(Ok(_))), "nobody gets a complete file that is not the right one");
}

#[tokio::test]
async fn what_no_region_has_is_refused_at_once_so_that_the_machine_asks_another_rack() {
    let f = fixture(vec![Turn::Lacks], None);
    let error = f.cache.open_blob(&f.blob).await.unwrap_err();
    let said = format!("no region has blob {}: not found: none here", f.blob.sha256);
    assert_eq!(error.to_string(), said);
    assert_eq!(f.region.asked.lock().unwrap().len(), 1);
    f.cache.open_complete(&f.blob, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_file_of_the_wrong_size_is_removed_and_fetched_again() {
    let f = fixture(vec![], None);
    fs::write(f.cache.path(&f.blob.sha256), b"short").unwrap();
    let reader = f.cache.open_blob(&f.blob).await.unwrap();
    assert!(read_all(reader).await.unwrap() == f.region.content);
}

#[tokio::test]
async fn a_file_with_other_content_is_never_served_whole_and_another_copy_is_fetched() {
    let f = fixture(vec![], None);
    let mut damaged = f.region.content.clone();
    damaged[123_456] ^= 1;
    fs::write(f.cache.path(&f.blob.sha256), &damaged).unwrap();
    let error = read_all(f.cache.open_blob(&f.blob).await.unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the copy of blob {} on this rack is damaged", f.blob.sha256));
    let reader = f.cache.open_blob(&f.blob).await.unwrap();
    assert!(read_all(reader).await.unwrap() == f.region.content);
    assert!(
        fs::read(f.cache.path(&f.blob.sha256)).unwrap() == f.region.content,
        "the rack's copy is whole again"
    );
}

#[tokio::test]
async fn whoever_needs_the_whole_file_gets_a_good_one_at_the_first_try() {
    let f = fixture(vec![], None);
    fs::write(f.cache.path(&f.blob.sha256), vec![7; f.region.content.len()]).unwrap();
    f.cache.open_complete(&f.blob, PATIENCE).await.unwrap();
    assert!(fs::read(f.cache.path(&f.blob.sha256)).unwrap() == f.region.content);
    // Damaged later, while the rack runs.
    fs::write(f.cache.path(&f.blob.sha256), vec![8; f.region.content.len()]).unwrap();
    f.cache.open_complete(&f.blob, PATIENCE).await.unwrap();
    assert!(fs::read(f.cache.path(&f.blob.sha256)).unwrap() == f.region.content);
}

#[tokio::test]
async fn damage_in_the_regions_store_is_left_to_the_region_and_passed_over() {
    let store = tempfile::tempdir().unwrap();
    let f = fixture(vec![], Some(store.path().to_owned()));
    let theirs = store.path().join("blobs").join(&f.blob.sha256);
    fs::create_dir(store.path().join("blobs")).unwrap();
    fs::write(&theirs, vec![7; f.region.content.len()]).unwrap();
    let file = f.cache.open_complete(&f.blob, PATIENCE).await.unwrap();
    let reader = BlobReader::complete(file, f.blob.size);
    assert!(read_all(reader).await.unwrap() == f.region.content);
    assert_eq!(fs::read(&theirs).unwrap()[0], 7, "the region's file is the region's");
    // Uploaded again: it counts as any new file does.
    fs::write(&theirs, &f.region.content).unwrap();
    assert_eq!(f.cache.find(&f.blob).unwrap().unwrap().path, theirs);
}

#[tokio::test]
async fn a_doubt_has_the_file_read_again() {
    let f = fixture(vec![], None);
    f.cache.open_complete(&f.blob, PATIENCE).await.unwrap();
    let path = f.cache.path(&f.blob.sha256);
    let modified = path.metadata().unwrap().modified().unwrap();
    fs::write(&path, vec![7; f.region.content.len()]).unwrap();
    // As a failing disk does it: no time of change tells.
    File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    f.cache.doubt(&f.blob);
    let unnoticed = read_all(f.cache.open_blob(&f.blob).await.unwrap()).await.unwrap();
    assert_eq!(unnoticed[0], 7, "just checked: nobody may keep the rack busy with reading");
    f.cache.doubt_older(&f.blob, Duration::ZERO);
    f.cache.open_complete(&f.blob, PATIENCE).await.unwrap();
    assert!(fs::read(&path).unwrap() == f.region.content);
}

#[tokio::test]
async fn a_partial_file_of_the_last_process_is_used() {
    let f = fixture(vec![], None);
    fs::write(f.cache.partial_path(&f.blob.sha256), &f.region.content[..4096]).unwrap();
    f.cache.open_complete(&f.blob, PATIENCE).await.unwrap();
    assert_eq!(*f.region.asked.lock().unwrap(), [4096]);
}

#[tokio::test]
async fn the_regions_store_on_the_same_box_is_used_directly() {
    let store = tempfile::tempdir().unwrap();
    let f = fixture(vec![], Some(store.path().to_owned()));
    fs::create_dir(store.path().join("blobs")).unwrap();
    fs::write(store.path().join("blobs").join(&f.blob.sha256), &f.region.content).unwrap();
    let reader = f.cache.open_blob(&f.blob).await.unwrap();
    assert!(read_all(reader).await.unwrap() == f.region.content);
    assert!(f.region.asked.lock().unwrap().is_empty());
    assert_eq!(fs::read_dir(f.dir.path().join("blobs")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_no_snapshot_lists_goes_least_recently_used_first() {
    let f = fixture(vec![], None);
    let names: Vec<String> = (0..4).map(|n| format!("{n}").repeat(64)).collect();
    for (age, name) in names.iter().enumerate() {
        let path = f.cache.path(name);
        fs::write(&path, vec![0; 400_000]).unwrap();
        let then = SystemTime::now() - Duration::from_secs(100 * age as u64);
        let times = FileTimes::new().set_accessed(then);
        File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    }
    let oldest = BlobRef { sha256: names[3].clone(), size: 400_000 };
    f.cache.evict(&Snapshot { pinned: vec![oldest], ..Snapshot::default() });
    assert_eq!(f.cache.held(), [&names[..2], &names[3..]].concat(), "that is what regions are told");
    let there: Vec<bool> = names.iter().map(|n| f.cache.path(n).exists()).collect();
    assert_eq!(there, [true, true, false, true], "the third is the oldest that may go");
}

#[tokio::test]
async fn only_hashes_become_file_names() {
    let f = fixture(vec![], None);
    let odd = BlobRef { sha256: "../../etc/passwd".to_owned(), size: 1 };
    assert!(f.cache.find(&odd).unwrap().is_none());
}
