//! A client for the REST API, as small as xtask needs it: HTTP/1.0, one request a connection, JSON both ways.
//!
//! Why not the product's own client: the demo shows that the API can be driven by anything, and xtask has to
//! compile in seconds. Left out: TLS, redirects, streaming.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The largest answer that is read, in bytes.
const LIMIT: u64 = 64 << 20;

/// A server and the token to show it.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    token: Option<String>,
    patience: Duration,
}

/// An answer; the body is null when it is not JSON.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Client {
    /// A client of the server at this address.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, token: None, patience: Duration::from_secs(60) }
    }

    /// The same with a bearer token.
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.trim().to_owned());
        self
    }

    /// The same, waiting this long for an answer.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// GET; an error unless the answer is a success.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.request("GET", path, None)?.success(path)
    }

    /// POST; an error unless the answer is a success.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.request("POST", path, Some(body))?.success(path)
    }

    /// POST under an `Idempotency-Key`, with whatever was answered.
    pub fn post_once(&self, path: &str, key: &str, body: &Value) -> Result<Answer> {
        let headers = [self.headers(), vec![("Idempotency-Key", key.to_owned())]].concat();
        let (status, body) = self.exchange("POST", path, &headers, &body.to_string())?;
        Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }

    /// PUT; an error unless the answer is a success.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.request("PUT", path, Some(body))?.success(path)
    }

    /// PATCH; an error unless the answer is a success.
    pub fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        self.request("PATCH", path, Some(body))?.success(path)
    }

    /// DELETE; an error unless the answer is a success.
    pub fn delete(&self, path: &str) -> Result<Value> {
        self.request("DELETE", path, None)?.success(path)
    }

    /// Any request, with whatever was answered.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (status, body) = self.exchange(method, path, &self.headers(), &body)?;
        Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Content-Type", "application/json".to_owned())];
        headers.extend(self.token.iter().map(|token| ("Authorization", format!("Bearer {token}"))));
        headers
    }

    /// The same with headers of the caller's, and bytes for an answer. An answer that is cut off is an error.
    pub fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: &str,
    ) -> Result<(u16, Vec<u8>)> {
        let connect = self.patience.min(Duration::from_secs(5));
        let mut stream = TcpStream::connect_timeout(&self.address, connect)?;
        stream.set_read_timeout(Some(self.patience))?;
        let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {}\r\n", self.address);
        head += &format!("Content-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
        let mut bytes = Vec::new();
        stream.take(LIMIT).read_to_end(&mut bytes)?;
        parse(&bytes).with_context(|| format!("{method} {path}"))
    }
}

impl Answer {
    fn success(self, path: &str) -> Result<Value> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let text = |key: &str| self.body[key].as_str().unwrap_or_default();
        bail!("{path}: {} {} {}", self.status, text("title"), text("detail"))
    }
}

fn parse(bytes: &[u8]) -> Result<(u16, Vec<u8>)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").context("no end of the header")?;
    let head = std::str::from_utf8(&bytes[..end])?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("no status")?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    ensure!(!chunked, "a chunked answer to HTTP/1.0");
    let body = bytes[end + 4..].to_vec();
    let length = head.lines().filter_map(|line| line.split_once(':'));
    let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.next_back().and_then(|(_, value)| value.trim().parse::<usize>().ok());
    ensure!(length.is_none_or(|length| length == body.len()), "an answer that is cut off");
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_and_a_problem() {
        let answer = parse(b"HTTP/1.0 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}").unwrap();
        assert_eq!(answer, (200, b"{\"a\":1}".to_vec()));
        assert!(parse(b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":1}").is_err());
        let problem = Answer { status: 409, body: json!({ "title": "Locked", "detail": "by u" }) };
        assert_eq!(problem.success("/m").unwrap_err().to_string(), "/m: 409 Locked by u");
        assert!(parse(b"HTTP/1.0 200").is_err());
    }
}
