//! What people are told, and by which rules. The rules, and what became of what is sent, are for administrators.

use super::{Params, Shown, go, now};
use crate::error::{describe, log};
use crate::view::notification::NotificationsPage;
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use rackwright_common::Secret;
use rackwright_region::app::{App, Error, notification};
use rackwright_region::model::Role;
use rackwright_region::model::event::Level;
use rackwright_region::model::notification::{
    Channel, MailSecurity, NotificationQuery, NotificationRule, NotificationState, NotificationsSeen,
};

/// The page.
pub async fn list(State(app): State<App>, visitor: Visitor, params: Params) -> Shown<NotificationsPage> {
    page(&app, &visitor, &params).await
}

async fn page(app: &App, visitor: &Visitor, params: &Params) -> Shown<NotificationsPage> {
    let actor = &visitor.actor;
    let state = params.get("state").and_then(|text| NotificationState::parse(&text));
    let query = NotificationQuery { state, before: params.parsed("before"), limit: Some(100) };
    let found = notification::list(app, actor, &query).await?.items;
    let rules = if actor.role >= Role::Administrator {
        Some(notification::rules(app, actor).await?.items)
    } else {
        None
    };
    let chosen = params.get("rule");
    let layout = visitor.layout("Notifications");
    Ok(NotificationsPage::new(layout, &found, state, (rules.as_deref(), chosen.as_deref()), now()))
}

/// They have seen what was on the page.
pub async fn see(State(app): State<App>, posted: Posted) -> Shown<Response> {
    let upto = posted.fields.text("upto").parse();
    let upto = upto.map_err(|_| Error::invalid("upto", "this is not the number of a notification"))?;
    notification::see(&app, &posted.visitor.actor, &NotificationsSeen { upto }).await?;
    Ok(go("/notifications"))
}

/// Makes a rule, or changes it.
pub async fn save_rule(State(app): State<App>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let saved = match rule(&fields) {
        Ok(rule) => notification::put_rule(&app, &visitor.actor, &rule.name, &rule).await,
        Err(error) => Err(error),
    };
    let Err(error) = saved else { return Ok(go("/notifications")) };
    log(&error);
    let mut shown = page(&app, &visitor, &Params::default()).await?;
    shown.form = shown.form.map(|form| form.refused(&fields, &error));
    Ok((describe(&error).0, shown).into_response())
}

fn rule(fields: &Fields) -> Result<NotificationRule, Error> {
    let text = |name: &str| fields.text(name).trim().to_owned();
    let words = |name: &str| -> Vec<String> {
        let text = fields.text(name);
        text.split([' ', ',', '\n']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let ca = fields.filled("channel.ca");
    let channel = match fields.text("channel").as_str() {
        "email" => email(fields, words("channel.to"), ca)?,
        "webhook" => Channel::Webhook { url: text("channel.url"), ca },
        _ => Channel::Page {},
    };
    Ok(NotificationRule {
        name: text("name"),
        enabled: fields.ticked("enabled"),
        kinds: words("kinds"),
        level: Level::parse(&fields.text("level")),
        pool: fields.filled("pool").map(|pool| pool.trim().to_owned()),
        channel,
        secret: Some(fields.text("secret")).filter(|secret| !secret.is_empty()).map(Secret::new),
        has_secret: false,
    })
}

fn email(fields: &Fields, to: Vec<String>, ca: Option<String>) -> Result<Channel, Error> {
    let port = fields.filled("port").unwrap_or_else(|| "587".into());
    let port = port.trim().parse().map_err(|_| Error::invalid("port", format!("`{port}` is not a port")))?;
    let security = match fields.text("security").as_str() {
        "tls" => MailSecurity::Tls,
        "none" => MailSecurity::None,
        _ => MailSecurity::Starttls,
    };
    let text = |name: &str| fields.text(name).trim().to_owned();
    let (server, username, from) = (text("channel.server"), text("username"), text("channel.from"));
    Ok(Channel::Email { server, port, security, username, from, to, ca })
}

/// Removes a rule.
pub async fn delete_rule(
    State(app): State<App>,
    Path(name): Path<String>,
    posted: Posted,
) -> Shown<Response> {
    notification::delete_rule(&app, &posted.visitor.actor, &name).await?;
    Ok(go("/notifications"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Layout;
    use serde_json::json;

    #[test]
    fn a_rule_comes_back_from_the_form_that_shows_it() {
        let mail = json!({ "kind": "email", "server": "mail.example", "port": 465, "security": "tls", "username": "ann",
                           "from": "a@b.example", "to": ["c@d.example", "e@f.example"], "ca": "PEM" });
        for channel in
            [json!({ "kind": "page" }), json!({ "kind": "webhook", "url": "https://chat.example" }), mail]
        {
            let made = json!({ "name": "one", "enabled": false, "kinds": ["machine.*", "operation.failed"], "level": "error",
                               "pool": "lab", "channel": channel });
            let made: NotificationRule = serde_json::from_value(made).unwrap();
            let rules = [made.clone()];
            let layout = Layout { role: Role::Administrator, ..Layout::sample("Notifications") };
            let page = NotificationsPage::new(layout, &[], None, (Some(&rules), Some("one")), now());
            let fields = page.form.unwrap().fields;
            let again: Fields = fields.into_iter().map(|f| (f.name.to_owned(), f.value)).collect();
            assert_eq!(rule(&again).unwrap(), made);
        }
    }
}
