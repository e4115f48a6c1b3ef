//! What a snapshot lists: exactly this may be served.

use rackwright_common::snapshot::{BlobRef, BootDecision, Snapshot};

/// Every blob of the snapshot, pinned ones first; a blob may occur more than once.
pub fn listed(snapshot: &Snapshot) -> impl Iterator<Item = &BlobRef> {
    let decided = snapshot.hosts.iter().filter_map(|host| match &host.boot {
        BootDecision::Ephemeral(boot) => Some(boot),
        BootDecision::Local | BootDecision::PowerOff | BootDecision::Hold { .. } => None,
    });
    let boots = snapshot.enlist.iter().chain(decided).flat_map(|boot| [&boot.kernel, &boot.initrd]);
    snapshot.pinned.iter().chain(snapshot.boot_files.values()).chain(boots)
}

/// The blob with this hash, if the snapshot lists it.
pub fn find_listed<'a>(snapshot: &'a Snapshot, sha256: &str) -> Option<&'a BlobRef> {
    listed(snapshot).find(|blob| blob.sha256 == sha256)
}
