//! The rack's end: dial, attach, fetch.

use crate::codec::{AskingCodec, JsonCodec};
use crate::credentials::Credentials;
use crate::error::LinkError;
use crate::server::{ATTACH, FETCH};
use crate::{FetchRequest, MAX_MESSAGE};
use bytes::Bytes;
use rackwright_common::link::{ToRack, ToRegion};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::client::Grpc;
use tonic::codec::Codec;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A link that acknowledges nothing is given up after about twice this, even with no stream on it.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const QUEUE: usize = 256;
pub(crate) const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
pub(crate) const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// A connection to a region. TLS 1.3 lets a client believe that it is connected before the server has looked at
/// its certificate: only the first answer proves that it was accepted.
#[derive(Debug, Clone)]
pub struct LinkClient {
    channel: Channel,
}

/// A message of a region.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// What it says.
    pub message: ToRack,
    /// False for a snapshot whose bytes do not have the hash it came with.
    pub intact: bool,
}

/// Where a rack puts its messages; closed when the stream ends.
pub type LinkSender = mpsc::Sender<ToRegion>;

/// What comes from the region.
#[derive(Debug)]
pub struct LinkReceiver(Streaming<Received>);

impl LinkReceiver {
    /// The next message; `None` when the region ended the stream. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Received, LinkError>> {
        self.0.next().await.map(|item| item.map_err(LinkError::from))
    }
}

impl LinkClient {
    /// Dials `address` (`host:port`), and proves who both are.
    pub async fn connect(address: &str, credentials: &Credentials) -> Result<Self, LinkError> {
        let endpoint = Endpoint::from_shared(format!("https://{address}"))
            .map_err(|_| LinkError::Address(address.to_owned()))?
            .tls_config(credentials.client())
            .map_err(LinkError::Tls)?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let connect = endpoint.connect().await;
        let channel = connect.map_err(|source| LinkError::Connect { address: address.to_owned(), source })?;
        Ok(Self { channel })
    }

    /// Opens the stream of messages. The first one to send is a `Hello`.
    pub async fn attach(&self) -> Result<(LinkSender, LinkReceiver), LinkError> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let codec = JsonCodec::<ToRegion, Received>::default();
        let answer = self.call(ATTACH, ReceiverStream::new(queue), codec).await?;
        Ok((sender, LinkReceiver(answer)))
    }

    /// Asks for a blob from `offset` on. The caller counts and hashes what arrives.
    pub async fn fetch(
        &self,
        sha256: &str,
        offset: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, LinkError>> + Send + use<>, LinkError> {
        let request = FetchRequest { sha256: sha256.to_owned(), offset };
        let chunks = self.call(FETCH, tokio_stream::once(request), AskingCodec).await?;
        Ok(chunks.map(|chunk| chunk.map_err(LinkError::from)))
    }

    async fn call<S, C>(
        &self,
        path: &'static str,
        messages: S,
        codec: C,
    ) -> Result<Streaming<C::Decode>, LinkError>
    where
        S: Stream<Item = C::Encode> + Send + 'static,
        C: Codec,
        C::Encode: Send + Sync + 'static,
        C::Decode: Send + Sync + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        let ready = grpc.ready().await;
        ready.map_err(|e| LinkError::Broken(Box::new(Status::from_error(Box::new(e)))))?;
        let path = PathAndQuery::from_static(path);
        Ok(grpc.streaming(Request::new(messages), path, codec).await?.into_inner())
    }
}
