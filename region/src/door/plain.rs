//! What comes in plain, and what must be said to those who do not.

use super::Caller;
use crate::api::problem::respond;
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};

/// In a request's extensions: it came over TLS.
#[derive(Debug, Clone, Copy)]
pub struct Encrypted;

/// Puts the door's knowledge into each request: the peer's address, [`Encrypted`]. With `only_tls` whoever comes in plain
/// is sent away. Cookies that are set over TLS never travel in plain.
pub fn admit(router: Router, only_tls: bool) -> Router {
    router.layer(from_fn(move |request, next| enter(only_tls, request, next)))
}

async fn enter(only_tls: bool, mut request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<ConnectInfo<Caller>>().map(|ConnectInfo(caller)| *caller);
    let tls = caller.is_some_and(|caller| caller.tls);
    if only_tls && !tls {
        return away(&request);
    }
    let extensions = request.extensions_mut();
    if let Some(caller) = caller {
        extensions.insert(ConnectInfo(caller.address));
    }
    if tls {
        extensions.insert(Encrypted);
    }
    let mut response = next.run(request).await;
    if tls {
        secure_cookies(response.headers_mut());
    }
    response
}

/// A page is asked for again over TLS; a change is refused, so that whoever sent a secret in plain learns of it.
fn away(request: &Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    match host {
        Some(host) if matches!(*request.method(), Method::GET | Method::HEAD) => {
            Redirect::permanent(&format!("https://{host}{path}")).into_response()
        }
        _ => {
            let detail = "this region speaks HTTPS only: write https:// in its address".to_owned();
            respond(StatusCode::FORBIDDEN, "https-only", "HTTPS only", detail, None)
        }
    }
}

fn secure_cookies(headers: &mut HeaderMap) {
    let set: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    headers.remove(header::SET_COOKIE);
    for value in set {
        let secure = [value.as_bytes(), b"; Secure"].concat();
        headers.append(header::SET_COOKIE, HeaderValue::from_bytes(&secure).unwrap_or(value));
    }
}
