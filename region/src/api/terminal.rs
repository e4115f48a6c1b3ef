//! `/machines/{id}/console/socket`: an interactive console over a WebSocket.
//!
//! A browser sends cookies with a WebSocket whichever page opens it, so with a session the `Origin` has to be this host. Rights are
//! looked at again every few seconds, and looking does not lengthen a session.

use super::actor::{credential, peer};
use super::extract::{ApiPath, ApiQuery};
use super::problem::Refused;
use crate::app::session::{Credential, look_again};
use crate::app::terminal::{RENEW, Terminal};
use crate::app::{App, Error};
use crate::auth::Actor;
use crate::model::console::ConsoleAfter;
use crate::model::terminal::{FromTerminal, ToTerminal};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use rackwright_common::MachineId;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A reader that takes nothing for this long is gone.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of one message from a reader.
const LONGEST: usize = 16 * 1024;

/// The console of a machine as it is written, and a way to type into it: a WebSocket of JSON texts, `FromTerminal` up and `ToTerminal`
/// down. Whoever sees the machine reads; operators type, one at a time.
#[utoipa::path(get, path = "/machines/{id}/console/socket", tag = "machines", params(("id" = MachineId, Path), ConsoleAfter),
    responses((status = 101, description = "The WebSocket is open: messages are `ToTerminal` down, `FromTerminal` up", body = ToTerminal), Refused))]
pub async fn open_terminal(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<MachineId>,
    ApiQuery(query): ApiQuery<ConsoleAfter>,
    request: Request,
) -> Result<Response, Error> {
    let (mut parts, _) = request.into_parts();
    let shown = credential(&parts.headers, &Method::GET)
        .ok_or(Error::Unauthenticated("show an API token: `Authorization: Bearer rwt_…`"))?;
    if matches!(shown, Credential::Session { .. }) && !is_of_this_host(&parts.headers, &parts.uri) {
        return Err(Error::Forbidden("a page of another host may not open consoles".into()));
    }
    let terminal = Terminal::open(&app, &actor, &id, query.after).await?;
    let upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection> =
        WebSocketUpgrade::from_request_parts(&mut parts, &app).await;
    let upgrade = upgrade.map_err(|why| Error::invalid("upgrade", why.body_text()))?;
    let visitor = Visitor { app, shown, from: peer(&parts.extensions) };
    Ok(upgrade.max_message_size(LONGEST).on_upgrade(move |socket| serve(socket, terminal, visitor)))
}

/// The page that opens the socket came from where the socket is.
fn is_of_this_host(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).or(uri.authority().map(|authority| authority.as_str()));
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
    matches!((origin, host), (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
}

/// Who looks, to be asked again.
struct Visitor {
    app: App,
    shown: Credential,
    from: Option<IpAddr>,
}

async fn serve(mut socket: WebSocket, mut terminal: Terminal, visitor: Visitor) {
    let ended = relay(&mut socket, &mut terminal, &visitor).await;
    terminal.close().await;
    let why = match ended {
        Ok(()) => return,
        Err(error) => error.to_string(),
    };
    tracing::debug!(why, "a console's socket ends");
    // At most 123 bytes go into a close frame (RFC 6455 §5.5).
    let reason: String = why.chars().take(40).collect();
    let frame = CloseFrame { code: close_code::POLICY, reason: reason.into() };
    drop(timeout(PATIENCE, socket.send(Message::Close(Some(frame)))).await);
}

/// Moves messages until the reader leaves, or may not look any more.
async fn relay(socket: &mut WebSocket, terminal: &mut Terminal, visitor: &Visitor) -> Result<(), Error> {
    let mut renewed = Instant::now();
    if !tell(socket, terminal.news().await?).await {
        return Ok(());
    }
    loop {
        let news = tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    let message: FromTerminal = serde_json::from_str(text.as_str())
                        .map_err(|error| Error::invalid("message", error.to_string()))?;
                    terminal.take_in(message).await?
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_))) => Vec::new(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
            },
            () = terminal.changed() => terminal.news().await?,
        };
        if !tell(socket, news).await {
            return Ok(());
        }
        if renewed.elapsed() > RENEW {
            renewed = Instant::now();
            let actor = look_again(&visitor.app, &visitor.shown, visitor.from).await?;
            let news = terminal.renew(actor).await?;
            // Its answer is not waited for: a connection that is gone fails to send sooner or later.
            if !tell(socket, news).await || !send(socket, Message::Ping(Vec::new().into())).await {
                return Ok(());
            }
        }
    }
}

async fn tell(socket: &mut WebSocket, news: Vec<ToTerminal>) -> bool {
    for one in news {
        let Ok(text) = serde_json::to_string(&one) else { return false };
        if !send(socket, Message::Text(text.into())).await {
            return false;
        }
    }
    true
}

/// False when the reader is gone, or takes nothing: what waits for it here is one message.
async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(PATIENCE, socket.send(message)).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_pages_of_this_host_open_consoles() {
        let told = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("region.lab:5240"));
            origin.map(|origin| headers.insert(header::ORIGIN, HeaderValue::from_static(origin)));
            is_of_this_host(&headers, &Uri::from_static("/x"))
        };
        assert!(told(Some("http://region.lab:5240")) && told(Some("https://Region.lab:5240")));
        for foreign in [
            None,
            Some("null"),
            Some("https://evil.example"),
            Some("http://region.lab:5241"),
            Some("region.lab:5240"),
        ] {
            assert!(!told(foreign), "{foreign:?}");
        }
    }
}
