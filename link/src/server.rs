//! The region's end: who may call, and what they reach.

use crate::client::{CONNECTION_WINDOW, STREAM_WINDOW};
use crate::codec::{GivingCodec, JsonCodec};
use crate::credentials::{Credentials, REGION_NAME, is_region, peer_rack_name};
use crate::error::LinkError;
use crate::{FetchRequest, MAX_MESSAGE};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use rackwright_common::link::{ToRack, ToRegion};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService, StreamingService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

pub(crate) const ATTACH: &str = "/rackwright.Link/Attach";
pub(crate) const FETCH: &str = "/rackwright.Link/Fetch";
/// Bytes of a blob in one message.
pub(crate) const CHUNK: usize = 256 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(2);

/// What a rack sends; ends when the connection does.
pub type Incoming = Pin<Box<dyn Stream<Item = Result<ToRegion, LinkError>> + Send>>;
/// What a region answers; the stream to the rack ends with it.
pub type Outgoing = Pin<Box<dyn Stream<Item = ToRack> + Send>>;
/// A blob in pieces.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, LinkError>> + Send>>;

/// What a region does for racks. `rack` is the name in the peer's certificate.
#[async_trait]
pub trait LinkServer: Send + Sync + 'static {
    /// A rack opened its stream. Return soon: the rack sees nothing before.
    async fn attach(&self, rack: String, incoming: Incoming) -> Result<Outgoing, LinkError>;

    /// A rack wants a blob, or another region ([`REGION_NAME`]). [`file_chunks`] answers from a file.
    async fn fetch(&self, rack: String, request: FetchRequest) -> Result<Chunks, LinkError>;
}

/// Serves racks on `address` until cancelled.
pub async fn serve<S: LinkServer>(
    address: SocketAddr,
    credentials: &Credentials,
    service: S,
    cancel: CancellationToken,
) -> Result<(), LinkError> {
    let failed = |e: io::Error| LinkError::Serve { address: address.to_string(), source: Box::new(e) };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    serve_on(listener, credentials, service, cancel).await
}

/// Serves racks on a socket that listens already, until cancelled; then ends every stream.
pub async fn serve_on<S: LinkServer>(
    listener: TcpListener,
    credentials: &Credentials,
    service: S,
    cancel: CancellationToken,
) -> Result<(), LinkError> {
    let address = listener.local_addr().map_or_else(|e| e.to_string(), |a| a.to_string());
    let link = Link { service: Arc::new(service), cancel: cancel.clone() };
    let server = Server::builder()
        .tls_config(credentials.server())
        .map_err(LinkError::Tls)?
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(link)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            cancel.clone().cancelled_owned(),
        );
    let overdue = async {
        cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server => ended.map_err(|e| LinkError::Serve { address, source: Box::new(e) }),
        () = overdue => Ok(()),
    }
}

/// A file's content from `offset` on, in chunks.
pub async fn file_chunks(path: &Path, offset: u64) -> io::Result<Chunks> {
    let mut file = File::open(path).await?;
    file.seek(io::SeekFrom::Start(offset)).await?;
    let (sender, queue) = tokio::sync::mpsc::channel(2);
    tokio::spawn(async move {
        while let Some(chunk) = next_chunk(&mut file).await.transpose() {
            let failed = chunk.is_err();
            let item = chunk.map_err(|e| LinkError::Unavailable(format!("cannot read the blob: {e}")));
            if sender.send(item).await.is_err() || failed {
                return;
            }
        }
    });
    Ok(Box::pin(ReceiverStream::new(queue)))
}

/// The next bytes of a file; `None` at its end.
async fn next_chunk(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut chunk = BytesMut::with_capacity(CHUNK);
    let mut limited = file.take(CHUNK as u64);
    while limited.read_buf(&mut chunk).await? > 0 {}
    Ok((!chunk.is_empty()).then(|| chunk.freeze()))
}

/// The service as tonic sees it.
struct Link<S> {
    service: Arc<S>,
    cancel: CancellationToken,
}

impl<S> Clone for Link<S> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), cancel: self.cancel.clone() }
    }
}

impl<S> NamedService for Link<S> {
    const NAME: &'static str = "rackwright.Link";
}

impl<S: LinkServer> Service<http::Request<Body>> for Link<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let link = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                ATTACH => {
                    let codec = JsonCodec::<ToRack, ToRegion>::default();
                    let mut grpc = Grpc::new(codec).max_decoding_message_size(MAX_MESSAGE);
                    grpc.streaming(Attach(link), request).await
                }
                FETCH => Grpc::new(GivingCodec).server_streaming(Fetch(link), request).await,
                _ => Status::unimplemented("no such call").into_http(),
            })
        })
    }
}

fn rack_of<T>(request: &Request<T>) -> Result<String, Status> {
    let certificates = request.peer_certs().unwrap_or_default();
    peer_rack_name(&certificates).ok_or_else(|| Status::unauthenticated("this certificate is not a rack's"))
}

/// Who may fetch: racks, and the other regions.
fn rack_or_region<T>(request: &Request<T>) -> Result<String, Status> {
    let certificates = request.peer_certs().unwrap_or_default();
    if is_region(&certificates) { Ok(REGION_NAME.to_owned()) } else { rack_of(request) }
}

struct Attach<S>(Link<S>);

impl<S: LinkServer> StreamingService<ToRegion> for Attach<S> {
    type Response = ToRack;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<ToRack, Status>> + Send>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<ToRegion>>) -> Self::Future {
        let Link { service, cancel } = self.0.clone();
        Box::pin(async move {
            let rack = rack_of(&request)?;
            let incoming = request.into_inner().map(|message| message.map_err(LinkError::from));
            let outgoing = service.attach(rack, Box::pin(incoming)).await?;
            let messages = until(outgoing.map(Ok), cancel);
            Ok(Response::new(Box::pin(messages) as Self::ResponseStream))
        })
    }
}

struct Fetch<S>(Link<S>);

impl<S: LinkServer> ServerStreamingService<FetchRequest> for Fetch<S> {
    type Response = Bytes;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<FetchRequest>) -> Self::Future {
        let Link { service, cancel } = self.0.clone();
        Box::pin(async move {
            let peer = rack_or_region(&request)?;
            let chunks = service.fetch(peer, request.into_inner()).await?;
            let chunks = until(chunks.map(|chunk| chunk.map_err(Status::from)), cancel);
            Ok(Response::new(Box::pin(chunks) as Self::ResponseStream))
        })
    }
}

/// A stream, cut short with an error when the server stops: a rack must not take that for the end of a blob.
struct Until<S> {
    stream: S,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl<T, S: Stream<Item = Result<T, Status>> + Unpin> Stream for Until<S> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.stopped.as_mut().poll(context).is_ready() {
            self.ended = true;
            return Poll::Ready(Some(Err(Status::unavailable("the region stops"))));
        }
        Pin::new(&mut self.stream).poll_next(context)
    }
}

fn until<S>(stream: S, cancel: CancellationToken) -> Until<S> {
    Until { stream, stopped: Box::pin(cancel.cancelled_owned()), ended: false }
}
