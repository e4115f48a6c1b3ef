//! The typed client of the REST API.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// Where the region is and who asks.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// Address of a region, such as http://rackwright.example:5240.
    #[arg(long, env = "RACKWRIGHT_URL", default_value = "http://127.0.0.1:5240", global = true)]
    url: String,
    /// API token.
    #[arg(long, env = "RACKWRIGHT_TOKEN", global = true, hide_env_values = true)]
    token: Option<String>,
    /// File that holds the API token.
    #[arg(long, env = "RACKWRIGHT_TOKEN_FILE", global = true)]
    token_file: Option<PathBuf>,
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
    /// It answered with a problem (RFC 9457).
    #[error("{detail}")]
    Problem {
        /// HTTP status.
        status: u16,
        /// What is wrong, for people.
        detail: String,
    },
}

/// A client of one region.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Client {
    /// For a connection.
    pub fn new(connection: &Connection) -> Result<Self> {
        let token = match (&connection.token, &connection.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(file)) => Some(std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?),
            (None, None) => None,
        };
        let token = token.map(|t| t.trim().to_owned());
        Ok(Self { http: reqwest::Client::new(), url: connection.url.trim_end_matches('/').to_owned(), token })
    }

    /// A request to a path below `/api/v1`, authorized.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request and reads its answer.
    pub async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T> {
        let unreachable = |source| ClientError::Unreachable { url: self.url.clone(), source };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            let body: &[u8] = if status == StatusCode::NO_CONTENT || body.is_empty() { b"null" } else { &body };
            return serde_json::from_slice(body).context("the region's answer is not what this version of the client expects");
        }
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let detail = problem["detail"].as_str().or(problem["title"].as_str()).map_or_else(|| status.to_string(), str::to_owned);
        Err(ClientError::Problem { status: status.as_u16(), detail }.into())
    }

    /// GET.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.send(self.request(Method::POST, path).json(body)).await
    }
}

/// The exit code that an error means.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. }) => 3,
        Some(ClientError::Problem { .. }) | None => 1,
    }
}

/// Runs a command of the client.
pub fn block_on(run: impl Future<Output = Result<()>>) -> Result<()> {
    drop(rustls::crypto::ring::default_provider().install_default());
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run)
}
