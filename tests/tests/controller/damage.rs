//! Images that are damaged on the controller's disk: nobody ever gets a whole file that is not the right one without
//! its being noticed, the image is named with the cure, the others go on, and loading it again mends it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use anyhow::ensure;
use rackwright_lab::poll;
use rackwright_tests::site::{SHORT, Site};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// A machine's view of a file: what a rack gives to curl. `None` when curl did not get all of it.
fn fetch(site: &Site, sha256: &str, doubting: bool) -> Option<String> {
    let header = if doubting { "-H 'Cache-Control: no-cache'" } else { "" };
    let script = format!(
        "set -o pipefail; curl -sf -m 60 {header} http://10.77.0.1:5248/blob/{sha256} | sha256sum | cut -d' ' -f1"
    );
    let output = site.lab().exec("ctl", "bash").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

struct Image {
    initrd: String,
    kernel: String,
    /// The region's file of the initrd.
    file: PathBuf,
}

fn image(site: &Site) -> Image {
    let shown = site.ask(&["image", "show", "ephemeral"]).unwrap();
    let hash = |name: &str| {
        let mut files = shown["files"].as_array().unwrap().iter();
        files.find(|file| file["name"] == name).unwrap()["sha256"].as_str().unwrap().to_owned()
    };
    let initrd = hash("initrd");
    let file = site.data().join("images/blobs").join(&initrd);
    Image { initrd, kernel: hash("vmlinuz"), file }
}

fn flip_a_byte(image: &Image) {
    let file = OpenOptions::new().read(true).write(true).open(&image.file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 5_000_000).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 5_000_000).unwrap();
}

fn until_whole(site: &Site, image: &Image) {
    poll::until(SHORT, "the whole image", || {
        let listed = site.ask(&["image", "show", "ephemeral"])?;
        ensure!(listed["missing"].is_null(), "{listed}");
        for hash in [&image.initrd, &image.kernel] {
            let given = fetch(site, hash, false);
            ensure!(given.as_ref() == Some(hash), "{given:?} instead of {hash}");
        }
        Ok(Some(()))
    })
    .unwrap();
}

/// Until the region knows: the file is refused, the image is named.
fn until_noticed(site: &Site, image: &Image, doubting: bool) {
    poll::until(SHORT, "the damage to be noticed", || {
        if let Some(given) = fetch(site, &image.initrd, doubting) {
            ensure!(doubting, "{given} was given for {}", image.initrd);
        }
        let listed = site.ask(&["image", "show", "ephemeral"])?;
        ensure!(listed["missing"] == serde_json::json!(["initrd"]), "{listed}");
        Ok(Some(()))
    })
    .unwrap();
    assert_eq!(fetch(site, &image.initrd, false), None);
    assert_eq!(fetch(site, &image.kernel, false).as_ref(), Some(&image.kernel), "the others are given");
    let events = site.list(&["event", "list", "--limit", "200"]).unwrap();
    let told = events.iter().rev().find(|event| event["kind"] == "image.damaged").unwrap();
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("the file `initrd` of ephemeral@"), "{message}");
    assert!(message.contains("load the image again with `rackwright image load`"), "{message}");
}

#[test]
fn a_damaged_image_is_never_given_whole_is_named_and_is_mended_by_loading_it_again() {
    let site = Site::new("e2edamage", Vec::new(), &[]).unwrap();
    site.start().unwrap();
    site.load_images(&["ephemeral"]).unwrap();
    let image = image(&site);
    until_whole(&site, &image);

    flip_a_byte(&image);
    until_noticed(&site, &image, false);
    site.load_images(&["ephemeral"]).unwrap();
    until_whole(&site, &image);

    OpenOptions::new().write(true).open(&image.file).unwrap().set_len(1_000_000).unwrap();
    until_noticed(&site, &image, false);
    site.load_images(&["ephemeral"]).unwrap();
    until_whole(&site, &image);

    // As a failing disk does it: nothing tells, until whoever got the wrong bytes says so. The agent does.
    let before = image.file.metadata().unwrap().modified().unwrap();
    flip_a_byte(&image);
    File::options().write(true).open(&image.file).unwrap().set_modified(before).unwrap();
    until_noticed(&site, &image, true);
    site.load_images(&["ephemeral"]).unwrap();
    until_whole(&site, &image);

    // Damaged while nobody ran.
    site.kill().unwrap();
    flip_a_byte(&image);
    site.start().unwrap();
    until_noticed(&site, &image, false);
}
