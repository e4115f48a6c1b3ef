//! Refusals as pages.

use crate::view::problem::ProblemPage;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rackwright_region::app::Error;

/// A request that got no page.
#[derive(Debug)]
pub struct PageError(pub Error);

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// HTTP status and title of an error.
pub fn describe(error: &Error) -> (StatusCode, &'static str) {
    match error {
        Error::NotFound { .. } => (StatusCode::NOT_FOUND, "Not here"),
        Error::Conflict { .. } | Error::Busy(_) => (StatusCode::CONFLICT, "Not possible now"),
        Error::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "That cannot be"),
        Error::Forbidden(_) => (StatusCode::FORBIDDEN, "Not allowed"),
        Error::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "Not logged in"),
        Error::PreconditionFailed { .. } => (StatusCode::PRECONDITION_FAILED, "Changed meanwhile"),
        Error::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "Too many tries"),
        Error::Bmc(_) => (StatusCode::BAD_GATEWAY, "The BMC did not do it"),
        Error::Switch(_) => (StatusCode::BAD_GATEWAY, "The switch did not do it"),
        Error::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "Not available now"),
        Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Something broke"),
    }
}

/// Writes to the log what the person is not told.
pub fn log(error: &Error) {
    match error {
        Error::Internal(source) => tracing::error!(error = source.as_ref(), "a page failed"),
        Error::Unavailable(source) => {
            tracing::warn!(error = source as &dyn std::error::Error, "a page found no database");
        }
        _ => {}
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        log(&self.0);
        let (status, title) = describe(&self.0);
        let page = ProblemPage { code: status.as_u16(), title, message: sentence(&self.0.to_string()) };
        (status, page).into_response()
    }
}

/// With a capital letter and a full stop.
pub fn sentence(text: &str) -> String {
    let text = crate::format::capital(text);
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}

/// The page is there and takes nothing of this kind.
pub async fn no_such_action() -> Response {
    let message = "This address cannot be used in this way; go back and try again.".to_owned();
    let page = ProblemPage { code: 405, title: "Not possible here", message };
    (StatusCode::METHOD_NOT_ALLOWED, page).into_response()
}

/// No page has this address.
pub async fn no_such_page() -> Response {
    PageError(Error::not_found("page", "at this address")).into_response()
}
