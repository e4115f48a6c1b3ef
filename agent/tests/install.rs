//! Installing a whole-disk image to a loop device: grown, configured, checked, and over again after an interruption.
//! Needs root, loop devices, sfdisk and e2fsprogs.
#![expect(clippy::unwrap_used, reason = "a test ends where its surroundings fail")]

mod rack;

use rack::World;
use rackwright_agent::install::mounts::Mount;
use rackwright_agent::install::{Target, to};
use rackwright_common::Secret;
use rackwright_common::agent::{ImageKind, InstallWork, MetadataSeed};
use rackwright_common::inventory::Disk;
use rackwright_common::network::{InterfacePlan, LinkMode, LinkPlan, NetworkPlan};
use rackwright_common::snapshot::BlobRef;
use rackwright_common::storage::StorageLayout;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MIB: u64 = 1 << 20;

fn run(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(input.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A loop device over a file full of something else; freed when dropped.
struct Loop(PathBuf);

impl Loop {
    fn new(file: &Path) -> Option<Self> {
        fs::write(file, vec![0xaa; 128 << 20]).unwrap();
        run("losetup", &["-f", "--show", "-P", file.to_str()?], "").map(PathBuf::from).map(Self)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run("losetup", &["-d", &self.0.to_string_lossy()], "");
    }
}

/// A disk of 40 MiB: code in its first sector, a BIOS boot partition, a root file system.
fn image(folder: &Path) -> Option<Vec<u8>> {
    let root = folder.join("root");
    let put = |path: &str, text: &str| {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    };
    put("etc/os-release", "ID=debian\n");
    put("etc/cloud/cloud.cfg", "users: [default]\n");
    put("lib/systemd/systemd-timesyncd", "");
    put("etc/hosts", "127.0.0.1 localhost\n");
    put("boot/grub/grub.cfg", "menuentry a {\n\tlinux /boot/vmlinuz root=LABEL=rootfs\n}\n");
    let file = folder.join("image");
    fs::File::create(&file).unwrap().set_len(40 * MIB).unwrap();
    let table = "label: gpt\nstart=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\nstart=4096\n";
    let path = file.to_str()?;
    run("sfdisk", &["-q", path], table)?;
    let (offset, size) = (format!("offset={}", 4096 * 512), "36M");
    run("mke2fs", &["-q", "-F", "-t", "ext4", "-d", root.to_str()?, "-E", &offset, path, size], "")?;
    fs::OpenOptions::new().write(true).open(&file).unwrap().write_all_at(&[0xeb, 0x63, 0x90], 0).unwrap();
    fs::read(&file).ok()
}

fn work(image: BlobRef) -> InstallWork {
    InstallWork {
        image,
        image_kind: ImageKind::Disk,
        uncompressed_size: 40 * MIB,
        layout: StorageLayout::default(),
        hostname: "node-7".into(),
        network: NetworkPlan {
            interfaces: vec![InterfacePlan {
                mac: "52:54:00:00:00:01".parse().unwrap(),
                name: "eth0".into(),
                mode: LinkMode::Dhcp,
                link: LinkPlan::default(),
            }],
            ..NetworkPlan::default()
        },
        metadata: MetadataSeed {
            metadata_url: "http://192.0.2.1:5248/MAAS/metadata/".into(),
            status_url: "http://192.0.2.1:5248/MAAS/metadata/status/abc123".into(),
            consumer_key: Secret::new("ck".into()),
            token_key: Secret::new("tk".into()),
            token_secret: Secret::new("ts".into()),
        },
        kernel_arguments: "console=ttyS0".into(),
        ntp_servers: vec!["192.0.2.1".parse().unwrap()],
    }
}

#[test]
fn a_whole_disk_image_is_written_grown_and_configured() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path()).expect("sfdisk and mke2fs are installed");
    let device = Loop::new(&folder.path().join("disk")).expect("root may attach a loop device");
    let world = World::new(1);
    let report = world.report();
    let work = work(world.blob(zstd::encode_all(&image[..], 1).unwrap()));
    let name = device.0.file_name().unwrap().to_str().unwrap().to_owned();
    let disk = Disk { name, size_bytes: 128 * MIB, sector_bytes: 512, ..Disk::default() };
    let mount = folder.path().join("target");
    let target = |efi| Target {
        work: &work,
        disk: disk.clone(),
        device: device.0.clone(),
        mount: mount.clone(),
        efi,
        report: &report,
    };
    // Twice: a machine that was pulled in the middle is given the item again.
    to(&target(false)).unwrap();
    to(&target(false)).unwrap();

    let root = PathBuf::from(format!("{}p2", device.0.display()));
    let size = run("blockdev", &["--getsize64", root.to_str().unwrap()], "").unwrap();
    assert!(size.parse::<u64>().unwrap() > 120 * MIB, "the partition fills the disk: {size}");
    let mounted = Mount::new(&root, &mount, "ext4", true).unwrap();
    let read = |path: &str| fs::read_to_string(mount.join(path)).unwrap();
    assert_eq!(read("etc/hostname"), "node-7\n");
    assert!(read("etc/cloud/cloud.cfg.d/90_rackwright.cfg").starts_with("datasource_list: [ MAAS ]\n"));
    let secret = fs::metadata(mount.join("etc/cloud/cloud.cfg.d/90_rackwright.cfg")).unwrap();
    assert_eq!(secret.permissions().mode() & 0o777, 0o600);
    let network: serde_json::Value =
        serde_json::from_str(&read("etc/cloud/cloud.cfg.d/91_rackwright_network.cfg")).unwrap();
    assert_eq!(network["network"]["ethernets"]["eth0"]["dhcp4"], true);
    let time = "ntp: {enabled: true, servers: [\"192.0.2.1\"]}\n";
    assert_eq!(read("etc/cloud/cloud.cfg.d/92_rackwright_time.cfg"), time);
    assert!(read("boot/grub/grub.cfg").contains("root=LABEL=rootfs console=ttyS0\n"));
    let free = nix::sys::statvfs::statvfs(&mount).unwrap();
    assert!(free.blocks() * free.fragment_size() > 100 * MIB, "the file system fills the partition");
    mounted.unmount().unwrap();

    let error = to(&target(true)).unwrap_err();
    assert!(error.to_string().contains("no EFI system partition"), "{error}");
}
