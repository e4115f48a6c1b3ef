//! The ephemeral environment is built from packages and boots to its agent. Needs the box's apt sources and QEMU.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::guest::{Guest, cache};
use rackwright_images::ephemeral::{self, EphemeralBuild, EphemeralRecipe};
use rackwright_images::{Error, Kernel};

const MAC: &str = "52:54:00:77:00:01";

/// Says what a real agent would find, and checks the tools that it calls. A shell of busybox takes its own mke2fs unless
/// the path is given; programs that are started in another way find the real one.
const PLACEHOLDER: &str = r#"#!/bin/sh
read up rest </proc/uptime
echo "AGENT uptime=$up address=$(ip -4 -o addr show dev eth0 | awk '{print $4}') lease=$(grep ^ip= /run/net/eth0.lease)"
printf 'label: gpt\nsize=32MiB,type=U\ntype=V\n' | sfdisk -q /dev/vda && echo "TOOL sfdisk"
mkfs.vfat /dev/vda1 >/dev/null 2>&1 && mount -t vfat /dev/vda1 /mnt && echo "TOOL vfat" && umount /mnt
pvcreate -q -y /dev/vda2 && vgcreate -q vg /dev/vda2 && lvcreate -q -y -l 100%FREE -n root vg && echo "TOOL lvm"
/usr/sbin/mke2fs -q -t ext4 /dev/vg/root && mount -t ext4 /dev/vg/root /mnt && echo "TOOL ext4"
echo hello | zstd -q | zstd -dq | grep -q hello && echo "TOOL zstd"
dropbearkey -t ed25519 -f /etc/dropbear/key >/dev/null 2>&1 && echo "TOOL dropbear"
modprobe loop && modprobe squashfs && modprobe overlay && echo "TOOL modules"
echo "AGENT done"
exit 7
"#;

fn build(folder: &Path, agent: &str) -> Result<EphemeralBuild, Error> {
    let path = folder.join("agent");
    fs::write(&path, agent).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let recipe = EphemeralRecipe::new(Kernel::Cloud, path, folder.join("out"), cache());
    ephemeral::build(&recipe, &mut |_| {})
}

fn arguments(build: &EphemeralBuild, disk: &Path) -> Vec<String> {
    let words = format!("console=ttyS0 quiet panic=5 no_timer_check BOOTIF=01-{}", MAC.replace(':', "-"));
    let drive = format!("file={},format=raw,if=none,id=d0", disk.display());
    let nic = format!("virtio-net-pci,netdev=n0,mac={MAC},romfile=");
    let text = |path: &PathBuf| path.display().to_string();
    [
        // QEMU's own network: its DHCP answers, and nothing leaves.
        ["-netdev", "user,id=n0,restrict=on"].map(str::to_owned),
        ["-device".into(), nic],
        ["-drive".into(), drive],
        ["-device", "virtio-blk-pci,drive=d0"].map(str::to_owned),
        ["-kernel".into(), text(&build.vmlinuz)],
        ["-initrd".into(), text(&build.initrd)],
        ["-append".into(), words],
    ]
    .concat()
}

#[test]
fn it_boots_to_the_agent_with_network_and_tools() {
    let folder = tempfile::tempdir().unwrap();
    let build = build(folder.path(), PLACEHOLDER).unwrap();
    let disk = folder.path().join("disk.raw");
    fs::File::create(&disk).unwrap().set_len(256 << 20).unwrap();
    let mut guest = Guest::start(&folder.path().join("serial"), &arguments(&build, &disk));

    let (console, seconds) = guest.wait_for("AGENT uptime=", Duration::from_secs(120));
    println!("power-on to agent: {seconds:.1} s");
    assert!(console.contains("rackwright-init: kernel"), "{console}");
    let (console, _) = guest.wait_for("AGENT done", Duration::from_secs(120));
    assert!(console.contains("address=10.0.2.15/24 lease=ip=10.0.2.15"), "{console}");
    for tool in ["sfdisk", "vfat", "lvm", "ext4", "zstd", "dropbear", "modules"] {
        assert!(console.contains(&format!("TOOL {tool}\n")), "{tool} does not work: {console}");
    }
    // An agent that ends is started again: the machine stays in reach.
    let (console, _) = guest.wait_for("starting it again", Duration::from_secs(30));
    assert!(console.contains("the agent ended with status 7"), "{console}");
    guest.wait_for("AGENT done\nrackwright-init: the agent ended", Duration::from_secs(60));
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_are_not_built_twice() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = build(one.path(), "#!/bin/sh\n").unwrap();
    assert!(!first.unchanged);
    assert!(build(one.path(), "#!/bin/sh\n").unwrap().unchanged);
    let second = build(two.path(), "#!/bin/sh\n").unwrap();
    assert!(!second.unchanged);
    assert_eq!(second.manifest, first.manifest);
    let changed = build(one.path(), "#!/bin/sh\n# another\n").unwrap();
    assert!(!changed.unchanged);
    assert_ne!(changed.manifest.files[1].sha256, first.manifest.files[1].sha256);
    assert_eq!(changed.manifest.files[0], first.manifest.files[0]);
}

#[test]
fn an_agent_that_needs_libraries_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let recipe =
        EphemeralRecipe::new(Kernel::Cloud, "/usr/bin/env".into(), folder.path().join("out"), cache());
    let error = ephemeral::build(&recipe, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("linked to shared libraries") && error.contains("libc.so.6"), "{error}");
}
