//! A root file system image: partitions by the layout, file systems, the archive unpacked, boot loaders for BIOS and for
//! UEFI (both, whatever this machine booted by).

use super::grow::{self, Partition};
use super::mounts::Mount;
use super::{Target, boot, disk, seed};
use crate::blob::BlobReader;
use crate::command;
use crate::erase::zero;
use crate::error::{Error, Result, io};
use crate::identity;
use crate::report::Report;
use rackwright_common::agent::InstallWork;
use rackwright_common::storage::{self, BIOS_BOOT_MIB, LayoutKind};
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use uuid::Uuid;

const MIB: u64 = 1 << 20;
const BIOS_BOOT: &str = "21686148-6449-6E6F-744E-656564454649";
const ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
const LINUX: &str = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";
const LVM: &str = "E6D6D379-F507-44C2-A23C-238F2A3DF928";
const LV: &str = "/dev/vgroot/lvroot";

/// Where the parts of the system are.
struct Layout {
    esp: PathBuf,
    root: PathBuf,
    root_uuid: Uuid,
    esp_id: String,
    lvm: bool,
}

/// Bytes a disk must have: the files, a fifth for the file system's own needs, and the small partitions.
pub fn needed(work: &InstallWork) -> u64 {
    let system = work.uncompressed_size.saturating_add(work.uncompressed_size / 5).saturating_add(128 * MIB);
    system.max(work.layout.root_mib.unwrap_or(0).saturating_mul(MIB).saturating_add(80 * MIB))
}

/// Installs the whole system.
pub fn install(target: &Target<'_>) -> Result<()> {
    let report = target.report;
    disk::wipe_signatures(&target.device, report);
    report.step("partitioning");
    let layout = partition(target)?;
    report.step("making file systems");
    make_file_systems(&layout)?;
    let root = Mount::new(&layout.root, &target.mount, "ext4", false)?;
    unpack(target)?;
    report.step("configuring the system");
    write_fstab(&target.mount, &layout)?;
    seed::write(&target.mount, target.work, report)?;
    report.step("installing boot loaders");
    super::loader::install(target, &layout.boot_facts())?;
    report.step("writing everything to the disk");
    root.unmount()?;
    sync(&target.device)?;
    if layout.lvm {
        command::run("vgchange", &["-an", "vgroot"]).ok();
    }
    report.step("checking what was written");
    check(target, &layout)
}

impl Layout {
    fn boot_facts(&self) -> super::loader::Facts<'_> {
        super::loader::Facts { esp: &self.esp, root: &self.root, root_uuid: self.root_uuid, lvm: self.lvm }
    }
}

fn sync(device: &Path) -> Result<()> {
    OpenOptions::new().write(true).open(device).and_then(|file| file.sync_all()).map_err(io("flush", device))
}

fn partition(target: &Target<'_>) -> Result<Layout> {
    let lvm = target.work.layout.kind == LayoutKind::Lvm;
    let device = target.device.as_path();
    let file = OpenOptions::new().read(true).write(true).open(device).map_err(io("open", device))?;
    zero(&file, 0, MIB).map_err(io("write", device))?;
    drop(file);
    let script = script(target.disk.size_bytes, lvm, target.work.layout.root_mib);
    let arguments = ["--no-reread", "--no-tell-kernel", "-q", "-w", "always", "-W", "always"].map(OsStr::new);
    command::run_with_input("sfdisk", &[&arguments[..], &[device.as_os_str()]].concat(), script.as_bytes())?;
    let node = |number| disk::partition_node(device, number);
    disk::reread(device, &[node(1), node(2), node(3)])?;
    let root = if lvm { make_volume(&node(3), target.work.layout.root_mib)? } else { node(3) };
    let serial = disk::label(&target.disk);
    let root_uuid = identity::fresh(Path::new("/"), &serial);
    let esp_id = hex::encode_upper(&identity::fresh(Path::new("/"), "esp").as_bytes()[..4]);
    Ok(Layout { esp: node(2), root, root_uuid, esp_id, lvm })
}

/// The partition table for sfdisk. On LVM the whole rest is the physical volume, and the size is the logical one's.
fn script(size: u64, lvm: bool, root_mib: Option<u64>) -> String {
    let esp = storage::esp_mib(size);
    let root = match (lvm, root_mib) {
        (false, Some(mib)) => format!("size={mib}MiB, type={LINUX}"),
        (false, None) => format!("type={LINUX}"),
        (true, _) => format!("type={LVM}"),
    };
    format!("label: gpt\nsize={BIOS_BOOT_MIB}MiB, type={BIOS_BOOT}\nsize={esp}MiB, type={ESP}\n{root}\n")
}

fn make_volume(node: &Path, root_mib: Option<u64>) -> Result<PathBuf> {
    command::run("modprobe", &["-q", "dm_mod"]).ok();
    // A group of this name on another disk is what an earlier installation left there.
    command::run("vgremove", &["-ff", "-y", "vgroot"]).ok();
    command::run("pvcreate", &[OsStr::new("-ff"), OsStr::new("-y"), node.as_os_str()])?;
    command::run("vgcreate", &[OsStr::new("vgroot"), node.as_os_str()])?;
    let size = root_mib
        .map_or_else(|| ["-l".to_owned(), "100%FREE".to_owned()], |mib| ["-L".to_owned(), format!("{mib}m")]);
    let arguments = ["-y", "-W", "y", "-n", "lvroot", size[0].as_str(), size[1].as_str(), "vgroot"];
    command::run("lvcreate", &arguments)?;
    command::run("vgscan", &["--mknodes"]).ok();
    Ok(PathBuf::from(LV))
}

fn make_file_systems(layout: &Layout) -> Result<()> {
    let esp: Vec<OsString> =
        ["-F", "32", "-s", "1", "-n", "ESP", "-i", &layout.esp_id].iter().map(OsString::from).collect();
    let large =
        fs::File::open(&layout.esp).and_then(|file| crate::sys::block_size(&file)).unwrap_or(0) > 256 * MIB;
    let esp = if large { esp.into_iter().filter(|a| a != "-s" && a != "1").collect() } else { esp };
    command::run("mkfs.vfat", &[esp, vec![layout.esp.clone().into()]].concat())?;
    let uuid = layout.root_uuid.to_string();
    let options = "lazy_itable_init=1,lazy_journal_init=1";
    let ext4: Vec<OsString> = ["-q", "-F", "-t", "ext4", "-L", "rootfs", "-U", &uuid, "-E", options]
        .iter()
        .map(OsString::from)
        .collect();
    command::run("mke2fs", &[ext4, vec![layout.root.clone().into()]].concat()).map(drop)
}

/// Streams the archive through tar, which keeps owners, modes, links, device nodes and capabilities.
fn unpack(target: &Target<'_>) -> Result<()> {
    let (report, blob) = (target.report, &target.work.image);
    report.step("unpacking the image");
    let mut tar = command::command("tar");
    tar.args(["-x", "-p", "--numeric-owner"]);
    if command::find("tar").is_some_and(|path| path.canonicalize().is_ok_and(|p| !p.ends_with("busybox"))) {
        tar.args(["--xattrs", "--xattrs-include=*"]);
    }
    tar.arg("-C").arg(&target.mount).args(["-f", "-"]);
    tar.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = tar.spawn().map_err(io("start", Path::new("tar")))?;
    let stdin = child.stdin.take();
    // Its complaints must be read while it works, or a full pipe stops it.
    let stderr = child.stderr.take().map(|mut pipe| {
        std::thread::spawn(move || {
            let mut words = Vec::new();
            pipe.read_to_end(&mut words).ok();
            words
        })
    });
    let reader = BlobReader::new(blob, report);
    let fed = feed(reader, stdin, blob.size, report);
    let status = child.wait().map_err(io("wait for", Path::new("tar")))?;
    let stderr = stderr.and_then(|thread| thread.join().ok()).unwrap_or_default();
    report.check()?;
    match fed {
        // The pipe broke because tar stopped: its words are the reason.
        Err(Fed::Pipe(_)) if !status.success() => {}
        Err(Fed::Pipe(error)) => return Err(io("write to", Path::new("tar"))(error)),
        Err(Fed::Image(error)) => return Err(error),
        Ok(()) => {}
    }
    if status.success() {
        return Ok(());
    }
    Err(command::failure("tar", &std::process::Output { status, stdout: Vec::new(), stderr }))
}

enum Fed {
    Pipe(std::io::Error),
    Image(Error),
}

fn feed(
    reader: BlobReader,
    stdin: Option<impl Write>,
    size: u64,
    report: &Report,
) -> std::result::Result<(), Fed> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    let received = reader.received();
    let mut told = Instant::now();
    let mut decoder = zstd::Decoder::new(reader).map_err(Fed::Pipe)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => stdin.write_all(&buffer[..count]).map_err(Fed::Pipe)?,
            Err(error) => {
                decoder.finish().into_inner().finish().map_err(Fed::Image)?;
                return Err(Fed::Image(Error::refused(format!("the image cannot be unpacked: {error}"))));
            }
        }
        if told.elapsed() > Duration::from_millis(500) {
            told = Instant::now();
            let done = received.load(Ordering::Relaxed);
            let percent = (size > 0).then(|| done as f32 / size as f32 * 100.0);
            report.progress(percent, format!("unpacking the image: {} of {} MiB", done >> 20, size >> 20));
        }
    }
    decoder.finish().into_inner().finish().map_err(Fed::Image)
}

fn write_fstab(root: &Path, layout: &Layout) -> Result<()> {
    let source = if layout.lvm {
        "/dev/mapper/vgroot-lvroot".to_owned()
    } else {
        format!("UUID={}", layout.root_uuid)
    };
    let (high, low) = layout.esp_id.split_at(4);
    let text = format!(
        "# Written by Rackwright.\n{source} / ext4 defaults,errors=remount-ro 0 1\n\
         UUID={high}-{low} /boot/efi vfat umask=0077,nofail 0 2\n"
    );
    fs::create_dir_all(root.join("boot/efi")).map_err(io("create", &root.join("boot/efi")))?;
    seed::put(&root.join("etc/fstab"), &text, 0o644)
}

/// Reads back, past all caches, what was written.
fn check(target: &Target<'_>, layout: &Layout) -> Result<()> {
    command::run("blockdev", &[OsStr::new("--flushbufs"), target.device.as_os_str()]).ok();
    if layout.lvm {
        command::run("vgchange", &["-ay", "vgroot"])?;
        command::run("vgscan", &["--mknodes"]).ok();
    }
    let root = Mount::new(&layout.root, &target.mount, "ext4", true)?;
    let found = fs::read_to_string(target.mount.join(seed::CLOUD_CONFIG)).unwrap_or_default();
    let kernel = super::loader::newest_kernel(&target.mount);
    let configured = target.mount.join("boot/grub/grub.cfg").is_file();
    root.unmount()?;
    if layout.lvm {
        command::run("vgchange", &["-an", "vgroot"]).ok();
    }
    let expected = seed::cloud_config(&target.work.metadata, target.report.link().addresses());
    if found != expected || kernel.is_none() || !configured {
        return Err(Error::refused(format!(
            "disk {} does not give back what was written to it",
            target.disk.name
        )));
    }
    let (_, partitions): (String, Vec<Partition>) = grow::read_table(&target.device)?;
    boot::check(target, &partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_table_has_both_boot_partitions() {
        let text = script(4 * GIB, false, Some(2048));
        assert!(text.contains(&format!(
            "size=1MiB, type={BIOS_BOOT}\nsize=64MiB, type={ESP}\nsize=2048MiB, type={LINUX}\n"
        )));
        let text = script(100 * GIB, true, Some(2048));
        assert!(text.contains("size=512MiB") && text.ends_with(&format!("\ntype={LVM}\n")));
    }
}
