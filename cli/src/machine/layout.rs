//! How a disk is laid out, as options: what is not named stays as it is stored with the machine.

use rackwright_common::storage::{LayoutKind, StorageLayout};

/// The options.
#[derive(Debug, clap::Args)]
pub struct LayoutOptions {
    /// How the disk is laid out: the image's own partitions, or `flat`, or `lvm`.
    #[arg(long, value_parser = ["image", "flat", "lvm"])]
    layout: Option<String>,
    /// Serial number of the disk to install to; empty for the smallest suitable one.
    #[arg(long)]
    disk: Option<String>,
    /// Size of the root file system, MiB; 0 for all there is.
    #[arg(long)]
    root_mib: Option<u64>,
}

impl LayoutOptions {
    /// Whether anything was named.
    pub fn is_named(&self) -> bool {
        self.layout.is_some() || self.disk.is_some() || self.root_mib.is_some()
    }

    /// What was named, over what there was.
    pub fn over(self, old: StorageLayout) -> StorageLayout {
        StorageLayout {
            kind: match self.layout.as_deref() {
                Some("flat") => LayoutKind::Flat,
                Some("lvm") => LayoutKind::Lvm,
                Some(_) => LayoutKind::Image,
                None => old.kind,
            },
            disk_serial: self.disk.map_or(old.disk_serial, |serial| Some(serial).filter(|s| !s.is_empty())),
            root_mib: self.root_mib.map_or(old.root_mib, |size| Some(size).filter(|s| *s > 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let old =
            StorageLayout { kind: LayoutKind::Lvm, disk_serial: Some("S1".into()), root_mib: Some(4096) };
        let named = |layout: Option<&str>, disk: Option<&str>, root_mib| LayoutOptions {
            layout: layout.map(str::to_owned),
            disk: disk.map(str::to_owned),
            root_mib,
        };
        let flat = named(Some("flat"), None, None).over(old.clone());
        assert_eq!(flat, StorageLayout { kind: LayoutKind::Flat, ..old.clone() });
        let any = named(None, Some(""), Some(0)).over(old);
        assert_eq!(any, StorageLayout { kind: LayoutKind::Lvm, disk_serial: None, root_mib: None });
        assert!(!named(None, None, None).is_named() && named(None, Some(""), None).is_named());
    }
}
