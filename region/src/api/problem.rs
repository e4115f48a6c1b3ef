//! Refusals as `application/problem+json` (RFC 9457).

use crate::app::Error;
use crate::model::problem::Problem;
use axum::Json;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

/// Status, code and title of an error.
fn describe(error: &Error) -> (StatusCode, &'static str, &'static str) {
    match error {
        Error::NotFound { .. } => (StatusCode::NOT_FOUND, "not-found", "Not found"),
        Error::Conflict { .. } => (StatusCode::CONFLICT, "conflict", "Conflict"),
        Error::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid value"),
        Error::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
        Error::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "unauthenticated", "Not logged in"),
        Error::Busy(_) => (StatusCode::CONFLICT, "busy", "Busy"),
        Error::PreconditionFailed { .. } => {
            (StatusCode::PRECONDITION_FAILED, "precondition-failed", "Changed meanwhile")
        }
        Error::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many tries"),
        Error::Bmc(_) => (StatusCode::BAD_GATEWAY, "bmc", "The BMC did not do it"),
        Error::Switch(_) => (StatusCode::BAD_GATEWAY, "switch", "The switch did not do it"),
        Error::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now"),
        Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
    }
}

/// One refusal as a response.
pub fn respond(
    status: StatusCode,
    code: &str,
    title: &str,
    detail: String,
    field: Option<String>,
) -> Response {
    let problem = Problem {
        kind: format!("urn:rackwright:problem:{code}"),
        title: title.to_owned(),
        status: status.as_u16(),
        detail,
        code: code.to_owned(),
        field,
    };
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code, title) = describe(&self);
        match &self {
            Self::Internal(source) => tracing::error!(error = chain(source.as_ref()), "a request failed"),
            Self::Unavailable(source) => tracing::warn!(error = chain(source), "a request found no database"),
            _ => {}
        }
        let field = match &self {
            Self::Conflict { field, .. } => field.map(str::to_owned),
            Self::Invalid { field, .. } if !field.is_empty() => Some(field.clone()),
            _ => None,
        };
        let mut response = respond(status, code, title, self.to_string(), field);
        let header = match &self {
            Self::RateLimited { retry_after } => {
                Some((header::RETRY_AFTER, (retry_after.as_secs() + 1).to_string()))
            }
            Self::Unavailable(_) => Some((header::RETRY_AFTER, "1".to_owned())),
            Self::Unauthenticated(_) => Some((header::WWW_AUTHENTICATE, "Bearer".to_owned())),
            _ => None,
        };
        if let Some((name, value)) = header.and_then(|(name, value)| Some((name, value.parse().ok()?))) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// An error with its causes, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// For paths that nobody serves.
pub async fn no_such_path(uri: Uri) -> Response {
    let detail = format!("nothing is served at {}", uri.path());
    std::future::ready(respond(StatusCode::NOT_FOUND, "not-found", "Not found", detail, None)).await
}

/// For methods that a path does not know.
pub async fn no_such_method(method: Method, uri: Uri) -> Response {
    let detail = format!("{} does not take {method}", uri.path());
    let status = StatusCode::METHOD_NOT_ALLOWED;
    std::future::ready(respond(status, "method-not-allowed", "Method not allowed", detail, None)).await
}

/// In the OpenAPI document: every operation may be refused with a [`Problem`].
pub struct Refused;

impl utoipa::IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let refused = ResponseBuilder::new()
            .description("Refused: the problem says why and what to do")
            .content("application/problem+json", content)
            .build();
        BTreeMap::from([("default".to_owned(), refused.into())])
    }
}
