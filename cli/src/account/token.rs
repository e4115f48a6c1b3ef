//! `rackwright token …`

use crate::console::{Console, ago, dash};
use anyhow::Result;
use rackwright_region::model::user::{CreatedToken, NewToken, Token};
use rackwright_region::model::{Page, Role};

/// What can be done with your API tokens.
#[derive(Debug, clap::Subcommand)]
pub enum TokenCommand {
    /// List your tokens, without their secrets.
    List,
    /// Make a token and print it; it is not told again.
    Create {
        /// What it is for.
        name: String,
        /// Days until it expires; never when absent.
        #[arg(long)]
        days: Option<u16>,
        /// The most that whoever shows it may do: `viewer` only reads.
        #[arg(long)]
        role: Option<Role>,
    },
    /// End a token.
    Delete {
        /// Its number.
        id: i64,
    },
}

impl TokenCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List => {
                let page: Page<Token> = console.client.get("/tokens").await?;
                console.list(&page.items, &["ID", "NAME", "AT MOST", "MADE", "EXPIRES", "LAST USED"], |t| {
                    vec![
                        t.id.to_string(),
                        t.name.clone(),
                        dash(t.role),
                        ago(t.created_at),
                        dash(t.expires_at),
                        dash(t.last_used_at.map(ago)),
                    ]
                })
            }
            Self::Create { name, days, role } => {
                let made: CreatedToken =
                    console.client.post("/tokens", &NewToken { name, days, role }).await?;
                console.show(&made, |m| m.secret.expose().clone())
            }
            Self::Delete { id } => {
                console.client.delete(&format!("/tokens/{id}")).await?;
                console.done(&format!("The token {id} has ended"))
            }
        }
    }
}
