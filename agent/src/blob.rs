//! Downloading a blob from whichever rack has it: a broken or stalled connection is taken up where it ended, at the next
//! rack, for as long as it takes. The hash over everything received decides at the end whether it was the blob.

use crate::error::{Error, Result};
use crate::link::{Backoff, LinkError};
use crate::report::Report;
use rackwright_common::snapshot::BlobRef;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// When every rack has said for this long that it has no such blob, there is none.
const MISSING: Duration = Duration::from_secs(60);

/// Reads a blob from its beginning to its end.
pub struct BlobReader {
    blob: BlobRef,
    report: Report,
    current: Option<Box<dyn Read + Send>>,
    turn: usize,
    hash: Sha256,
    received: Arc<AtomicU64>,
    opened_at: u64,
    missing: Option<Backoff>,
    waiting: Option<Backoff>,
}

impl BlobReader {
    /// Nothing is asked for before the first read.
    pub fn new(blob: &BlobRef, report: &Report) -> Self {
        Self {
            blob: blob.clone(),
            report: report.clone(),
            current: None,
            turn: 0,
            hash: Sha256::new(),
            received: Arc::default(),
            opened_at: 0,
            missing: None,
            waiting: None,
        }
    }

    /// Bytes received so far, to be watched from another thread.
    pub fn received(&self) -> Arc<AtomicU64> {
        self.received.clone()
    }

    /// Reads what is left and checks the hash. After damage, racks are told to look at their copies from then on.
    pub fn finish(mut self) -> Result<()> {
        io::copy(&mut self, &mut io::sink()).map_err(|e| self.explain(e))?;
        let hash = hex::encode(self.hash.finalize());
        if hash == self.blob.sha256 {
            Ok(())
        } else {
            self.report.link().doubt();
            Err(Error::Damaged { expected: self.blob.sha256, actual: hash })
        }
    }

    /// The error behind a failed read.
    fn explain(&self, error: io::Error) -> Error {
        self.report.check().err().unwrap_or_else(|| Error::refused(error.to_string()))
    }

    fn offset(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Opens the next connection, however long that takes.
    fn connect(&mut self) -> io::Result<()> {
        let link = self.report.link().clone();
        loop {
            self.report.check().map_err(io::Error::other)?;
            let (why, is_missing) = match link.open_blob(&self.blob, self.offset(), self.turn) {
                Ok((skip, mut reader)) => match io::copy(&mut (&mut reader).take(skip), &mut io::sink()) {
                    Ok(skipped) if skipped == skip => {
                        self.current = Some(reader);
                        self.opened_at = self.offset();
                        self.missing = None;
                        return Ok(());
                    }
                    Ok(_) => ("the connection ended early".to_owned(), false),
                    Err(error) => (error.to_string(), false),
                },
                Err(LinkError::Refused(status)) => (format!("status {status}"), (400..500).contains(&status)),
                Err(error) => (error.to_string(), false),
            };
            self.turn += 1;
            if is_missing {
                let since = self.missing.get_or_insert_with(Backoff::new).elapsed();
                if since > MISSING {
                    let text = format!(
                        "no rack and no region has the file {} whole ({why}); load the image again",
                        self.blob.sha256
                    );
                    return Err(io::Error::other(text));
                }
            } else {
                self.missing = None;
            }
            // Every rack gets its turn before there is a pause.
            if self.turn.is_multiple_of(link.racks()) {
                self.waiting.get_or_insert_with(Backoff::new).sleep(&link, "download", &why);
            }
        }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.blob.size - self.offset();
            if left == 0 || buffer.is_empty() {
                return Ok(0);
            }
            if self.current.is_none() {
                self.connect()?;
            }
            let Some(reader) = &mut self.current else { continue };
            let limit = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let why = match reader.read(&mut buffer[..limit]) {
                Ok(0) => "the connection ended early".to_owned(),
                Ok(count) => {
                    self.hash.update(&buffer[..count]);
                    self.received.fetch_add(count as u64, Ordering::Relaxed);
                    self.waiting = None;
                    return Ok(count);
                }
                Err(error) => error.to_string(),
            };
            let offset = self.offset();
            self.report
                .log(&format!("download broke off at byte {offset} ({why}); going on at the next rack\n"));
            self.current = None;
            self.turn += 1;
            // Racks that take connections and send nothing are not asked in a circle.
            if offset == self.opened_at {
                let link = self.report.link().clone();
                self.waiting.get_or_insert_with(Backoff::new).sleep(&link, "download", &why);
            }
        }
    }
}
