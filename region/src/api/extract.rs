//! Extractors whose refusals are problems that name the field at fault.

use super::problem::respond;
use crate::app::Error;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde::de::DeserializeOwned;

/// Path parameters. What does not parse names nothing that exists: 404.
pub struct ApiPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
        let found: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        found.map(|Path(value)| Self(value)).map_err(|_| Error::not_found("thing", format!("`{path}` here")))
    }
}

/// Query parameters.
pub struct ApiQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let found: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        found.map(|Query(value)| Self(value)).map_err(|e| Error::invalid("query", e.body_text()))
    }
}

/// A JSON body.
pub struct ApiJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        parse(&read(request, state).await?).map(Self).map_err(|refusal| *refusal)
    }
}

/// A JSON body that may be left out.
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        parse(&bytes).map(Self).map_err(|refusal| *refusal)
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Response> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    // Forms of other sites can send only a few types; JSON is not among them.
    let is_json = kind.is_empty() || kind.starts_with("application/json") || kind.contains("+json");
    let kind = kind.to_owned();
    let bytes: Result<Bytes, BytesRejection> = Bytes::from_request(request, state).await;
    let bytes =
        bytes.map_err(|e| respond(e.status(), "body", "The body cannot be read", e.body_text(), None))?;
    if !is_json && !bytes.is_empty() {
        let detail = format!("the body is `{kind}`; send `application/json`");
        return Err(respond(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Not JSON", detail, None));
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Box<Response>> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let (code, title) =
            if error.is_data() { ("invalid", "Invalid value") } else { ("malformed", "Not JSON") };
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Box::new(respond(status, code, title, format!("the body does not fit: {text}"), field_in(&text)))
    })
}

/// The field that serde names between backticks in its texts about missing and unknown fields.
fn field_in(text: &str) -> Option<String> {
    if !text.contains(" field `") {
        return None;
    }
    text.split('`').nth(1).map(str::to_owned)
}

/// The version that `If-Match` asks for: `"5"`; `*` and nothing mean any.
pub fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Error> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text.trim_start_matches("W/").trim_matches('"').parse();
    number
        .map(Some)
        .map_err(|_| Error::invalid("If-Match", format!("`{text}` is not an ETag of ours, such as \"5\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_an_etag_or_a_star() {
        let with = |text: &str| HeaderMap::from_iter([(header::IF_MATCH, text.parse().unwrap())]);
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
        assert_eq!(if_match(&with("\"5\"")).unwrap(), Some(5));
        assert_eq!(if_match(&with("W/\"5\"")).unwrap(), Some(5));
        assert_eq!(if_match(&with("*")).unwrap(), None);
        assert!(if_match(&with("\"x\"")).is_err());
    }

    #[test]
    fn the_field_at_fault_is_found_in_serdes_text() {
        let missing = serde_json::from_str::<crate::model::user::NewToken>("{}").unwrap_err().to_string();
        assert_eq!(field_in(&missing).as_deref(), Some("name"));
        let unknown =
            serde_json::from_str::<crate::model::user::NewToken>(r#"{"x": 1}"#).unwrap_err().to_string();
        assert_eq!(field_in(&unknown).as_deref(), Some("x"));
    }
}
