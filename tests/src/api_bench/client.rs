//! One HTTP/1.1 connection, kept alive, as a program that uses the API has it.

use anyhow::{Context, Result, ensure};
use axum::body::Body;
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HOST};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// A connection that shows a token.
pub struct Client {
    sender: SendRequest<Body>,
    bearer: String,
}

/// An answer, and the time from asking to its last byte.
pub struct Answer {
    /// The body, as sent.
    pub body: Vec<u8>,
    /// From the request to the last byte of the body.
    pub took: Duration,
}

impl Client {
    /// Connects.
    pub async fn connect(to: SocketAddr, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(to).await.context("connecting to the region")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the sender.
        tokio::spawn(connection);
        Ok(Self { sender, bearer: format!("Bearer {token}") })
    }

    /// GET; anything but 200 is an error.
    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        let request = Request::get(path)
            .header(HOST, "127.0.0.1")
            .header(AUTHORIZATION, &self.bearer)
            .body(Body::empty())?;
        let began = Instant::now();
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = axum::body::to_bytes(Body::new(response.into_body()), usize::MAX).await?;
        let took = began.elapsed();
        ensure!(status == 200, "{path}: {status}: {}", String::from_utf8_lossy(&body));
        Ok(Answer { body: body.to_vec(), took })
    }
}
