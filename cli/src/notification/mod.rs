//! `rackwright notification …`

mod rule;

use crate::console::{Console, ago, dash};
use anyhow::Result;
use rackwright_region::model::Page;
use rackwright_region::model::notification::{
    Notification, NotificationQuery, NotificationState, NotificationsSeen,
};

/// What can be done with notifications.
#[derive(Debug, clap::Subcommand)]
pub enum NotificationCommand {
    /// List what rules let through to the page, newest first; or what is sent, by its state.
    List {
        /// `shown` (on the page), `pending`, `sent` or `failed`.
        #[arg(long, value_parser = state)]
        state: Option<NotificationState>,
        /// Only those before this number.
        #[arg(long)]
        before: Option<i64>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// Say that you have seen those on the page, up to one of them; all that there are when none is named.
    Seen {
        /// Its number.
        upto: Option<i64>,
    },
    /// Who is told of what.
    #[command(subcommand, visible_alias = "rules")]
    Rule(rule::RuleCommand),
}

fn state(text: &str) -> Result<NotificationState, String> {
    NotificationState::parse(text).ok_or_else(|| format!("`{text}` is not shown, pending, sent or failed"))
}

impl NotificationCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List { state, before, limit } => {
                let query = NotificationQuery { state, before, limit: Some(limit) };
                let page: Page<Notification> = console.client.find("/notifications", &query).await?;
                let heads = ["ID", "AGE", "RULE", "STATE", "TRIES", "WHAT", "LAST ERROR"];
                console.list(&page.items, &heads, |n| {
                    vec![
                        n.id.to_string(),
                        ago(n.created_at),
                        n.rule.clone(),
                        if n.unread { "unread".into() } else { n.state.as_str().to_owned() },
                        n.attempt.to_string(),
                        n.event.message.clone(),
                        dash(n.error.clone()),
                    ]
                })
            }
            Self::Seen { upto } => {
                let seen = NotificationsSeen { upto: upto.unwrap_or(i64::MAX) };
                let () = console.client.put("/notifications/seen", &seen).await?;
                console.done("Noted")
            }
            Self::Rule(command) => command.run(console).await,
        }
    }
}
