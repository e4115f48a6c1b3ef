//! What can go wrong on the line, by meaning to the caller.

use tonic::{Code, Status};

/// Why a call between rack and region failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address is not `host:port`.
    #[error("`{0}` is not an address: write it as host:port")]
    Address(String),
    /// No connection.
    #[error("cannot connect to the region at {address}")]
    Connect {
        /// Where.
        address: String,
        /// The cause.
        #[source]
        source: tonic::transport::Error,
    },
    /// Certificates that TLS cannot use.
    #[error("the certificates cannot be used")]
    Tls(#[source] tonic::transport::Error),
    /// The server could not listen or failed while serving.
    #[error("cannot serve racks on {address}")]
    Serve {
        /// Where.
        address: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The other side knows who asks and says no.
    #[error("refused: {0}")]
    Refused(String),
    /// There is no such blob.
    #[error("not found: {0}")]
    NotFound(String),
    /// Not now: try another region, or later.
    #[error("not available now: {0}")]
    Unavailable(String),
    /// The connection ended, or what arrived made no sense.
    #[error("the connection broke")]
    Broken(#[source] Box<Status>),
}

impl From<Status> for LinkError {
    fn from(status: Status) -> Self {
        let text = status.message().to_owned();
        match status.code() {
            Code::NotFound => Self::NotFound(text),
            Code::PermissionDenied | Code::Unauthenticated => Self::Refused(text),
            Code::ResourceExhausted => Self::Unavailable(text),
            _ => Self::Broken(Box::new(status)),
        }
    }
}

impl From<LinkError> for Status {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Refused(text) => Status::permission_denied(text),
            LinkError::NotFound(text) => Status::not_found(text),
            LinkError::Unavailable(text) => Status::resource_exhausted(text),
            LinkError::Broken(status) => *status,
            other => Status::internal(other.to_string()),
        }
    }
}
