//! Style sheets, scripts and icon, and xterm.js (MIT, its licence beside it): compiled in, named with a hash of their content, so that browsers keep them for ever.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use std::future::ready;
use std::sync::OnceLock;
use tower_http::compression::CompressionLayer;

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const CSS: &str = include_str!("../static/app.css");
const JS: &str = include_str!("../static/app.js");
const UPLOAD: &str = include_str!("../static/upload.js");
const TERMINAL: &str = include_str!("../static/terminal.js");
const XTERM: &str = include_str!("../static/xterm/xterm.js");
const XTERM_FIT: &str = include_str!("../static/xterm/addon-fit.js");
const XTERM_CSS: &str = include_str!("../static/xterm/xterm.css");
const ICON: &str = include_str!("../static/icon.svg");

/// Changes with the content of the files; pages append it to their names.
pub fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        // FNV-1a, 64 bits.
        let bytes = CSS.bytes().chain(JS.bytes()).chain(UPLOAD.bytes()).chain(ICON.bytes());
        let bytes = bytes
            .chain(TERMINAL.bytes())
            .chain(XTERM.bytes())
            .chain(XTERM_FIT.bytes())
            .chain(XTERM_CSS.bytes());
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
        .route("/static/app.css", get(|| ready(file(CSS, STYLE))))
        .route("/static/app.js", get(|| ready(file(JS, SCRIPT))))
        .route("/static/upload.js", get(|| ready(file(UPLOAD, SCRIPT))))
        .route("/static/terminal.js", get(|| ready(file(TERMINAL, SCRIPT))))
        .route("/static/xterm.js", get(|| ready(file(XTERM, SCRIPT))))
        .route("/static/xterm-fit.js", get(|| ready(file(XTERM_FIT, SCRIPT))))
        .route("/static/xterm.css", get(|| ready(file(XTERM_CSS, STYLE))))
        .route("/static/icon.svg", get(|| ready(file(ICON, "image/svg+xml"))))
        .layer(CompressionLayer::new())
}
