//! `rackwright notification rule …`

use crate::console::{Console, dash, path_part};
use crate::profile::read_token;
use anyhow::{Context, Result, bail};
use rackwright_region::model::Page;
use rackwright_region::model::event::Level;
use rackwright_region::model::notification::{Channel, MailSecurity, NotificationRule};
use std::path::PathBuf;

/// What can be done with rules.
#[derive(Debug, clap::Subcommand)]
pub enum RuleCommand {
    /// List all rules, without their secrets.
    List,
    /// Make a rule, or set all of one: to the page, to a `--webhook`, or by mail with `--server`, `--from` and `--to`.
    Set(Box<Set>),
    /// Remove a rule; what it has let through goes with it.
    Delete {
        /// Its name.
        name: String,
    },
}

/// A rule.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Its name.
    name: String,
    /// Events of at least this level: `debug`, `info`, `warning` or `error`.
    #[arg(long, default_value = "warning", value_parser = level)]
    level: Level,
    /// Kinds of events, such as `operation.failed` or `machine.*`; all when absent. May come several times.
    #[arg(long = "kind")]
    kinds: Vec<String>,
    /// About machines of this pool only.
    #[arg(long)]
    pool: Option<String>,
    /// It is kept and looks at nothing.
    #[arg(long)]
    disabled: bool,
    /// URL to POST to, signed.
    #[arg(long, value_name = "URL", conflicts_with = "server")]
    webhook: Option<String>,
    /// Mail server.
    #[arg(long, requires = "from", requires = "to")]
    server: Option<String>,
    /// Its port.
    #[arg(long, default_value_t = 587)]
    port: u16,
    /// How it is spoken to: `starttls`, `tls` or `none`.
    #[arg(long, default_value = "starttls", value_parser = security)]
    security: MailSecurity,
    /// User there; none without a login.
    #[arg(long, default_value = "")]
    username: String,
    /// Sender.
    #[arg(long)]
    from: Option<String>,
    /// Recipient; may come several times.
    #[arg(long)]
    to: Vec<String>,
    /// File with the mail server's password, or the key of the webhook's signature; the stored one stays without it.
    #[arg(long)]
    secret_file: Option<PathBuf>,
    /// PEM file of the authority that the receiver's certificate is of, when the box does not know it.
    #[arg(long)]
    ca_file: Option<PathBuf>,
}

fn level(text: &str) -> Result<Level, String> {
    let found = Level::parse(text);
    if found.as_str() == text {
        Ok(found)
    } else {
        Err(format!("`{text}` is not debug, info, warning or error"))
    }
}

fn security(text: &str) -> Result<MailSecurity, String> {
    match text {
        "starttls" => Ok(MailSecurity::Starttls),
        "tls" => Ok(MailSecurity::Tls),
        "none" => Ok(MailSecurity::None),
        _ => Err(format!("`{text}` is not starttls, tls or none")),
    }
}

impl Set {
    fn rule(self) -> Result<NotificationRule> {
        let read = |file: PathBuf| {
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
        };
        let ca = self.ca_file.map(read).transpose()?;
        let channel = match (self.webhook, self.server, self.from) {
            (Some(url), None, _) => Channel::Webhook { url, ca },
            (None, Some(server), Some(from)) => {
                let (port, security, username, to) = (self.port, self.security, self.username, self.to);
                Channel::Email { server, port, security, username, from, to, ca }
            }
            (None, None, _) => Channel::Page {},
            (Some(_), Some(_), _) | (None, Some(_), None) => {
                bail!("give --webhook, or --server with --from and --to")
            }
        };
        Ok(NotificationRule {
            name: self.name,
            enabled: !self.disabled,
            kinds: self.kinds,
            level: self.level,
            pool: self.pool,
            channel,
            secret: self.secret_file.map(|file| read_token(&file)).transpose()?,
            has_secret: false,
        })
    }
}

impl RuleCommand {
    /// Does it.
    pub async fn run(self, console: &Console) -> Result<()> {
        match self {
            Self::List => {
                let page: Page<NotificationRule> = console.client.get("/notification-rules").await?;
                console.list(&page.items, &["NAME", "STATE", "LEVEL", "KINDS", "POOL", "TO"], |r| {
                    let to = match &r.channel {
                        Channel::Page {} => "the page".to_owned(),
                        Channel::Email { to, .. } => to.join(" "),
                        Channel::Webhook { url, .. } => url.clone(),
                    };
                    let kinds = Some(r.kinds.join(" ")).filter(|kinds| !kinds.is_empty());
                    let state = if r.enabled { "enabled" } else { "disabled" };
                    let level = r.level.to_string();
                    vec![r.name.clone(), state.into(), level, dash(kinds), dash(r.pool.clone()), to]
                })
            }
            Self::Set(set) => {
                let rule = set.rule()?;
                let path = format!("/notification-rules/{}", path_part(&rule.name));
                let rule: NotificationRule = console.client.put(&path, &rule).await?;
                console.show(&rule, |r| format!("The rule {} was set", r.name))
            }
            Self::Delete { name } => {
                console.client.delete(&format!("/notification-rules/{}", path_part(&name))).await?;
                console.done(&format!("The rule {name} was removed"))
            }
        }
    }
}
