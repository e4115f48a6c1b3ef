//! The boot loaders are collected from packages under the names that are served. Needs the box's apt sources.

use std::fs;

use rackwright_images::bootloaders::{BootLoaderRecipe, collect};

#[test]
fn every_client_finds_its_loader() {
    let out = tempfile::tempdir().unwrap();
    let recipe = BootLoaderRecipe {
        out: out.path().to_owned(),
        cache: crate::guest::cache(),
        mirror: None,
        release: "bookworm".to_owned(),
    };
    let manifest = collect(&recipe, &mut |_| {}).unwrap();
    let names: Vec<&str> = manifest.files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(
        names,
        ["undionly.kpxe", "snponly.efi", "ipxe.efi", "shimx64.efi", "mmx64.efi", "grubx64.efi"]
    );
    for file in &manifest.files {
        let bytes = fs::read(out.path().join(&file.name)).unwrap();
        assert_eq!(bytes.len() as u64, file.size);
        assert_eq!(bytes.starts_with(b"MZ"), file.name.ends_with(".efi"), "{}", file.name);
    }
    assert_eq!(collect(&recipe, &mut |_| {}).unwrap(), manifest);
}
