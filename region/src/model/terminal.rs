//! What goes over the WebSocket of an interactive console, one JSON text a message.

use serde::{Deserialize, Serialize};

/// From whoever looks at a console.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "type", deny_unknown_fields)]
pub enum FromTerminal {
    /// I want to type. Whoever typed before does no more.
    Take {
        /// Only when nobody types: a page that has lost its connection comes back without pushing anybody away.
        #[serde(default)]
        if_free: bool,
    },
    /// I have done.
    Leave,
    /// Characters and control sequences, at most 1024 bytes.
    Type {
        /// As the terminal makes them.
        #[schema(value_type = String)]
        #[serde(with = "rackwright_common::secret::exposed")]
        text: rackwright_common::Secret<String>,
    },
}

/// To whoever looks at a console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum ToTerminal {
    /// What the machine wrote, escape sequences and all: for a terminal, never for a page.
    Output {
        /// Where it ends: go on with `after`.
        position: i64,
        /// A recording began with it, something was lost: one line each, to be shown before the text.
        notes: Vec<String>,
        /// As written.
        text: String,
    },
    /// Who types now.
    Writer {
        /// Their name; none for nobody.
        name: Option<String>,
        /// It is you.
        you: bool,
    },
    /// One sentence about what did not work: what was typed did not arrive, or may not be typed.
    Trouble {
        /// For people.
        message: String,
    },
}
