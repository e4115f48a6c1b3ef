//! The Debian image starts under BIOS, UEFI and UEFI Secure Boot, to a login prompt on the serial console. Takes about five
//! minutes and needs the box's apt sources, mmdebstrap, QEMU and OVMF.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::guest::{Guest, cache};
use rackwright_images::debian::{self, OsRecipe};

fn boot(disk: &Path, firmware: &str, folder: &Path) -> f32 {
    let serial = folder.join(format!("serial-{firmware}"));
    let mut arguments: Vec<String> =
        ["-nic", "none", "-device", "virtio-blk-pci,drive=d0"].map(str::to_owned).to_vec();
    arguments
        .extend(["-drive".into(), format!("file={},format=raw,if=none,id=d0,snapshot=on", disk.display())]);
    let flash = |code: &str, variables: &str| {
        let copy = folder.join(format!("variables-{firmware}"));
        fs::copy(variables, &copy).unwrap();
        [
            "-drive".to_owned(),
            format!("if=pflash,format=raw,readonly=on,file={code}"),
            "-drive".to_owned(),
            format!("if=pflash,format=raw,file={}", copy.display()),
        ]
    };
    match firmware {
        "uefi" => {
            arguments.extend(["-machine", "q35"].map(str::to_owned));
            arguments.extend(flash("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"));
        }
        "uefi-secure-boot" => {
            let secure = "driver=cfi.pflash01,property=secure,value=on";
            arguments.extend(["-machine", "q35,smm=on", "-global", secure].map(str::to_owned));
            arguments
                .extend(flash("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"));
        }
        _ => {}
    }
    let mut guest = Guest::start(&serial, &arguments);
    let (console, seconds) = guest.wait_for("login:", Duration::from_secs(300));
    if firmware == "uefi-secure-boot" {
        assert!(
            console.contains("Secure boot enabled") || console.contains("Kernel is locked down"),
            "{console}"
        );
    }
    seconds
}

#[test]
#[ignore = "takes five minutes and downloads 120 MB; run with --ignored"]
fn the_disk_boots_under_every_firmware() {
    let folder = tempfile::tempdir().unwrap();
    let out = cache().join("debian-12");
    let build = debian::build(&OsRecipe::new("debian-12", out, cache()), &mut |_| {}).unwrap();
    let disk = folder.path().join("disk.raw");
    let unpacked =
        Command::new("zstd").args(["-q", "-d"]).arg(&build.disk).arg("-o").arg(&disk).status().unwrap();
    assert!(unpacked.success());
    assert_eq!(fs::metadata(&disk).unwrap().len(), build.manifest.images[1].uncompressed_size);
    for firmware in &build.manifest.boot_loaders {
        println!("{firmware}: login prompt after {:.0} s", boot(&disk, firmware, folder.path()));
    }
}
