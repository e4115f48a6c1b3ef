//! A rack's boot servers on a loopback address of the test's own, with no region.

use rackwright_common::clock::SystemClock;
use rackwright_common::link::Fact;
use rackwright_common::snapshot::BlobRef;
use rackwright_link::{LinkError, sha256_hex};
use rackwright_rack::boot::BootContext;
use rackwright_rack::cache::{BlobSource, BlobStream, Cache, CacheConfig};
use rackwright_rack::link::Hub;
use rackwright_rack::state::{Journal, World};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// No region is there.
struct Nobody;

#[async_trait::async_trait]
impl BlobSource for Nobody {
    async fn fetch(&self, _: &str, _: u64) -> Result<BlobStream, LinkError> {
        Err(LinkError::NotFound("no region has it".to_owned()))
    }
}

/// The rack, and the folder it and its clients work in.
pub struct Rack {
    pub dir: tempfile::TempDir,
    pub world: Arc<World>,
    pub journal: Journal,
    pub context: BootContext,
    pub cancel: CancellationToken,
    pub address: IpAddr,
}

impl Rack {
    /// `address` is in 127.0.0.0/8, one for each test.
    pub fn new(address: [u8; 4], http_port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Arc::new(World::open(dir.path()).unwrap());
        let journal = Journal::open(dir.path(), Arc::new(SystemClock)).unwrap();
        let cancel = CancellationToken::new();
        tokio::spawn(journal.clone().run(cancel.clone()));
        let config = CacheConfig { dir: dir.path().join("blobs"), local_store: None, spare_bytes: 0 };
        let cache = Cache::open(config, Arc::new(Nobody)).unwrap();
        let context = BootContext::new(world.clone(), journal.clone(), cache, Hub::new(), http_port);
        std::fs::create_dir(dir.path().join("got")).unwrap();
        Self { dir, world, journal, context, cancel, address: address.into() }
    }

    /// Puts a blob into the cache.
    pub fn blob(&self, content: &[u8]) -> BlobRef {
        let blob = BlobRef { sha256: sha256_hex(content), size: content.len() as u64 };
        std::fs::write(self.dir.path().join("blobs").join(&blob.sha256), content).unwrap();
        blob
    }

    /// Where clients put what they get.
    pub fn got(&self) -> PathBuf {
        self.dir.path().join("got")
    }

    /// Stages and details of the boot facts told so far.
    pub fn told(&self) -> Vec<String> {
        let entries = self.journal.after(0, usize::MAX);
        let boots = entries.into_iter().filter_map(|e| match e.fact {
            Fact::Boot { mac, stage, detail, .. } => {
                let mac = mac.map_or_else(|| "?".to_owned(), |m| m.to_string());
                Some(format!("{mac} {} {detail}", stage.as_str()))
            }
            _ => None,
        });
        boots.collect()
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
