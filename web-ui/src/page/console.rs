//! The serial console of a machine: the panel on its page, and what was added since.

use super::{Params, Shown, machine_id};
use crate::view::console::ConsolePanel;
use crate::view::terminal::TerminalPage;
use crate::visitor::Visitor;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use rackwright_common::bmc::DriverKind;
use rackwright_region::app::{self, App, Error};
use rackwright_region::auth::Actor;
use rackwright_region::model::machine::Machine;

/// Bytes of a console's end on the page.
const SHOWN: i64 = 16 * 1024;

/// The panel for a machine.
pub async fn panel(app: &App, actor: &Actor, machine: &Machine) -> Result<ConsolePanel, Error> {
    let summary = &machine.summary;
    let tail = app::console::tail(app, actor, &summary.id, Some(SHOWN)).await?;
    let opens = machine.summary.power_driver == Some(DriverKind::Ipmi);
    Ok(ConsolePanel::new(summary.id.as_str(), summary.operation.is_some(), &tail).that_opens(opens))
}

/// The panel again.
pub async fn part(State(app): State<App>, visitor: Visitor, Path(id): Path<String>) -> Shown<ConsolePanel> {
    let machine = app::machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    Ok(panel(&app, &visitor.actor, &machine).await?)
}

/// The terminal's script sets styles of single characters on its elements, so styles may stand in elements on this page. Scripts may not,
/// and nothing comes from elsewhere.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// The page on which one types.
pub async fn terminal(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Shown<impl IntoResponse> {
    let machine = app::machine::get(&app, &visitor.actor, &machine_id(&id)?).await?;
    let page = TerminalPage::new(visitor.layout("Machines"), &visitor.actor, &machine.summary);
    Ok(([(header::CONTENT_SECURITY_POLICY, POLICY)], page))
}

/// What was added after a position. The header says where to go on.
pub async fn log(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    params: Params,
) -> Shown<impl IntoResponse> {
    let after = params.parsed("after").unwrap_or(0);
    let tail = app::console::since(&app, &visitor.actor, &machine_id(&id)?, after).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::HeaderName::from_static("x-position"), tail.position.to_string()),
    ];
    Ok((headers, tail.text(after > 0)))
}
