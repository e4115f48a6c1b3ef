//! Which provider there is. For administrators, apart from what its button says.

use crate::app::{App, Change, Error, Result, audit, json, user::whole};
use crate::auth::Actor;
use crate::db;
use crate::model::Role;
use crate::model::login_provider::LoginProvider;

/// There is no provider.
pub(super) fn none() -> Error {
    Error::not_found("login provider", "here; an administrator sets one with `rackwright login-provider set`")
}

/// What the log-in page's button says, if there is one. Asks nobody who they are.
pub async fn label(app: &App) -> Result<Option<String>> {
    Ok(db::login_provider::label(&mut *app.read().await?).await?)
}

/// The provider, without its secret.
pub async fn get(app: &App, actor: &Actor) -> Result<LoginProvider> {
    actor.require(Role::Administrator)?;
    let found = db::login_provider::find(&mut *app.read().await?).await?;
    found.map(|(provider, _)| provider).ok_or_else(none)
}

/// Sets the provider.
pub async fn put(app: &App, actor: &Actor, new: &LoginProvider) -> Result<LoginProvider> {
    actor.require(Role::Administrator)?;
    whole(actor)?;
    check(new)?;
    let mut tx = app.begin().await?;
    let before = db::login_provider::find(&mut tx).await?;
    // A secret is of one provider and one client: it is not sent to another.
    let same = before.as_ref().filter(|(b, _)| (&b.issuer, &b.client_id) == (&new.issuer, &new.client_id));
    let kept = same.and_then(|(_, secret)| secret.clone());
    let secret = new.client_secret.as_ref().map(|s| app.keys().seal(s.expose().as_bytes())).or(kept);
    db::login_provider::put(&mut tx, new, secret.as_deref()).await?;
    let after = LoginProvider { client_secret: None, has_secret: secret.is_some(), ..new.clone() };
    let change = Change {
        kind: "login-provider.changed",
        message: format!("People log in at {} too", new.issuer),
        before: json(&before.map(|(provider, _)| provider)),
        after: json(&after),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(after)
}

fn check(new: &LoginProvider) -> Result<()> {
    for (field, text) in [("issuer", &new.issuer), ("base_url", &new.base_url)] {
        if !is_safe(text) {
            let wrong = format!(
                "`{text}` is not an https:// address; http:// is for this very box (127.0.0.1, localhost)"
            );
            return Err(Error::invalid(field, wrong));
        }
    }
    if new.create_users && new.roles.is_empty() && new.default_role.is_none() {
        let missing = "say what new users may do: roles of groups, or a role of everybody (`default_role`)";
        return Err(Error::invalid("create_users", missing));
    }
    if let Some(pem) = &new.ca
        && reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_or(true, |found| found.is_empty())
    {
        return Err(Error::invalid(
            "ca",
            "this is not the PEM text of certificates (-----BEGIN CERTIFICATE-----)",
        ));
    }
    Ok(())
}

/// Only who is on the box itself may be spoken to in plain.
fn is_safe(url: &str) -> bool {
    let Ok(parsed) = reqwest::Url::parse(url) else { return false };
    let local = matches!(parsed.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let plain =
        !url.contains(char::is_whitespace) && parsed.username().is_empty() && parsed.query().is_none();
    plain && (parsed.scheme() == "https" || (parsed.scheme() == "http" && local))
}

/// Forgets the provider. Its users stay, and log in no more.
pub async fn delete(app: &App, actor: &Actor) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    if !db::login_provider::delete(&mut tx).await? {
        return Err(none());
    }
    let message = "Nobody logs in at a provider any more".to_owned();
    audit(&mut tx, actor, Change { kind: "login-provider.deleted", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_spoken_to_encrypted_unless_it_is_on_this_box() {
        for good in [
            "https://id.example",
            "https://id.example/realms/x",
            "http://127.0.0.1:5556/dex",
            "http://[::1]:1",
        ] {
            assert!(is_safe(good), "{good}");
        }
        for wrong in [
            "http://id.example",
            "http://127.0.0.1.example/",
            "http://localhost@id.example",
            "ftp://x",
            "x",
            "https://a b",
        ] {
            assert!(!is_safe(wrong), "{wrong}");
        }
    }
}
