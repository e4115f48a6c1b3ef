//! An administrator's session, without a browser.

use super::support::{PASSWORD, Site};
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::json;
use tower::ServiceExt;

/// An administrator in a browser.
pub struct Session<'a> {
    site: &'a Site,
    cookie: String,
    /// Of its forms.
    pub csrf: String,
}

impl<'a> Session<'a> {
    /// Logs in.
    pub async fn begin(site: &'a Site) -> Self {
        let body = json!({ "name": "admin", "password": PASSWORD }).to_string();
        let request = Request::post("/api/v1/session")
            .header("content-type", "application/json")
            .body(Body::from(body));
        let reply = site.router.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        let cookie = reply.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut session = Self { site, cookie, csrf: String::new() };
        let page = session.get("/settings").await.1;
        session.csrf =
            page.split_once("name=\"csrf\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
        session
    }

    async fn send(&self, request: axum::http::request::Builder, body: String) -> (StatusCode, String) {
        let request = request.header("cookie", &self.cookie).body(Body::from(body)).unwrap();
        let reply = self.site.router.clone().oneshot(request).await.unwrap();
        let status = reply.status();
        let bytes = to_bytes(reply.into_body(), 64 << 20).await.unwrap();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A page.
    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        self.send(Request::get(path), String::new()).await
    }

    /// A form.
    pub async fn post(&self, path: &str, form: String) -> (StatusCode, String) {
        self.send(Request::post(path).header("content-type", "application/x-www-form-urlencoded"), form).await
    }
}
