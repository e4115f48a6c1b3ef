//! Network boot: what a machine gets from its first file to its kernel, by TFTP and HTTP.
//!
//! What to boot is decided in pure functions ([`decide`], [`grub`]) from the snapshot in memory; the servers
//! around them move bytes. Only what the snapshot lists is served. Steps are told to the regions as facts.

pub mod decide;
pub mod grub;
mod http;
pub mod loaders;
mod seen;
mod tftp;
mod unsigned;

pub use http::{HttpError, serve as serve_http};
pub use tftp::{TftpError, serve as serve_tftp};

use crate::cache::Cache;
use crate::link::Hub;
use crate::state::{Journal, World};
use rackwright_common::Mac;
use rackwright_common::link::{BootStage, Fact};
use rackwright_common::snapshot::{BlobRef, BootDecision, Snapshot};
use seen::Seen;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use unsigned::{Unsigned, Verdict};

/// iPXE for UEFI, which Secure Boot refuses.
pub const UNSIGNED_LOADER: &str = "snponly.efi";

/// What the boot servers need of the rack; clones share it.
#[derive(Clone)]
pub struct BootContext {
    /// Where decisions come from.
    pub world: Arc<World>,
    /// Where steps are told.
    pub journal: Journal,
    /// Where blobs come from.
    pub cache: Cache,
    /// Where machines' requests go.
    pub hub: Hub,
    /// Who asked for what from which address.
    seen: Arc<Seen>,
    /// Who took the unsigned loader and did not start it.
    unsigned: Arc<Unsigned>,
    /// Port of the HTTP service.
    http_port: u16,
}

impl BootContext {
    /// For servers that answer from these.
    pub fn new(world: Arc<World>, journal: Journal, cache: Cache, hub: Hub, http_port: u16) -> Self {
        let (seen, unsigned) = (Arc::default(), Arc::default());
        Self { world, journal, cache, hub, seen, unsigned, http_port }
    }

    /// DHCP gave this address to this machine: what is asked for from there is its doing.
    pub fn leased(&self, address: impl Into<IpAddr>, mac: Mac) {
        self.seen.leased(address.into(), mac);
    }

    /// Whether the firmware with this MAC, which asks for an address, is to get the signed loader.
    pub fn wants_signed(&self, mac: Mac) -> bool {
        let verdict = self.unsigned.asks(mac, Instant::now());
        if verdict == Verdict::FoundOut {
            let detail = "the firmware did not start the unsigned loader (Secure Boot, presumably): it gets the signed one";
            let (uuid, stage, detail) = (None, BootStage::Loader, detail.to_owned());
            self.journal.append(Fact::Boot { mac: Some(mac), uuid, stage, detail });
        }
        verdict != Verdict::Usual
    }

    /// The loader of the machine with this MAC was heard.
    pub fn loader_runs(&self, mac: Mac) {
        self.unsigned.runs(mac);
    }

    /// Whoever has this address has the whole boot file `name`.
    fn has_loader(&self, peer: IpAddr, name: &str) {
        if name == UNSIGNED_LOADER
            && let Some(mac) = self.seen.mac(peer)
        {
            self.unsigned.fetched(mac, Instant::now());
        }
    }

    /// Tells a step of the boot of whoever has this address; repeats within seconds are not told.
    fn told(&self, peer: IpAddr, stage: BootStage, detail: String) {
        if let Some((mac, uuid)) = self.seen.news(peer, stage, &detail) {
            tracing::info!(%peer, ?mac, stage = stage.as_str(), detail, "boot");
            self.journal.append(Fact::Boot { mac, uuid, stage, detail });
        }
    }

    /// Tells that a listed blob was asked for, when it is a kernel or an initial RAM disk.
    fn told_blob(&self, peer: IpAddr, snapshot: &Snapshot, blob: &BlobRef) {
        if let Some(stage) = stage_of(snapshot, blob) {
            self.told(
                peer,
                stage,
                format!("{} bytes, {}", blob.size, blob.sha256.get(..12).unwrap_or_default()),
            );
        }
    }
}

/// What a blob is to a machine that boots.
fn stage_of(snapshot: &Snapshot, blob: &BlobRef) -> Option<BootStage> {
    let decided = snapshot.hosts.iter().filter_map(|host| match &host.boot {
        BootDecision::Ephemeral(boot) => Some(boot),
        BootDecision::Local | BootDecision::PowerOff | BootDecision::Hold { .. } => None,
    });
    snapshot.enlist.iter().chain(decided).find_map(|boot| match blob {
        b if *b == boot.kernel => Some(BootStage::Kernel),
        b if *b == boot.initrd => Some(BootStage::Initrd),
        _ => None,
    })
}

/// A boot file's name as the snapshot writes it: firmware adds slashes, backslashes and folders of its own.
fn plain_name(asked: &str) -> String {
    let parts: Vec<&str> = asked.split(['/', '\\']).filter(|p| !p.is_empty() && *p != ".").collect();
    let parts = match parts.as_slice() {
        ["boot", "files", rest @ ..] | ["boot", rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    parts.join("/")
}

/// Files that boot loaders look for and do well without; their absence is nobody's concern.
fn is_optional(name: &str) -> bool {
    name.ends_with(".lst") || name.starts_with("revocations") || name.starts_with("shim_certificate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_firmware_writes_them() {
        for asked in [
            "shimx64.efi",
            "/shimx64.efi",
            "//shimx64.efi",
            "\\shimx64.efi",
            "boot/shimx64.efi",
            "/boot/files/shimx64.efi",
        ] {
            assert_eq!(plain_name(asked), "shimx64.efi", "{asked}");
        }
        assert_eq!(plain_name("/grub/x86_64-efi/fs.lst"), "grub/x86_64-efi/fs.lst");
        assert_eq!(plain_name("../../etc/passwd"), "../../etc/passwd", "which no snapshot lists");
        assert_eq!(plain_name("boot"), "boot");
    }
}
