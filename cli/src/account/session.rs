//! `rackwright session …`

use crate::console::{Console, ago, dash};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::user::{SessionInfo, SessionQuery};

/// What can be done with sessions.
#[derive(Debug, clap::Subcommand)]
pub enum SessionCommand {
    /// List those that have not ended.
    List {
        /// Of this user; `*` for everybody.
        #[arg(long)]
        user: Option<String>,
    },
    /// End one.
    Delete {
        /// Its number.
        id: i64,
    },
}

impl SessionCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List { user } => {
                let page: Page<SessionInfo> =
                    console.client.find("/sessions", &SessionQuery { user }).await?;
                console.list(&page.items, &["ID", "USER", "FROM", "PROGRAM", "BEGUN", "LAST USED"], |s| {
                    vec![
                        s.id.to_string(),
                        s.user.clone(),
                        dash(s.source.as_ref()),
                        dash(s.program.as_ref()),
                        ago(s.created_at),
                        dash(s.last_used_at.map(ago)),
                    ]
                })
            }
            Self::Delete { id } => {
                console.client.delete(&format!("/sessions/{id}")).await?;
                console.done(&format!("The session {id} has ended"))
            }
        }
    }
}
