//! What people are told, and by which rules.

use super::form::{Field, Form};
use super::{Layout, Pill, Tone};
use crate::command;
use crate::format::Moment;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::event::Level;
use rackwright_region::model::notification::{
    Channel, MailSecurity, Notification, NotificationRule, NotificationState,
};
use time::OffsetDateTime;

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Since when.
    pub at: Moment,
    /// Level of its event, unless it is the ordinary one.
    pub level: Option<Pill>,
    /// One sentence.
    pub message: String,
    /// Stable name.
    pub kind: String,
    /// Machine.
    pub machine: String,
    /// The rule that let it through.
    pub rule: String,
    /// New, or what became of it.
    pub state: Option<Pill>,
    /// Why the last try failed.
    pub error: String,
}

impl Row {
    fn new(n: &Notification, now: OffsetDateTime) -> Self {
        let state = match n.state {
            NotificationState::Shown if n.unread => Some(Pill::new(Tone::Busy, "New")),
            NotificationState::Shown => None,
            NotificationState::Sent => Some(Pill::new(Tone::Good, "Sent")),
            NotificationState::Failed => Some(Pill::new(Tone::Bad, "Given up")),
            NotificationState::Pending if n.attempt > 0 => {
                Some(Pill::new(Tone::Warning, format!("Tried {} times", n.attempt)))
            }
            NotificationState::Pending => Some(Pill::new(Tone::Busy, "Pending")),
        };
        Self {
            at: Moment::new(n.created_at, now),
            level: match n.event.level {
                Level::Debug | Level::Info => None,
                Level::Warning => Some(Pill::new(Tone::Warning, "Warning")),
                Level::Error => Some(Pill::new(Tone::Bad, "Error")),
            },
            message: n.event.message.clone(),
            kind: n.event.kind.clone(),
            machine: n.event.machine.as_ref().map(ToString::to_string).unwrap_or_default(),
            rule: n.rule.clone(),
            state,
            error: n.error.clone().unwrap_or_default(),
        }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRow {
    /// Name.
    pub name: String,
    /// Least level.
    pub level: String,
    /// Kinds of events.
    pub kinds: String,
    /// Pool.
    pub pool: String,
    /// Where to.
    pub to: String,
    /// It looks at nothing.
    pub disabled: Option<Pill>,
}

impl RuleRow {
    fn new(r: &NotificationRule) -> Self {
        Self {
            name: r.name.clone(),
            level: r.level.to_string(),
            kinds: r.kinds.join(" "),
            pool: r.pool.clone().unwrap_or_default(),
            to: match &r.channel {
                Channel::Page {} => "this page".into(),
                Channel::Email { to, .. } => to.join(" "),
                Channel::Webhook { url, .. } => url.clone(),
            },
            disabled: (!r.enabled).then(|| Pill::new(Tone::Warning, "Disabled")),
        }
    }
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "notifications.html")]
pub struct NotificationsPage {
    /// Around it.
    pub layout: Layout,
    /// Newest first.
    pub rows: Vec<Row>,
    /// Other states for administrators: address, label, whether it is this one.
    pub states: Vec<(String, &'static str, bool)>,
    /// The number of the newest, where there are new ones.
    pub newest: Option<i64>,
    /// All rules, for administrators.
    pub rules: Option<Vec<RuleRow>>,
    /// Makes a rule, or changes it, for administrators.
    pub form: Option<Form>,
    /// Those before these.
    pub older: Option<String>,
}

impl NotificationsPage {
    /// Of notifications in a state, newest first; and for administrators the rules, of which one may be chosen.
    pub fn new(
        layout: Layout,
        notifications: &[Notification],
        state: Option<NotificationState>,
        (rules, chosen): (Option<&[NotificationRule]>, Option<&str>),
        now: OffsetDateTime,
    ) -> Self {
        let state = state.unwrap_or(NotificationState::Shown);
        let states = [
            (NotificationState::Shown, "On this page"),
            (NotificationState::Pending, "To be sent"),
            (NotificationState::Sent, "Sent"),
            (NotificationState::Failed, "Given up"),
        ];
        let states =
            states.map(|(s, label)| (format!("/notifications?state={}", s.as_str()), label, s == state));
        let full = notifications.last().filter(|_| notifications.len() >= 100);
        Self {
            rows: notifications.iter().map(|n| Row::new(n, now)).collect(),
            states: if rules.is_some() { states.into() } else { Vec::new() },
            newest: notifications.iter().find(|n| n.unread).map(|n| n.id),
            rules: rules.map(|rules| rules.iter().map(RuleRow::new).collect()),
            form: rules.map(|rules| {
                form(&layout.csrf, rules.iter().find(|rule| Some(rule.name.as_str()) == chosen))
            }),
            older: full.map(|last| format!("/notifications?state={}&before={}", state.as_str(), last.id)),
            layout,
        }
    }
}

fn choices(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect()
}

/// What a form shows of a mail server; nothing of another channel.
#[derive(Default)]
struct Mail {
    to: String,
    from: String,
    server: String,
    port: String,
    security: &'static str,
    username: String,
}

impl Mail {
    fn of(channel: Option<&Channel>) -> Self {
        let Some(Channel::Email { server, port, security, username, from, to, .. }) = channel else {
            return Self { security: "starttls", port: "587".into(), ..Self::default() };
        };
        let security = match security {
            MailSecurity::Starttls => "starttls",
            MailSecurity::Tls => "tls",
            MailSecurity::None => "none",
        };
        let (from, server, username) = (from.clone(), server.clone(), username.clone());
        Self { to: to.join(" "), from, server, port: port.to_string(), security, username }
    }
}

fn form(csrf: &str, rule: Option<&NotificationRule>) -> Form {
    let levels = choices(&[
        ("warning", "warnings and errors"),
        ("error", "errors"),
        ("info", "everything but what is for finding faults"),
        ("debug", "everything"),
    ]);
    let channels = choices(&[("page", "this page"), ("email", "mail"), ("webhook", "a webhook, signed")]);
    let securities =
        choices(&[("starttls", "STARTTLS"), ("tls", "TLS"), ("none", "none, for this box only")]);
    let channel = rule.map(|r| &r.channel);
    let mail = Mail::of(channel);
    let (url, ca) = match channel {
        Some(Channel::Webhook { url, ca }) => (url.clone(), ca.clone()),
        Some(Channel::Email { ca, .. }) => (String::new(), ca.clone()),
        Some(Channel::Page {}) | None => (String::new(), None),
    };
    let name = rule.map(|r| r.name.clone()).unwrap_or_default();
    let level = rule.map_or("warning", |r| r.level.as_str());
    let kinds = rule.map(|r| r.kinds.join(" ")).unwrap_or_default();
    let pool = rule.and_then(|r| r.pool.clone()).unwrap_or_default();
    let fields = vec![
        Field::text("name", "Name", name).hint("a rule of that name is changed").required(),
        Field::check("enabled", "It looks at events", rule.is_none_or(|r| r.enabled)),
        Field::choice("level", "Of", levels, level),
        Field::text("kinds", "Kinds of events", kinds)
            .hint("such as “machine.* operation.failed”; empty: all"),
        Field::text("pool", "Pool", pool).hint("about machines of this pool only; empty: all"),
        Field::choice("channel", "To", channels, channel.map_or("page", Channel::as_str)),
        Field::text("channel.to", "Recipients", mail.to).hint("mail addresses"),
        Field::text("channel.from", "Sender", mail.from).hint("mail address"),
        Field::text("channel.server", "Mail server", mail.server),
        Field::text("port", "Its port", mail.port),
        Field::choice("security", "Encryption", securities, mail.security),
        Field::text("username", "User at the mail server", mail.username).hint("empty: no login"),
        Field::text("channel.url", "Webhook", url).hint("the address that is posted to"),
        Field::area("channel.ca", "Certificate authority", 3, ca.unwrap_or_default())
            .hint("PEM, when the box does not know the one of the receiver's certificate"),
        Field::password("secret", "Secret")
            .hint("the mail server's password, or the key of the webhook's signature; empty: as it is"),
    ];
    Form::new("rule", "/notifications/rules", csrf, fields)
        .titled("Rule", "Set the rule")
        .command(command::RULE_SET, Vec::new())
}

#[cfg(test)]
impl NotificationsPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let (notifications, rules) = super::sample::notifications();
        let (layout, now) = (Layout::sample("Notifications"), super::sample_now());
        Self::new(layout, &notifications, None, (Some(&rules), None), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_marked_and_rules_are_for_administrators() {
        let page = NotificationsPage::sample();
        assert_eq!(page.rows[0].state, Some(Pill::new(Tone::Busy, "New")));
        assert_eq!((&page.rows[1].state, page.newest), (&None, Some(7)));
        assert!(page.to_string().contains(r#"action="/notifications/seen""#));
        let (all, _) = super::super::sample::notifications();
        let of_all =
            NotificationsPage::new(page.layout, &all[1..], None, (None, None), super::super::sample_now());
        let html = of_all.to_string();
        assert!(!html.contains("/notifications/seen") && !html.contains("/notifications/rules"), "{html}");
    }
}
