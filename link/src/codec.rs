//! How messages become bytes: JSON for messages, nothing at all for chunks of blobs.

use crate::client::Received;
use crate::server::CHUNK;
use crate::{FetchRequest, sha256_hex};
use bytes::{Buf, BufMut, Bytes};
use rackwright_common::link::{ToRack, ToRegion};
use rackwright_common::newer::FromNewer;
use serde::Deserialize;
use serde::ser::Serialize;
use serde_json::value::RawValue;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// A type that can be read from one frame.
pub(crate) trait FromFrame: Sized + Send + 'static {
    fn from_frame(bytes: &[u8]) -> Result<Self, serde_json::Error>;
}

/// Writes `E` and reads `D` as JSON.
pub(crate) struct JsonCodec<E, D>(PhantomData<fn() -> (E, D)>);

impl<E, D> Default for JsonCodec<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E: Serialize + Send + 'static, D: FromFrame> Codec for JsonCodec<E, D> {
    type Encode = E;
    type Decode = D;
    type Encoder = JsonEncoder<E>;
    type Decoder = JsonDecoder<D>;

    fn encoder(&mut self) -> Self::Encoder {
        JsonEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        JsonDecoder(PhantomData)
    }
}

pub(crate) struct JsonEncoder<E>(PhantomData<fn() -> E>);

impl<E: Serialize + Send + 'static> Encoder for JsonEncoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        serde_json::to_writer(buf.writer(), &item).map_err(|e| Status::internal(e.to_string()))
    }
}

pub(crate) struct JsonDecoder<D>(PhantomData<fn() -> D>);

impl<D: FromFrame> Decoder for JsonDecoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        let bytes = buf.copy_to_bytes(buf.remaining());
        D::from_frame(&bytes).map(Some).map_err(|e| Status::data_loss(format!("not a message: {e}")))
    }
}

/// The asking side of a fetch: JSON out, bytes in.
pub(crate) struct AskingCodec;

impl Codec for AskingCodec {
    type Encode = FetchRequest;
    type Decode = Bytes;
    type Encoder = JsonEncoder<FetchRequest>;
    type Decoder = Bare;

    fn encoder(&mut self) -> Self::Encoder {
        JsonEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Bare {
        Bare
    }
}

/// The giving side: JSON in, bytes out.
pub(crate) struct GivingCodec;

impl Codec for GivingCodec {
    type Encode = Bytes;
    type Decode = FetchRequest;
    type Encoder = Bare;
    type Decoder = JsonDecoder<FetchRequest>;

    fn encoder(&mut self) -> Bare {
        Bare
    }

    fn decoder(&mut self) -> Self::Decoder {
        JsonDecoder(PhantomData)
    }
}

/// Bytes as they are.
pub(crate) struct Bare;

impl Encoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(CHUNK + 1024, CHUNK)
    }
}

impl Decoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buf.copy_to_bytes(buf.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(CHUNK + 1024, CHUNK)
    }
}

impl FromFrame for ToRegion {
    fn from_frame(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        from_json(bytes)
    }
}

impl FromFrame for FetchRequest {
    fn from_frame(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// A message; one that is JSON and makes no sense here is of a newer version, and costs itself and not the stream.
fn from_json<T: FromNewer>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    match serde_json::from_slice(bytes) {
        Err(error) if error.is_data() => {
            tracing::warn!(%error, "a message that this version does not understand is left out");
            Ok(T::from_newer())
        }
        read => read,
    }
}

/// Only as much of a message as is needed to find the snapshot's own bytes.
#[derive(Deserialize)]
struct SnapshotFrame<'a> {
    #[serde(borrow)]
    snapshot: Option<&'a RawValue>,
}

/// The hash is compared with the bytes that arrived, not with what this version makes of them: a newer region
/// may send fields that this rack does not know.
impl FromFrame for Received {
    fn from_frame(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let message: ToRack = from_json(bytes)?;
        let intact = match &message {
            ToRack::Snapshot { sha256, .. } => {
                let frame: SnapshotFrame<'_> = serde_json::from_slice(bytes)?;
                frame.snapshot.is_some_and(|raw| sha256_hex(raw.get().as_bytes()) == *sha256)
            }
            _ => true,
        };
        Ok(Self { message, intact })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackwright_common::snapshot::Snapshot;

    #[test]
    fn a_message_of_a_newer_version_is_left_out_and_one_that_is_damaged_ends_the_stream() {
        for newer in [
            r#"{"type":"from-the-future","x":1}"#,
            r#"{"type":"welcome","region":7}"#,
            r#"{"type":"consoles","consoles":[{"machine":"abc234","driver":"telepathy"}]}"#,
        ] {
            assert_eq!(Received::from_frame(newer.as_bytes()).unwrap().message, ToRack::Unknown, "{newer}");
        }
        assert_eq!(ToRegion::from_frame(br#"{"type":"heartbeat"}"#).unwrap(), ToRegion::Unknown);
        for damaged in ["", "{", r#"{"type":"heartbeat""#, "\u{0}"] {
            assert!(ToRegion::from_frame(damaged.as_bytes()).is_err(), "{damaged:?}");
        }
    }

    fn frame(message: &ToRack) -> String {
        serde_json::to_string(message).unwrap()
    }

    #[test]
    fn a_snapshot_is_intact_when_its_bytes_have_the_hash_it_came_with() {
        let message = crate::snapshot_message(Snapshot { generation: 7, ..Snapshot::default() }).unwrap();
        let received = Received::from_frame(frame(&message).as_bytes()).unwrap();
        assert!(received.intact);
        assert_eq!(received.message, message);
        let broken = frame(&message).replace("\"generation\":7", "\"generation\":8");
        assert!(!Received::from_frame(broken.as_bytes()).unwrap().intact);
    }

    #[test]
    fn a_field_of_a_newer_version_does_not_break_the_hash() {
        let inner = r#"{"generation":9,"of_the_future":[1,2]}"#;
        let text = format!(
            r#"{{"type":"snapshot","snapshot":{inner},"sha256":"{}"}}"#,
            sha256_hex(inner.as_bytes())
        );
        let received = Received::from_frame(text.as_bytes()).unwrap();
        assert!(received.intact);
        assert!(matches!(received.message, ToRack::Snapshot { snapshot, .. } if snapshot.generation == 9));
    }

    #[test]
    fn a_message_of_a_newer_version_is_unknown_and_rubbish_is_an_error() {
        let received = Received::from_frame(br#"{"type":"dance","tempo":3}"#).unwrap();
        assert_eq!(received.message, ToRack::Unknown);
        assert!(Received::from_frame(b"\xff\x00").is_err());
        assert!(Received::from_frame(b"").is_err());
    }
}
