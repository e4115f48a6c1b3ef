//! What comes in plain, and what must be said to those who do not.

use super::Caller;
use crate::api::problem::respond;
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// In a request's extensions: it came over TLS.
#[derive(Debug, Clone, Copy)]
pub struct Encrypted;

/// Puts the door's knowledge into each request: the peer's address, [`Encrypted`]. With `only_tls` whoever comes in plain
/// is sent away. Cookies that are set over TLS never travel in plain. Of a request that comes from one of `proxies` the peer
/// is whom the proxy says that it serves (`X-Forwarded-For`, the last one); of others the header says nothing.
pub fn admit(router: Router, only_tls: bool, proxies: Vec<IpAddr>) -> Router {
    let proxies: Arc<[IpAddr]> = proxies.into();
    router.layer(from_fn(move |request, next| enter(only_tls, proxies.clone(), request, next)))
}

async fn enter(only_tls: bool, proxies: Arc<[IpAddr]>, mut request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<ConnectInfo<Caller>>().map(|ConnectInfo(caller)| *caller);
    let tls = caller.is_some_and(|caller| caller.tls);
    if only_tls && !tls {
        return away(&request);
    }
    let served = caller.map(|caller| match forwarded_for(request.headers()) {
        Some(address) if proxies.contains(&caller.address.ip().to_canonical()) => SocketAddr::new(address, 0),
        _ => caller.address,
    });
    let extensions = request.extensions_mut();
    if let Some(address) = served {
        extensions.insert(ConnectInfo(address));
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

/// Whom the nearest proxy says that it serves; those before it anybody may have written.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
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
