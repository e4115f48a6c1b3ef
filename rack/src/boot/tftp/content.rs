//! What a TFTP name stands for.

use super::super::{BootContext, grub, is_optional, plain_name};
use crate::cache::{CacheError, find_listed};
use bytes::Bytes;
use rackwright_common::link::BootStage;
use rackwright_common::snapshot::BlobRef;
use rackwright_tftp::{Mode, Request, to_netascii};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// Read from the disk at a time.
const CHUNK: u64 = 256 * 1024;
/// Text is translated in memory; nobody wants larger text.
const NETASCII_MAX: u64 = 16 << 20;
/// How long a client that repeats its request is kept hoping for a blob that is not here yet.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a name is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Missing {
    #[error("no such file")]
    NotFound,
    #[error("this file is only given in octet mode")]
    OctetOnly,
    #[error("not here yet, ask again later")]
    Later(#[from] CacheError),
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
}

/// The step to tell once it has been delivered.
pub(super) type Step = (BootStage, String);

/// A file, or text made for this client.
pub(super) struct Content {
    source: Source,
    size: u64,
    chunk: (u64, Bytes),
}

enum Source {
    Memory,
    File(Arc<File>),
}

impl Content {
    fn memory(bytes: Bytes) -> Self {
        Self { source: Source::Memory, size: bytes.len() as u64, chunk: (0, bytes) }
    }

    /// Bytes of the whole.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// `length` bytes from `offset` on.
    pub(super) async fn read(&mut self, offset: u64, length: u16) -> io::Result<Bytes> {
        let end = offset + u64::from(length);
        let (start, held) = (self.chunk.0, self.chunk.1.len() as u64);
        if offset < start || end > start + held {
            let Source::File(file) = &self.source else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            let (file, want) = (file.clone(), CHUNK.min(self.size.saturating_sub(offset)));
            let read = tokio::task::spawn_blocking(move || read_at(&file, offset, want)).await;
            self.chunk = (offset, read.map_err(io::Error::other)??);
        }
        let from = usize::try_from(offset - self.chunk.0).map_err(io::Error::other)?;
        let to = from + usize::from(length);
        if to > self.chunk.1.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.chunk.1.slice(from..to))
    }
}

fn read_at(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.into())
}

/// Opens what `request` names.
pub(super) async fn open(
    context: &BootContext,
    local: IpAddr,
    peer: IpAddr,
    request: &Request,
) -> Result<(Content, Step), Missing> {
    let name = plain_name(&request.file);
    let found = find(context, local, peer, &name).await;
    if matches!(found, Err(Missing::NotFound)) && !is_optional(&name) {
        context.told(peer, BootStage::Refused, format!("TFTP: no file {name:?}"));
    }
    let (content, step) = found?;
    match request.mode {
        Mode::Octet => Ok((content, step)),
        Mode::Netascii => Ok((translate(content).await?, step)),
    }
}

async fn find(
    context: &BootContext,
    local: IpAddr,
    peer: IpAddr,
    name: &str,
) -> Result<(Content, Step), Missing> {
    let snapshot = context.world.snapshot();
    if name == "grub/grub.cfg" {
        let step = (BootStage::Loader, "grub.cfg".to_owned());
        return Ok((Content::memory(Bytes::from_static(grub::entry().as_bytes())), step));
    }
    if let Some(mac) = grub::mac_in_name(name) {
        context.seen.identify(peer, Some(mac), None);
        let script = grub::script(&snapshot, mac, &SocketAddr::new(local, context.http_port).to_string());
        return Ok((Content::memory(script.text.into()), (script.stage, script.detail)));
    }
    if let Some(sha256) = name.strip_prefix("blob/") {
        let blob = find_listed(&snapshot, sha256).ok_or(Missing::NotFound)?;
        let stage = super::super::stage_of(&snapshot, blob).unwrap_or(BootStage::Loader);
        let step = (stage, format!("{} bytes by TFTP, {}", blob.size, sha256.get(..12).unwrap_or_default()));
        return Ok((blob_content(context, blob).await?, step));
    }
    let blob = snapshot.boot_files.get(name).ok_or(Missing::NotFound)?;
    let step = (BootStage::Loader, format!("{name}, {} bytes by TFTP", blob.size));
    Ok((blob_content(context, blob).await?, step))
}

async fn blob_content(context: &BootContext, blob: &BlobRef) -> Result<Content, Missing> {
    let file = context.cache.open_complete(blob, PATIENCE).await?;
    Ok(Content { source: Source::File(Arc::new(file)), size: blob.size, chunk: (0, Bytes::new()) })
}

async fn translate(content: Content) -> Result<Content, Missing> {
    if content.size > NETASCII_MAX {
        return Err(Missing::OctetOnly);
    }
    let bytes = match content.source {
        Source::Memory => content.chunk.1,
        Source::File(file) => {
            let read = tokio::task::spawn_blocking(move || read_at(&file, 0, content.size)).await;
            read.map_err(io::Error::other)??
        }
    };
    Ok(Content::memory(to_netascii(&bytes).into()))
}
