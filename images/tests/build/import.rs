//! Images that qemu-img made are taken in; one that leads to another file of the box is not.

use std::fs;
use std::path::Path;
use std::process::Command;

use rackwright_images::debian::ImageKind;
use rackwright_images::import::{Compression, Content, convert, inspect};

fn run(program: &str, arguments: &[&str], folder: &Path) {
    let status = Command::new(program).args(arguments).current_dir(folder).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

/// A disk of 8 MiB with a GPT made by sfdisk.
fn disk(folder: &Path) {
    fs::File::create(folder.join("disk.raw")).unwrap().set_len(8 << 20).unwrap();
    run("sh", &["-c", "echo 'label: gpt' | PATH=$PATH:/sbin sfdisk -q disk.raw"], folder);
}

#[test]
fn a_compressed_qcow2_becomes_the_disk_it_was_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    disk(path);
    run("qemu-img", &["convert", "-c", "-O", "qcow2", "disk.raw", "named.tar"], path);
    run("xz", &["-k", "named.tar"], path);
    for (name, compression) in [("named.tar", Compression::None), ("named.tar.xz", Compression::Xz)] {
        let imported = convert(&path.join(name), &path.join("out"), None, &mut |_| {}).unwrap();
        assert_eq!(imported.detected.compression, compression);
        assert_eq!(imported.detected.content, Content::Qcow2 { virtual_size: 8 << 20 });
        assert_eq!((imported.file.kind, imported.file.uncompressed_size), (ImageKind::Disk, 8 << 20));
        run("zstd", &["-q", "-d", "-f", "out/disk.raw.zst", "-o", "back.raw"], path);
        assert_eq!(fs::read(path.join("back.raw")).unwrap(), fs::read(path.join("disk.raw")).unwrap());
        let left: Vec<_> = fs::read_dir(path.join("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["disk.raw.zst"]);
    }
}

#[test]
fn a_qcow2_with_a_backing_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    disk(path);
    run("qemu-img", &["create", "-q", "-f", "qcow2", "-b", "disk.raw", "-F", "raw", "thin.qcow2"], path);
    let error =
        convert(&path.join("thin.qcow2"), &path.join("out"), None, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("backing file"), "{error}");
}

#[test]
fn tars_of_other_programs_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("etc")).unwrap();
    fs::write(path.join("etc/os-release"), "ID=x\n").unwrap();
    for (flag, compression) in
        [("-cf", Compression::None), ("-czf", Compression::Gzip), ("-cJf", Compression::Xz)]
    {
        run("tar", &[flag, "image.bin", "etc"], path);
        let found = inspect(&path.join("image.bin")).unwrap();
        assert_eq!((found.compression, found.content), (compression, Content::Tar));
    }
}
