//! The typed client of the REST API: sends the region's own types, reads them back.

use crate::profile;
use anyhow::{Context, Result};
use rackwright_common::Secret;
use rackwright_region::model::Page;
use rackwright_region::model::problem::Problem;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

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
    token: Option<Secret<String>>,
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
        Ok(Self { http: reqwest::Client::new(), url: url.trim_end_matches('/').to_owned(), token })
    }

    /// For a region, without a token.
    pub fn anonymous(url: &str) -> Self {
        Self { http: reqwest::Client::new(), url: url.trim_end_matches('/').to_owned(), token: None }
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
        ClientError::Unreachable { url: self.url.clone(), source: source.without_url() }
    }

    /// Sends a request; an answer that is not 2xx becomes an error.
    pub async fn open(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|e| self.unreachable(e))?;
        let detail = match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => problem.detail,
            Err(_) => format!("{} answers {status}; is it a region of Rackwright?", self.url),
        };
        let hint = match status {
            StatusCode::UNAUTHORIZED => "; see `rackwright login --help`",
            _ => "",
        };
        Err(ClientError::Problem { status: status.as_u16(), detail: format!("{detail}{hint}") }.into())
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

    /// GET.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.send(self.request(Method::GET, path)).await
    }

    /// GET with query parameters.
    pub async fn find<T: DeserializeOwned>(&self, path: &str, query: &(impl Serialize + Sync)) -> Result<T> {
        self.send(self.request(Method::GET, path).query(query)).await
    }

    /// POST.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T> {
        self.send(self.request(Method::POST, path).json(body)).await
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

/// The region is away for now: worth another try.
pub fn is_loss(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. }) => true,
        Some(ClientError::Problem { status, .. }) => *status >= 500,
        None => false,
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
