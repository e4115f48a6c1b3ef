//! A compressed disk image, straight from the rack to the disk. One thread receives and unpacks, the other writes; runs
//! of zeroes are left to the device where it can make them itself. The first MiB, where partition table and boot loader
//! are, is held back as zeroes until everything else is on the disk and the hash was right.

use crate::blob::BlobReader;
use crate::erase::zero;
use crate::error::{Error, Result, io};
use crate::report::Report;
use rackwright_common::snapshot::BlobRef;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

const CHUNK: usize = 4 << 20;
const PIECE: usize = 1 << 20;
const HEAD: usize = 1 << 20;
/// Bytes after which everything so far is brought to the disk, so that percent means written.
const FLUSH: u64 = 256 << 20;

/// Writes the image to the device; when this is `Ok`, all of it is on the disk. `expected` is the unpacked size, 0 when
/// it is not known.
pub fn write_image(device: &Path, blob: &BlobRef, expected: u64, report: &Report) -> Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(device).map_err(io("open", device))?;
    zero(&file, 0, HEAD as u64).map_err(io("write", device))?;
    let (sender, receiver) = sync_channel(3);
    let written = thread::scope(|scope| {
        let unpacking = scope.spawn(|| unpack(blob, report, &sender_owned(sender)));
        let written = Writer::new(&file, device, expected, report).run(receiver);
        let unpacked = unpacking.join().map_err(|_| Error::refused("the unpacking thread died"))?;
        // When writing failed, the other side only saw that nobody takes its data.
        let (head, total) = written?;
        unpacked.map(|()| (head, total))
    });
    let finished = written.and_then(|(head, total)| {
        if expected != 0 && total != expected {
            return Err(Error::refused(format!("the image unpacks to {total} bytes instead of {expected}")));
        }
        file.sync_all().map_err(io("flush", device))?;
        file.write_all_at(&head, 0).map_err(io("write", device))?;
        file.sync_all().map_err(io("flush", device))
    });
    if finished.is_err() {
        wipe(&file, device);
    }
    finished
}

/// The sender goes with the thread, so that the writer sees the end when the thread ends.
fn sender_owned(sender: SyncSender<Vec<u8>>) -> SyncSender<Vec<u8>> {
    sender
}

/// Both ends, so that neither table nor backup table leads to a half-written system.
fn wipe(file: &File, device: &Path) {
    let size = crate::sys::block_size(file).or_else(|_| file.metadata().map(|m| m.len())).unwrap_or(0);
    let tail = size.saturating_sub(HEAD as u64) & !0xfff;
    let wiped = zero(file, 0, (HEAD as u64).min(size)).and_then(|()| zero(file, tail, size - tail));
    if let Err(error) = wiped.and_then(|()| file.sync_all()) {
        eprintln!("rackwright-agent: cannot wipe {}: {error}", device.display());
    }
}

/// Receives, unpacks, and hands over chunks; checks the hash at the end.
fn unpack(blob: &BlobRef, report: &Report, chunks: &SyncSender<Vec<u8>>) -> Result<()> {
    let unreadable = |e: std::io::Error| {
        report.check().err().unwrap_or_else(|| Error::refused(format!("the image cannot be unpacked: {e}")))
    };
    let mut decoder = zstd::Decoder::new(BlobReader::new(blob, report)).map_err(unreadable)?;
    loop {
        let mut chunk = vec![0; CHUNK];
        let mut filled = 0;
        let mut broken = None;
        while filled < CHUNK {
            match decoder.read(&mut chunk[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = broken {
            // Damage shows as an unpacking error first; the hash tells whether the image or the transfer is at fault.
            let reader = decoder.finish().into_inner();
            report.check()?;
            reader.finish()?;
            return Err(unreadable(error));
        }
        chunk.truncate(filled);
        if filled > 0 && chunks.send(chunk).is_err() {
            return Err(Error::refused("the disk takes no more data"));
        }
        if filled < CHUNK {
            return decoder.finish().into_inner().finish();
        }
    }
}

struct Writer<'a> {
    file: &'a File,
    device: &'a Path,
    expected: u64,
    report: &'a Report,
    started: Instant,
    told: Instant,
    offset: u64,
    flushed: u64,
    head: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(file: &'a File, device: &'a Path, expected: u64, report: &'a Report) -> Self {
        let now = Instant::now();
        Self {
            file,
            device,
            expected,
            report,
            started: now,
            told: now,
            offset: 0,
            flushed: 0,
            head: Vec::new(),
        }
    }

    /// Writes all chunks; gives back the beginning that was held back, and the size of it all.
    fn run(mut self, chunks: Receiver<Vec<u8>>) -> Result<(Vec<u8>, u64)> {
        for chunk in chunks {
            self.report.check()?;
            if self.expected != 0 && self.offset + chunk.len() as u64 > self.expected {
                let expected = self.expected;
                return Err(Error::refused(format!(
                    "the image unpacks to more than the {expected} bytes it should have"
                )));
            }
            self.write(&chunk).map_err(io("write", self.device))?;
            if self.offset - self.flushed >= FLUSH {
                self.file.sync_data().map_err(io("flush", self.device))?;
                self.flushed = self.offset;
            }
            self.tell();
        }
        Ok((self.head, self.offset))
    }

    fn write(&mut self, chunk: &[u8]) -> std::io::Result<()> {
        let mut rest = chunk;
        if self.offset == 0 {
            let (head, after) = chunk.split_at(HEAD.min(chunk.len()));
            self.head = head.to_vec();
            self.offset = head.len() as u64;
            rest = after;
        }
        for piece in rest.chunks(PIECE) {
            // A short last piece is no whole number of sectors for the device to zero.
            if piece.len() == PIECE && piece.iter().all(|byte| *byte == 0) {
                zero(self.file, self.offset, PIECE as u64)?;
            } else {
                self.file.write_all_at(piece, self.offset)?;
            }
            self.offset += piece.len() as u64;
        }
        Ok(())
    }

    fn tell(&mut self) {
        if self.told.elapsed() < Duration::from_millis(500) {
            return;
        }
        self.told = Instant::now();
        let mib = self.offset as f64 / f64::from(1 << 20);
        let speed = mib / self.started.elapsed().as_secs_f64().max(0.001);
        let percent = (self.expected > 0).then(|| self.offset as f32 / self.expected as f32 * 100.0);
        self.report.progress(percent, format!("writing the image: {mib:.0} MiB, {speed:.0} MiB/s"));
    }
}
