//! Style sheet, script and icon: compiled in, named with a hash of their content, so that browsers keep them for ever.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::OnceLock;

const CSS: &str = include_str!("../static/app.css");
const JS: &str = include_str!("../static/app.js");
const UPLOAD: &str = include_str!("../static/upload.js");
const ICON: &str = include_str!("../static/icon.svg");

/// Changes with the content of the files; pages append it to their names.
pub fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        // FNV-1a, 64 bits.
        let bytes = CSS.bytes().chain(JS.bytes()).chain(UPLOAD.bytes()).chain(ICON.bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:016x}")
    })
}

fn file(content: &'static str, kind: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")], content)
}

/// `/static/…`
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/static/app.css", get(|| std::future::ready(file(CSS, "text/css; charset=utf-8"))))
        .route("/static/app.js", get(|| std::future::ready(file(JS, "text/javascript; charset=utf-8"))))
        .route(
            "/static/upload.js",
            get(|| std::future::ready(file(UPLOAD, "text/javascript; charset=utf-8"))),
        )
        .route("/static/icon.svg", get(|| std::future::ready(file(ICON, "image/svg+xml"))))
}
