//! The interactive console of a machine. What the machine writes never becomes part of the page: a script draws it.

use super::{Layout, Pill};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::machine::MachineSummary;

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "terminal.html")]
pub struct TerminalPage {
    /// Around it.
    pub layout: Layout,
    /// Machine.
    pub machine: String,
    /// Its name.
    pub hostname: String,
    /// Its status.
    pub status: Pill,
    /// Whoever looks may also type.
    pub may_type: bool,
}

impl TerminalPage {
    /// Of a machine.
    pub fn new(layout: Layout, actor: &Actor, machine: &MachineSummary) -> Self {
        Self {
            layout,
            machine: machine.id.to_string(),
            hostname: machine.hostname.to_string(),
            status: Pill::of_status(machine.status),
            may_type: actor.role_in(&machine.pool) >= Role::Operator,
        }
    }
}

#[cfg(test)]
impl TerminalPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample::{MARKUP, actor, machine};
        Self {
            hostname: MARKUP.into(),
            ..Self::new(Layout::sample("Machines"), &actor(), &machine().summary)
        }
    }
}
