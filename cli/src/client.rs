//! The typed client of the REST API: sends the region's own types, reads them back.

use crate::profile;
use crate::retry::{Patience, Tries};
use anyhow::{Context, Result, ensure};
use rackwright_common::Secret;
use rackwright_region::model::Page;
use rackwright_region::model::problem::Problem;
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// Where a region is when nobody says.
pub const DEFAULT_URL: &str = "http://127.0.0.1:5240";

/// Where the region is and who asks.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// Address of a region, such as http://rackwright.example:5240; the one of `rackwright login` when absent.
    #[arg(long, env = "RACKWRIGHT_URL", global = true, help_heading = "Connection")]
    pub url: Option<String>,
    /// API token; better in a file.
    #[arg(
        long,
        env = "RACKWRIGHT_TOKEN",
        global = true,
        hide_env_values = true,
        help_heading = "Connection"
    )]
    pub token: Option<Secret<String>>,
    /// File that holds the API token.
    #[arg(long, env = "RACKWRIGHT_TOKEN_FILE", global = true, help_heading = "Connection")]
    pub token_file: Option<PathBuf>,
    /// File with the certificate of the authority to trust for https, PEM, such as the region's `ca/ca.pem`; the box's own
    /// list of authorities when absent.
    #[arg(long, env = "RACKWRIGHT_CA", global = true, value_name = "FILE", help_heading = "Connection")]
    pub ca: Option<PathBuf>,
}

/// Why the region did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers.
    #[error("no region answers at {url}; is it running, and is --url right?")]
    Unreachable {
        /// Where.
        url: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// What answers cannot show that it is the region.
    #[error(
        "the certificate at {url} is not trusted; name the region's authority with --ca FILE (`ca/ca.pem` in its data folder)"
    )]
    Untrusted {
        /// Where.
        url: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// It answered with a problem (RFC 9457).
    #[error("{detail}")]
    Problem {
        /// HTTP status.
        status: u16,
        /// What is wrong, for people.
        detail: String,
        /// When the region wants to be asked again.
        retry_after: Option<Duration>,
    },
}

/// A client of one region.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<Secret<String>>,
    patience: Patience,
}

impl Client {
    /// For a connection; what it leaves open comes from the stored profile.
    pub fn new(connection: &Connection) -> Result<Self> {
        let stored = profile::load()?.unwrap_or_default();
        let token = match (&connection.token, &connection.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(file)) => Some(profile::read_token(file)?),
            // A token is not told to another region than the one it is of.
            (None, None) => stored.token.filter(|_| connection.url.is_none() || connection.url == stored.url),
        };
        let url = connection.url.clone().or(stored.url).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let ca = connection.ca.clone().or(stored.ca);
        Ok(Self { token, ..Self::anonymous(&url, ca.as_deref())? })
    }

    /// For a region, without a token. With `ca` only what that authority has signed is trusted.
    pub fn anonymous(url: &str, ca: Option<&Path>) -> Result<Self> {
        let mut builder = reqwest::Client::builder();
        if let Some(path) = ca {
            let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .with_context(|| format!("{} holds no certificate in PEM", path.display()))?;
            ensure!(!certificates.is_empty(), "{} holds no certificate in PEM", path.display());
            builder = builder.tls_certs_only(certificates);
        }
        Ok(Self::over(builder.build()?, url))
    }

    /// For whatever answers, whatever certificate it shows: for callers that trust nothing it says before they have
    /// checked it by other means.
    pub fn of_anybody(url: &str) -> Result<Self> {
        Ok(Self::over(reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build()?, url))
    }

    fn over(http: reqwest::Client, url: &str) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self { http, url, token: None, patience: Patience::default() }
    }

    /// The same region with a token.
    #[must_use]
    pub fn with_token(self, token: Secret<String>) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The region's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A request to a path below `/api/v1`, authorized.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        let (url, source) = (self.url.clone(), source.without_url());
        if is_distrust(&source) {
            return ClientError::Untrusted { url, source };
        }
        ClientError::Unreachable { url, source }
    }

    /// Sends a request; an answer that is not 2xx becomes an error.
    pub async fn open(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        let body = response.bytes().await.map_err(|e| self.unreachable(e))?;
        let detail = match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => problem.detail,
            Err(_) => format!("{} answers {status}; is it a region of Rackwright?", self.url),
        };
        let hint = match status {
            StatusCode::UNAUTHORIZED => "; see `rackwright login --help`",
            _ => "",
        };
        Err(ClientError::Problem {
            status: status.as_u16(),
            detail: format!("{detail}{hint}"),
            retry_after: retry_after.map(Duration::from_secs),
        }
        .into())
    }

    /// Sends a request and reads its answer.
    pub async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let response = self.open(request).await?;
        let status = response.status();
        let body = response.bytes().await.map_err(|e| self.unreachable(e))?;
        let body: &[u8] = if status == StatusCode::NO_CONTENT || body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body)
            .context("the region's answer is not what this version of the client expects")
    }

    /// Sends a request under a key of its own, so that the region carries it out once; sends it again when it cannot
    /// be told whether that has happened. The body must not be a stream.
    pub async fn send_keyed<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let request = request.header("idempotency-key", Uuid::new_v4().to_string());
        self.repeat(request, "; it is carried out once at most").await
    }

    /// Sends a request that may be sent any number of times, until it is answered or patience ends.
    async fn repeat<T: DeserializeOwned>(&self, request: RequestBuilder, note: &str) -> Result<T> {
        let mut tries = Tries::new(self.patience);
        loop {
            let copy = request.try_clone().context("a request that is a stream cannot be repeated")?;
            let error = match self.send(copy).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(again) = tries.after(&error) else { return Err(error) };
            if again.first {
                let at_most = again.at_most.as_secs();
                eprintln!("rackwright: {error}: trying again for {at_most} s{note}");
            }
            tokio::time::sleep(again.pause).await;
        }
    }

    /// GET, again while no region answers.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.repeat(self.request(Method::GET, path), "").await
    }

    /// GET with query parameters, again while no region answers.
    pub async fn find<T: DeserializeOwned>(&self, path: &str, query: &(impl Serialize + Sync)) -> Result<T> {
        self.repeat(self.request(Method::GET, path).query(query), "").await
    }

    /// POST, with a key: see [`Self::send_keyed`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T> {
        self.send_keyed(self.request(Method::POST, path).json(body)).await
    }

    /// PATCH.
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T> {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// PUT.
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T> {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Every row of a list that is told page by page. `query` holds the filters.
    pub async fn list_all<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.push(("limit", "1000".to_owned()));
            query.extend(cursor.take().map(|c| ("cursor", c)));
            let page: Page<T> = self.find(path, &query).await?;
            rows.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(rows),
            }
        }
    }
}

/// The exit code that an error means.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. }) => 3,
        Some(ClientError::Problem { .. } | ClientError::Untrusted { .. }) | None => 1,
    }
}

/// The TLS library refused the other end's certificate.
fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // An I/O error hides what it is about from `source`.
        let inner = error.downcast_ref::<std::io::Error>().and_then(|e| e.get_ref());
        next = inner.map(|e| e as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    false
}

/// Runs a command of the client.
pub fn block_on(run: impl Future<Output = Result<()>>) -> Result<()> {
    drop(rustls::crypto::ring::default_provider().install_default());
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// What the server does with a connection after it has read the request.
    #[derive(Clone, Copy)]
    enum Then {
        /// Closes without a word: the answer is lost.
        Drop,
        /// Sends this.
        Say(&'static str),
    }

    const DONE: Then = Then::Say("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n7");
    const AWAY: Then =
        Then::Say("HTTP/1.1 503 Away\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    const UNDERWAY: Then =
        Then::Say("HTTP/1.1 409 Busy\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    const REFUSED: Then = Then::Say("HTTP/1.1 409 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");

    /// One request, headers and body.
    async fn read_request(stream: &mut TcpStream) -> String {
        let (mut text, mut buffer) = (String::new(), [0; 4096]);
        while !text.ends_with("\"on\"}") {
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "the request ended early: {text}");
            text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        }
        text
    }

    /// Serves one connection per item; the last one for all that follow. Returns the address and what was asked.
    async fn server(plan: Vec<Then>) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, requests) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut at = 0;
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                asked.send(read_request(&mut stream).await).unwrap();
                if let Then::Say(text) = plan[at.min(plan.len() - 1)] {
                    stream.write_all(text.as_bytes()).await.unwrap();
                }
                at += 1;
            }
        });
        (url, requests)
    }

    async fn post(url: &str, lost: u64) -> Result<i32> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let patience = Patience { unreached: Duration::from_millis(600), lost: Duration::from_millis(lost) };
        let client = Client { patience, ..Client::anonymous(url, None).unwrap() };
        client.post("/machines/abc123/power", &serde_json::json!({ "action": "on" })).await
    }

    fn keys(mut requests: tokio::sync::mpsc::UnboundedReceiver<String>) -> Vec<String> {
        let mut keys = Vec::new();
        while let Ok(request) = requests.try_recv() {
            let key = request.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).unwrap();
            keys.push(key.to_owned());
        }
        keys
    }

    #[tokio::test]
    async fn a_lost_answer_a_region_away_and_one_still_answering_are_asked_again_under_the_same_key() {
        let (url, requests) = server(vec![Then::Drop, AWAY, UNDERWAY, DONE]).await;
        assert_eq!(post(&url, 20_000).await.unwrap(), 7);
        let keys = keys(requests);
        assert_eq!(keys.len(), 4);
        assert!(keys[0].len() >= 32 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }

    #[tokio::test]
    async fn two_requests_have_two_keys() {
        let (url, requests) = server(vec![DONE]).await;
        post(&url, 1000).await.unwrap();
        post(&url, 1000).await.unwrap();
        let keys = keys(requests);
        assert_eq!(keys.len(), 2);
        assert_ne!(keys[0], keys[1]);
    }

    #[tokio::test]
    async fn what_was_refused_is_not_asked_again() {
        for refusal in [REFUSED, UNDERWAY] {
            let (url, requests) = server(vec![refusal]).await;
            assert_eq!(exit_code(&post(&url, 20_000).await.unwrap_err()), 1);
            assert_eq!(keys(requests).len(), 1, "a first request cannot be its own repetition");
        }
    }

    #[tokio::test]
    async fn it_gives_up_in_the_end() {
        let began = Instant::now();
        let (url, requests) = server(vec![Then::Drop]).await;
        assert_eq!(exit_code(&post(&url, 1500).await.unwrap_err()), 3);
        assert!(keys(requests).len() >= 2);
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(exit_code(&post(&format!("http://{nobody}"), 60_000).await.unwrap_err()), 3);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
