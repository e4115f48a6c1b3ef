//! Rules of who is told of what, and what is on the page.
//!
//! Rules name addresses that the regions speak to, so only administrators see and set them, and what became of what is sent.
//! Everybody sees what is on the page: about machines that they see.

use super::{App, Change, Error, Result, audit, json};
use crate::auth::Actor;
use crate::db;
use crate::model::notification::{
    Channel, Notification, NotificationQuery, NotificationRule, NotificationState, NotificationsSeen,
};
use crate::model::{Page, Role};
use crate::notify;

/// Notifications, newest first: those on the page, or for administrators those in another state.
pub async fn list(app: &App, actor: &Actor, query: &NotificationQuery) -> Result<Page<Notification>> {
    actor.require(Role::Viewer)?;
    if query.state.is_some_and(|state| state != NotificationState::Shown) {
        actor.require(Role::Administrator)?;
    }
    let (mut conn, pools) = (app.read().await?, actor.sight());
    Ok(Page::whole(db::notification::list(&mut conn, query, actor.user_id, pools.as_deref()).await?))
}

/// How many on the page the caller has not seen, counted to a hundred.
pub async fn unread(app: &App, actor: &Actor) -> Result<i64> {
    actor.require(Role::Viewer)?;
    let (mut conn, pools) = (app.read().await?, actor.sight());
    Ok(db::notification::unread(&mut conn, actor.user_id, pools.as_deref()).await?)
}

/// The caller has seen those on the page up to one of them.
pub async fn see(app: &App, actor: &Actor, seen: &NotificationsSeen) -> Result<()> {
    actor.require(Role::Viewer)?;
    let mut tx = app.begin().await?;
    db::notification::see(&mut tx, actor.user_id, seen.upto).await?;
    Ok(tx.commit().await?)
}

/// All rules, without their secrets.
pub async fn rules(app: &App, actor: &Actor) -> Result<Page<NotificationRule>> {
    actor.require(Role::Administrator)?;
    let rules = db::notification::rules(&mut *app.read().await?).await?;
    Ok(Page::whole(rules.into_iter().map(|(rule, _)| rule).collect()))
}

/// Makes a rule, or changes it.
pub async fn put_rule(
    app: &App,
    actor: &Actor,
    name: &str,
    new: &NotificationRule,
) -> Result<NotificationRule> {
    actor.require(Role::Administrator)?;
    check(new)?;
    let mut tx = app.begin().await?;
    let before = db::notification::find_rule(&mut tx, name).await?;
    // A secret is of where it goes: it is not sent to another place, nor in another way.
    let same = before.as_ref().filter(|(rule, _)| is_same_place(&rule.channel, &new.channel));
    let kept = same.and_then(|(_, secret)| secret.clone());
    let secret = new.secret.as_ref().map(|s| app.keys().seal(s.expose().as_bytes())).or(kept);
    require_secret(&new.channel, secret.is_some())?;
    let rule =
        NotificationRule { name: name.to_owned(), secret: None, has_secret: secret.is_some(), ..new.clone() };
    db::notification::put_rule(&mut tx, &rule, secret.as_deref()).await?;
    let change = Change {
        kind: "notification-rule.changed",
        message: format!("The notification rule {name} was set"),
        before: json(&before.map(|(rule, _)| for_event(&rule))),
        after: json(&for_event(&rule)),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(rule)
}

/// A rule as everybody may read it in events: of a webhook's address the host only, as the rest is often a secret.
fn for_event(rule: &NotificationRule) -> NotificationRule {
    let mut shown = rule.clone();
    if let Channel::Webhook { url, .. } = &mut shown.channel {
        let host = reqwest::Url::parse(url).ok().map(|u| u.origin().ascii_serialization());
        *url = host.unwrap_or_default();
    }
    shown
}

fn require_secret(channel: &Channel, given: bool) -> Result<()> {
    let missing = match channel {
        Channel::Webhook { .. } => "a webhook is signed: give the key that its receiver checks with",
        Channel::Email { username, .. } if !username.is_empty() => {
            "give the password of the user at the mail server"
        }
        Channel::Page {} | Channel::Email { .. } => return Ok(()),
    };
    if given { Ok(()) } else { Err(Error::invalid("secret", missing)) }
}

fn is_same_place(a: &Channel, b: &Channel) -> bool {
    match (a, b) {
        (Channel::Webhook { url: a, .. }, Channel::Webhook { url: b, .. }) => a == b,
        (
            Channel::Email { server: a, port: p, security: s, .. },
            Channel::Email { server: b, port: q, security: t, .. },
        ) => (a, p, s) == (b, q, t),
        (Channel::Page {}, Channel::Page {}) => true,
        (Channel::Page {} | Channel::Email { .. } | Channel::Webhook { .. }, _) => false,
    }
}

fn check(rule: &NotificationRule) -> Result<()> {
    if let Some(wrong) = rule.kinds.iter().find(|kind| !is_kind(kind)) {
        return Err(Error::invalid(
            "kinds",
            format!("`{wrong}` is no kind of event, such as `operation.failed` or `machine.*`"),
        ));
    }
    match &rule.channel {
        Channel::Page {} => Ok(()),
        Channel::Webhook { url, ca } => {
            if !notify::is_url(url) {
                return Err(Error::invalid(
                    "channel.url",
                    format!("`{url}` is not an http:// or https:// address"),
                ));
            }
            check_ca(ca.as_deref())
        }
        Channel::Email { from, to, ca, server, .. } => {
            if server.trim().is_empty() {
                return Err(Error::invalid("channel.server", "name the mail server"));
            }
            if to.is_empty() {
                return Err(Error::invalid("channel.to", "name one recipient at least"));
            }
            let wrong = [("channel.from", from)].into_iter().chain(to.iter().map(|to| ("channel.to", to)));
            if let Some((field, wrong)) = wrong.into_iter().find(|(_, address)| !notify::is_address(address))
            {
                return Err(Error::invalid(field, format!("`{wrong}` is not a mail address")));
            }
            check_ca(ca.as_deref())
        }
    }
}

fn is_kind(text: &str) -> bool {
    let stem = text.strip_suffix(".*").unwrap_or(text);
    !stem.is_empty()
        && stem.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
}

fn check_ca(pem: Option<&str>) -> Result<()> {
    let good = |pem: &str| {
        reqwest::Certificate::from_pem_bundle(pem.as_bytes()).is_ok_and(|found| !found.is_empty())
    };
    if pem.is_none_or(good) {
        return Ok(());
    }
    Err(Error::invalid(
        "channel.ca",
        "this is not the PEM text of certificates (-----BEGIN CERTIFICATE-----)",
    ))
}

/// Removes a rule; what it has let through goes with it.
pub async fn delete_rule(app: &App, actor: &Actor, name: &str) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let before = db::notification::find_rule(&mut tx, name).await?;
    if !db::notification::delete_rule(&mut tx, name).await? {
        return Err(Error::not_found("notification rule", name));
    }
    let change = Change {
        kind: "notification-rule.deleted",
        message: format!("The notification rule {name} was removed"),
        before: json(&before.map(|(rule, _)| for_event(&rule))),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    Ok(tx.commit().await?)
}
