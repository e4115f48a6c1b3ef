//! The line between region and rack: one gRPC service over mutual TLS, and the certificates it needs.
//!
//! A rack dials a region ([`LinkClient::connect`]) and opens one stream in each direction ([`LinkClient::attach`])
//! for everything small; blobs come over [`LinkClient::fetch`], best on a connection of their own, so that a
//! large image never delays a heartbeat. A region implements [`LinkServer`] and calls [`serve`].
//!
//! What holds: a [`LinkServer`] is called only for a peer that proved, with a certificate of this site's own
//! authority, which rack it is, or for blobs that it is another region; a rack speaks only to something that proved to be a region of that site.
//! Messages are JSON ([`rackwright_common::link`]) so that versions N and N + 1 understand each other; chunks
//! of blobs are bare bytes. There is no protobuf, so building needs no protoc.
//!
//! Left out: revoking a rack's certificate. The region knows its racks by name and refuses the others in
//! [`LinkServer::attach`].

mod ca;
mod client;
mod codec;
mod credentials;
mod error;
mod file;
mod server;

pub use ca::{Ca, CaError, KeyRequest};
pub use client::{LinkClient, LinkReceiver, LinkSender, Received};
pub use credentials::{Credentials, REGION_NAME, fingerprint, peer_rack_name};
pub use error::LinkError;
pub use file::{FileStamp, RESERVE, hash_file, is_full};
pub use server::{Chunks, Incoming, LinkServer, Outgoing, file_chunks, serve, serve_on};

use rackwright_common::link::ToRack;
use rackwright_common::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Asks for a blob, or the rest of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// Which: SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// Bytes to skip; a rack resumes where it stopped.
    pub offset: u64,
}

/// Largest message either side takes, bytes: a snapshot of some hundred thousand interfaces.
pub const MAX_MESSAGE: usize = 128 * 1024 * 1024;

/// The message that carries `snapshot`, with the hash of its JSON as it goes over the line.
pub fn snapshot_message(snapshot: Snapshot) -> Result<ToRack, serde_json::Error> {
    let sha256 = sha256_hex(&serde_json::to_vec(&snapshot)?);
    Ok(ToRack::Snapshot { snapshot: Box::new(snapshot), sha256 })
}

/// SHA-256 of `bytes`, lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
