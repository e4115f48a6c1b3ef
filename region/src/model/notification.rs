//! Who is told of what happens: rules, and what they let through.

use super::Timestamp;
use super::event::{Event, Level};
use super::user::optional_secret;
use rackwright_common::Secret;
use serde::{Deserialize, Serialize};

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MailSecurity {
    /// In plain, then encrypted (RFC 3207); nothing is sent to a server that cannot.
    #[default]
    Starttls,
    /// Encrypted from the start (RFC 8314).
    Tls,
    /// In plain: for a server on the box itself.
    None,
}

/// Where a rule's notifications go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Channel {
    /// To the page.
    Page {},
    /// By mail.
    Email {
        /// Name or address of the mail server.
        server: String,
        /// Its port.
        port: u16,
        /// How it is spoken to.
        #[serde(default)]
        security: MailSecurity,
        /// User there; empty without a login. The rule's secret is the password.
        #[serde(default)]
        username: String,
        /// Sender.
        from: String,
        /// Recipients.
        to: Vec<String>,
        /// PEM of the authority that the server's certificate is of, when the box does not know it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<String>,
    },
    /// As an HTTP POST of JSON, signed with the rule's secret.
    Webhook {
        /// Where to.
        url: String,
        /// PEM of the authority that the receiver's certificate is of, when the box does not know it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<String>,
    },
}

impl Channel {
    /// In a word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Page {} => "page",
            Self::Email { .. } => "email",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// Which events are told, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotificationRule {
    /// Name: lower-case letters, digits, hyphens.
    #[serde(default)]
    pub name: String,
    /// It looks at events.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Kinds of events; `machine.*` is all of a noun's; all when empty.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Events of at least this level.
    #[serde(default = "warning")]
    pub level: Level,
    /// About machines that are in this pool, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Where they go.
    pub channel: Channel,
    /// A new password of the mail server, or key of the webhook's signature; the stored one stays when absent. Never told.
    #[serde(default, with = "optional_secret", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, write_only)]
    pub secret: Option<Secret<String>>,
    /// There is a secret.
    #[serde(default)]
    #[schema(read_only)]
    pub has_secret: bool,
}

fn yes() -> bool {
    true
}

fn warning() -> Level {
    Level::Warning
}

/// What has become of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationState {
    /// It is on the page.
    Shown,
    /// It is to be sent, for the first time or again.
    Pending,
    /// Its receiver has it.
    Sent,
    /// Its receiver did not take it in two days, and is not asked again.
    Failed,
}

impl NotificationState {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }

    /// Of a stored name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Shown, Self::Pending, Self::Sent, Self::Failed].into_iter().find(|s| s.as_str() == text)
    }
}

/// An event that a rule let through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Notification {
    /// Number.
    pub id: i64,
    /// The rule.
    pub rule: String,
    /// What has become of it.
    pub state: NotificationState,
    /// On the page, and the caller has not said that they have seen it.
    #[serde(default)]
    pub unread: bool,
    /// Times it was tried.
    pub attempt: i32,
    /// Why the last try failed.
    #[serde(default)]
    pub error: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// When its receiver took it.
    #[serde(default)]
    pub sent_at: Option<Timestamp>,
    /// What happened.
    pub event: Event,
}

/// Which notifications.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NotificationQuery {
    /// In this state; those on the page when absent. Others are for administrators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<NotificationState>,
    /// Those before this number; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// At most this many, 1 to 1000; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// Up to where somebody has seen the notifications on the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotificationsSeen {
    /// Number of the last one that they have seen.
    pub upto: i64,
}
