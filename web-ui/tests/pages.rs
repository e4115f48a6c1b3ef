//! What the pages answer to requests that a browser's user does not make: without session, without the form's token,
//! without the role, to addresses that are not there. Needs PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use support::{PASSWORD, Site};
use tower::ServiceExt;

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

async fn send(site: &Site, request: Request<Body>) -> Reply {
    let (parts, body) = site.router.clone().oneshot(request).await.unwrap().into_parts();
    let bytes = to_bytes(body, 16 << 20).await.unwrap();
    Reply { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.into()).unwrap() }
}

async fn get(site: &Site, cookie: &str, path: &str) -> Reply {
    send(site, Request::get(path).header("cookie", cookie).body(Body::empty()).unwrap()).await
}

async fn post(site: &Site, cookie: &str, path: &str, form: &str) -> Reply {
    let request = Request::post(path)
        .header("cookie", cookie)
        .header("content-type", "application/x-www-form-urlencoded");
    send(site, request.body(Body::from(form.to_owned())).unwrap()).await
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap().0
}

/// The session's cookie and its CSRF token.
async fn log_in(site: &Site, user: &str) -> (String, String) {
    let form = get(site, "", "/login").await;
    let tie = form.header("set-cookie").split(';').next().unwrap().to_owned();
    let csrf = between(&form.text, "name=\"csrf\" value=\"", "\"");
    let body = format!("csrf={csrf}&name={user}&password={}", PASSWORD.replace(' ', "+"));
    let reply = post(site, &tie, "/login", &body).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text);
    let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
    let session = cookies.iter().find(|c| c.starts_with("rackwright_session=")).unwrap();
    assert!(session.contains("HttpOnly") && session.contains("SameSite=Lax"), "{session}");
    let cookie = session.split(';').next().unwrap().to_owned();
    let page = get(site, &cookie, "/machines").await;
    let csrf = between(&page.text, "name=\"csrf\" value=\"", "\"").to_owned();
    (cookie, csrf)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_logged_in_is_sent_to_log_in() {
    let site = Site::start("127.0.0.1:0").await;
    let pages = [
        "/machines",
        "/machines/k3x9ab",
        "/operations",
        "/events",
        "/images",
        "/controllers",
        "/networks",
        "/settings",
    ];
    for page in pages {
        let reply = get(&site, "", page).await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (StatusCode::SEE_OTHER, &*format!("/login?next={page}"))
        );
        assert_eq!(reply.text, "");
    }
    let live = Request::get("/machines/table").header("x-rackwright-live", "1").body(Body::empty()).unwrap();
    assert_eq!(send(&site, live).await.status, StatusCode::UNAUTHORIZED);
    let reply = post(&site, "", "/machines/p5t8rw/lock", "").await;
    assert_eq!((reply.status, reply.header("location")), (StatusCode::SEE_OTHER, "/login"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_the_sessions_token_changes_nothing() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "ann").await;
    for form in ["", "csrf=", "csrf=wrong"] {
        let reply = post(&site, &cookie, "/machines/p5t8rw/lock", form).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert!(reply.text.contains("reload the page"), "{}", reply.text);
    }
    assert!(!get(&site, &cookie, "/machines/p5t8rw/row").await.text.contains("locked"));
    let reply = post(&site, &cookie, "/machines/p5t8rw/lock", &format!("csrf={csrf}")).await;
    assert_eq!((reply.status, reply.header("location")), (StatusCode::SEE_OTHER, "/machines/p5t8rw"));
    assert!(get(&site, &cookie, "/machines/p5t8rw/row").await.text.contains("locked"));
    // Nor does logging in, which would make somebody work in another's session.
    let reply =
        post(&site, "", "/login", &format!("csrf=x&name=ann&password={}", PASSWORD.replace(' ', "+"))).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_and_does_not_touch() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, csrf) = log_in(&site, "vera").await;
    let page = get(&site, &cookie, "/machines/p5t8rw").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(between(&page.text, "<div class=\"actions\">", "</div>").trim(), "");
    let reply = post(&site, &cookie, "/machines/p5t8rw/commission", &format!("csrf={csrf}&tests=none")).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.text.contains("This needs the role operator; vera has the role viewer."), "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_says_so_and_programs_get_json() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, _) = log_in(&site, "ann").await;
    for (path, said) in [
        ("/nowhere", "There is no page at this address."),
        ("/machines/aaaaaa", "There is no machine aaaaaa."),
        ("/machines/NOT-ONE", "There is no machine NOT-ONE."),
        ("/operations/999999", "There is no operation 999999."),
        ("/operations/many", "There is no operation many."),
        ("/machines/k3x9ab/runs/1", "There is no script run 1."),
    ] {
        let reply = get(&site, &cookie, path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert!(reply.text.contains(said), "{path}: {}", reply.text);
    }
    let reply = post(&site, &cookie, "/machines/k3x9ab/row", "").await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(reply.text.contains("cannot be used in this way"), "{}", reply.text);
    let reply = get(&site, &cookie, "/machines?status=sleepy").await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    let reply = get(&site, &cookie, "/api/v1/nowhere").await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (StatusCode::NOT_FOUND, "application/problem+json")
    );
    assert_eq!(get(&site, &cookie, "/api/v1/machines").await.status, StatusCode::OK);
    assert_eq!(get(&site, "", "/healthz").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_forbids_foreign_content() {
    let site = Site::start("127.0.0.1:0").await;
    let (cookie, _) = log_in(&site, "ann").await;
    for path in ["/login", "/machines", "/nowhere", "/static/app.js"] {
        let reply = get(&site, &cookie, path).await;
        assert!(reply.header("content-security-policy").starts_with("default-src 'self';"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
    }
    assert_eq!(get(&site, &cookie, "/machines").await.header("cache-control"), "no-store");
    assert!(get(&site, "", "/static/app.css").await.header("cache-control").contains("immutable"));
}
