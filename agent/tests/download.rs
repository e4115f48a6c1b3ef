//! Writing a whole-disk image: racks die in the middle, images are damaged, sizes are wrong. The target is a plain file.
#![expect(clippy::unwrap_used, reason = "a test ends where its surroundings fail")]

mod rack;

use rack::{Fault, World};
use rackwright_agent::install::stream::write_image;
use rackwright_agent::install::until_undamaged;
use rackwright_common::snapshot::BlobRef;
use std::path::PathBuf;

const MIB: usize = 1 << 20;

/// Twelve MiB with a beginning, noise that does not compress, and holes.
fn image() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = vec![0; 12 * MIB];
    for (index, byte) in bytes.iter_mut().enumerate() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if index < 512 || !(3 * MIB..9 * MIB).contains(&index) {
            *byte = state as u8;
        }
    }
    bytes
}

struct Disk {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

/// A disk of 16 MiB full of an older system.
fn disk() -> Disk {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    std::fs::write(&path, vec![0xaa; 16 * MIB]).unwrap();
    Disk { _folder: folder, path }
}

fn compressed(world: &World, image: &[u8]) -> BlobRef {
    world.blob(zstd::encode_all(image, 1).unwrap())
}

#[test]
fn the_image_is_on_the_disk_byte_by_byte() {
    let (world, disk, image) = (World::new(1), disk(), image());
    let blob = compressed(&world, &image);
    write_image(&disk.path, &blob, image.len() as u64, &world.report()).unwrap();
    let written = std::fs::read(&disk.path).unwrap();
    assert!(written[..12 * MIB] == image, "the image");
    assert!(written[12 * MIB..].iter().all(|byte| *byte == 0xaa), "what is behind it is not touched");
}

#[test]
fn a_rack_that_dies_in_the_middle_is_followed_by_the_next_at_the_same_byte() {
    let (world, disk, image) = (World::new(2), disk(), image());
    let blob = compressed(&world, &image);
    let mut cuts = vec![2_000_000, 1_000_000, 1];
    let path = disk.path.clone();
    world.hook(move |request| {
        if !request.path.starts_with("/blob/") {
            return None;
        }
        let head = &std::fs::read(&path).unwrap()[..MIB];
        assert!(
            head.iter().all(|byte| *byte == 0),
            "no boot sector before the end, whenever the power fails"
        );
        cuts.pop().map(Fault::Cut)
    });
    write_image(&disk.path, &blob, image.len() as u64, &world.report()).unwrap();
    assert!(std::fs::read(&disk.path).unwrap()[..12 * MIB] == image);
    let asked: Vec<(usize, u64)> = world
        .state()
        .requests
        .iter()
        .filter(|r| r.path.starts_with("/blob/"))
        .map(|r| (r.rack, r.start))
        .collect();
    assert_eq!(asked, [(0, 0), (1, 1), (0, 1_000_001), (1, 3_000_001)]);
}

#[test]
fn racks_that_are_away_or_serve_no_ranges_only_delay() {
    let (world, disk, image) = (World::new(2), disk(), image());
    let blob = compressed(&world, &image);
    let mut seen = 0;
    world.hook(move |request| {
        if !request.path.starts_with("/blob/") {
            return None;
        }
        seen += 1;
        match seen {
            1 => Some(Fault::Cut(500_000)),
            5 | 6 => Some(Fault::Cut(0)),
            2 => Some(Fault::Status(503)),
            3 => Some(Fault::Close),
            4 => Some(Fault::Status(404)),
            _ => Some(Fault::IgnoreRange),
        }
    });
    write_image(&disk.path, &blob, image.len() as u64, &world.report()).unwrap();
    assert!(std::fs::read(&disk.path).unwrap()[..12 * MIB] == image);
}

#[test]
fn a_damaged_image_never_boots() {
    for at in [1_000_000, 5] {
        let (world, disk, image) = (World::new(1), disk(), image());
        let blob = compressed(&world, &image);
        world.hook(move |request| request.path.starts_with("/blob/").then_some(Fault::Flip(at)));
        let error = write_image(&disk.path, &blob, image.len() as u64, &world.report()).unwrap_err();
        assert!(error.to_string().contains("the download is damaged: its SHA-256 is"), "{error}");
        let written = std::fs::read(&disk.path).unwrap();
        assert!(written[..MIB].iter().all(|byte| *byte == 0), "the first MiB is wiped");
        assert!(written[15 * MIB..].iter().all(|byte| *byte == 0), "the last MiB is wiped");
    }
}

#[test]
fn damage_on_the_way_is_written_over_and_the_rack_is_asked_to_look_at_its_copy() {
    let (world, disk, image) = (World::new(1), disk(), image());
    let blob = compressed(&world, &image);
    let mut flips = vec![5, 1_000_000];
    world.hook(move |request| {
        request.path.starts_with("/blob/").then(|| flips.pop()).flatten().map(Fault::Flip)
    });
    let report = world.report();
    until_undamaged(&report, || write_image(&disk.path, &blob, image.len() as u64, &report)).unwrap();
    assert!(std::fs::read(&disk.path).unwrap()[..12 * MIB] == image);
    let doubts: Vec<bool> =
        world.state().requests.iter().filter(|r| r.path.starts_with("/blob/")).map(|r| r.doubt).collect();
    assert_eq!(doubts, [false, true, true]);
}

#[test]
fn what_stays_damaged_is_given_up() {
    let (world, disk, image) = (World::new(1), disk(), image());
    let blob = compressed(&world, &image);
    world.hook(|request| request.path.starts_with("/blob/").then_some(Fault::Flip(77)));
    let report = world.report();
    let error = until_undamaged(&report, || write_image(&disk.path, &blob, image.len() as u64, &report));
    assert!(error.unwrap_err().to_string().contains("the download is damaged"));
    assert_eq!(world.state().requests.iter().filter(|r| r.path.starts_with("/blob/")).count(), 3);
    assert!(std::fs::read(&disk.path).unwrap()[..MIB].iter().all(|byte| *byte == 0), "it does not boot");
}

#[test]
fn an_image_that_is_not_what_it_says_is_refused() {
    let image = image();
    for (expected, said) in
        [(11 * MIB, "more than the"), (13 * MIB, "unpacks to 12582912 bytes instead of 13631488")]
    {
        let (world, disk) = (World::new(1), disk());
        let blob = compressed(&world, &image);
        let error = write_image(&disk.path, &blob, expected as u64, &world.report()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(std::fs::read(&disk.path).unwrap()[..MIB].iter().all(|byte| *byte == 0));
    }
    let (world, disk) = (World::new(1), disk());
    let blob = world.blob(image);
    let error = write_image(&disk.path, &blob, 0, &world.report()).unwrap_err();
    assert!(error.to_string().contains("cannot be unpacked"), "{error}");
}

#[test]
fn a_withdrawn_token_ends_the_download() {
    let (world, disk, image) = (World::new(1), disk(), image());
    let blob = compressed(&world, &image);
    world.hook(|request| {
        Some(if request.path.starts_with("/blob/") { Fault::Status(503) } else { Fault::Status(401) })
    });
    let error = write_image(&disk.path, &blob, image.len() as u64, &world.report()).unwrap_err();
    assert!(error.to_string().contains("withdrawn"), "{error}");
}
