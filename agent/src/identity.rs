//! Identifiers: of this boot, and new ones for file systems.
//!
//! They come from the kernel's files and a hash, not from its random number generator: a machine without a hardware
//! source of randomness may take minutes after its start until that gives anything, and nothing here is a secret.

use crate::inventory;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::SystemTime;
use uuid::{Builder, Uuid};

/// New with each boot.
pub fn boot_id(root: &Path) -> Uuid {
    let text = inventory::text(&root.join("proc/sys/kernel/random/boot_id"));
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| fresh(root, "boot"))
}

/// A new one with each call. `what` tells apart calls, and should name something of this machine.
pub fn fresh(root: &Path, what: &str) -> Uuid {
    let kernel = inventory::text(&root.join("proc/sys/kernel/random/uuid")).unwrap_or_default();
    let boot = inventory::text(&root.join("proc/sys/kernel/random/boot_id")).unwrap_or_default();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let hash = Sha256::digest(format!("{kernel} {boot} {now} {what}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_never_the_same() {
        let root = tempfile::tempdir().unwrap();
        assert_ne!(fresh(root.path(), "a"), fresh(root.path(), "a"));
        assert_eq!(fresh(root.path(), "a").get_version_num(), 4);
    }
}
