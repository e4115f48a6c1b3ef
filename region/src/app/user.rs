//! Users, and what belongs to each: API tokens and SSH keys.

use super::{App, Change, Error, Result, audit, json};
use crate::auth::{Actor, password, token};
use crate::db;
use crate::model::user::{CreatedToken, NewSshKey, NewToken, NewUser, SshKey, Token, User, UserPatch};
use crate::model::{Page, Role};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rackwright_common::Secret;

/// All users.
pub async fn list(app: &App, actor: &Actor) -> Result<Page<User>> {
    actor.require(Role::Administrator)?;
    Ok(Page::whole(db::user::list(&mut *app.read().await?).await?))
}

/// One user: by administrators, or oneself.
pub async fn get(app: &App, actor: &Actor, name: &str) -> Result<User> {
    if name != actor.name {
        actor.require(Role::Administrator)?;
    }
    let row = db::user::find(&mut *app.read().await?, name).await?;
    row.map(|r| r.user).ok_or_else(|| Error::not_found("user", name))
}

/// Makes a user.
pub async fn create(app: &App, actor: &Actor, new: &NewUser) -> Result<User> {
    actor.require(Role::Administrator)?;
    whole(actor)?;
    let hash = match &new.password {
        Some(word) => Some(checked_hash(word).await?),
        None => None,
    };
    let mut tx = app.begin().await?;
    let id = db::user::insert(&mut tx, &new.name, new.role, hash.as_deref()).await?;
    let user = db::user::get(&mut tx, id).await?.user;
    let change = Change {
        kind: "user.created",
        message: format!("The user {} was made, with the role {}", user.name, user.role),
        after: json(&user),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(user)
}

async fn checked_hash(word: &Secret<String>) -> Result<String> {
    if word.expose().chars().count() < password::MIN_LENGTH {
        return Err(Error::invalid(
            "password",
            format!("a password has {} characters at least", password::MIN_LENGTH),
        ));
    }
    let hash = password::hash(word.clone()).await;
    hash.ok_or_else(|| Error::internal(std::io::Error::other("the password could not be hashed")))
}

/// Changes a user. Everybody changes their own password; the rest is for administrators. A new password or a
/// disabled account ends the user's sessions.
pub async fn update(app: &App, actor: &Actor, name: &str, patch: &UserPatch) -> Result<User> {
    let is_access = patch.role.is_some()
        || patch.disabled.is_some()
        || patch.pools.is_some()
        || patch.restricted.is_some()
        || patch.machine_limit.is_some()
        || patch.subject.is_some();
    if name != actor.name || is_access {
        actor.require(Role::Administrator)?;
    }
    whole(actor)?;
    let hash = match &patch.password {
        Some(word) => Some(checked_hash(word).await?),
        None => None,
    };
    let mut tx = app.begin().await?;
    let row = db::user::find(&mut tx, name).await?;
    let mut row = row.ok_or_else(|| Error::not_found("user", name))?;
    let before = row.user.clone();
    row.user.role = patch.role.unwrap_or(row.user.role);
    row.user.disabled = patch.disabled.unwrap_or(row.user.disabled);
    row.user.has_password |= hash.is_some();
    row.user.restricted = patch.restricted.unwrap_or(row.user.restricted);
    row.user.machine_limit = patch.machine_limit.map_or(row.user.machine_limit, |n| (n != -1).then_some(n));
    row.user.subject =
        patch.subject.clone().map_or(row.user.subject, |text| Some(text).filter(|text| !text.is_empty()));
    row.user.pools = patch.pools.clone().unwrap_or(row.user.pools);
    if row.user.restricted && row.user.role > Role::Viewer {
        return Err(Error::invalid(
            "restricted",
            "who sees some pools only has the role viewer everywhere; what they may do in their pools is said by pool",
        ));
    }
    let ends_sessions = hash.is_some() || row.user.disabled;
    row.password_hash = hash.or(row.password_hash);
    let was_administrator = before.role == Role::Administrator && !before.disabled;
    let is_administrator = row.user.role == Role::Administrator && !row.user.disabled;
    if was_administrator && !is_administrator {
        keep_an_administrator(&mut tx, row.user.id).await?;
    }
    db::user::update(&mut tx, &row).await?;
    if patch.pools.is_some() {
        db::user::set_pools(&mut tx, row.user.id, &row.user.pools).await?;
    }
    if ends_sessions {
        db::session::delete_of_user(&mut tx, row.user.id).await?;
    }
    let change = Change {
        kind: "user.changed",
        message: format!("The user {name} was changed"),
        before: json(&before),
        after: json(&row.user),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(row.user)
}

/// Refuses whoever came with a limited token: with a password they could do what the token may not.
pub(super) fn whole(actor: &Actor) -> Result<()> {
    match actor.scope {
        Some(most) => {
            Err(Error::Forbidden(format!("this token is limited to the role {most}; it changes no users")))
        }
        None => Ok(()),
    }
}

pub(super) async fn keep_an_administrator(conn: &mut sqlx::PgConnection, id: i64) -> Result<()> {
    if db::user::count_other_administrators(conn, id).await? > 0 {
        return Ok(());
    }
    Err(Error::conflict("this is the last administrator; make another one first"))
}

/// Removes a user. Their machines stay, without owner.
pub async fn delete(app: &App, actor: &Actor, name: &str) -> Result<()> {
    actor.require(Role::Administrator)?;
    let mut tx = app.begin().await?;
    let row = db::user::find(&mut tx, name).await?.ok_or_else(|| Error::not_found("user", name))?;
    if row.user.role == Role::Administrator && !row.user.disabled {
        keep_an_administrator(&mut tx, row.user.id).await?;
    }
    db::user::delete(&mut tx, row.user.id).await?;
    let change = Change {
        kind: "user.deleted",
        message: format!("The user {name} was removed"),
        before: json(&row.user),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(())
}

/// The caller's tokens, without their secrets.
pub async fn tokens(app: &App, actor: &Actor) -> Result<Page<Token>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::token::list(&mut *app.read().await?, actor.user_id).await?))
}

/// Makes a token for the caller. Its secret is not told again.
pub async fn create_token(app: &App, actor: &Actor, new: &NewToken) -> Result<CreatedToken> {
    actor.require(Role::Viewer)?;
    // What a limited token makes is limited as it is.
    let role = actor.scope.map_or(new.role, |most| Some(new.role.map_or(most, |role| role.min(most))));
    if new.days == Some(0) {
        return Err(Error::invalid("days", "a token lasts one day at least"));
    }
    let secret = token::new_token();
    let mut tx = app.begin().await?;
    let made =
        db::token::insert(&mut tx, actor.user_id, &new.name, &token::hash(secret.expose()), new.days, role)
            .await?;
    let message = format!("{} made the token {}", actor.name, made.name);
    audit(&mut tx, actor, Change { kind: "token.created", message, ..Change::default() }).await?;
    tx.commit().await?;
    Ok(CreatedToken { token: made, secret })
}

/// Removes a token of the caller.
pub async fn delete_token(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::Viewer)?;
    let mut tx = app.begin().await?;
    if !db::token::delete(&mut tx, actor.user_id, id).await? {
        return Err(Error::not_found("token", id));
    }
    let message = format!("{} removed a token", actor.name);
    audit(&mut tx, actor, Change { kind: "token.deleted", message, ..Change::default() }).await?;
    tx.commit().await?;
    Ok(())
}

/// The caller's SSH keys.
pub async fn ssh_keys(app: &App, actor: &Actor) -> Result<Page<SshKey>> {
    actor.require(Role::Viewer)?;
    Ok(Page::whole(db::ssh_key::list(&mut *app.read().await?, actor.user_id).await?))
}

/// Adds an SSH key of the caller.
pub async fn create_ssh_key(app: &App, actor: &Actor, new: &NewSshKey) -> Result<SshKey> {
    actor.require(Role::User)?;
    let line = check_public_key(&new.public_key).map_err(|m| Error::invalid("public_key", m))?;
    let mut tx = app.begin().await?;
    let key = db::ssh_key::insert(&mut tx, actor.user_id, &line).await?;
    let change = Change {
        kind: "ssh-key.created",
        message: format!("{} added an SSH key", actor.name),
        after: json(&key),
        ..Change::default()
    };
    audit(&mut tx, actor, change).await?;
    tx.commit().await?;
    Ok(key)
}

/// Removes an SSH key of the caller.
pub async fn delete_ssh_key(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::User)?;
    let mut tx = app.begin().await?;
    if !db::ssh_key::delete(&mut tx, actor.user_id, id).await? {
        return Err(Error::not_found("SSH key", id));
    }
    let message = format!("{} removed an SSH key", actor.name);
    audit(&mut tx, actor, Change { kind: "ssh-key.deleted", message, ..Change::default() }).await?;
    tx.commit().await?;
    Ok(())
}

/// The line as it is stored, or what is wrong with it. A public key names its own type in its first bytes
/// (RFC 4253 §6.6), which tells it from a private key or a torn line.
pub fn check_public_key(text: &str) -> std::result::Result<String, String> {
    let line = text.trim();
    if line.lines().count() != 1 || line.contains("PRIVATE KEY") {
        return Err("give one line of a `.pub` file, such as `ssh-ed25519 AAAA… comment`".into());
    }
    let mut words = line.split_whitespace();
    let (kind, data) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let wrong = || format!("`{kind} …` is not a public key: it is `TYPE BASE64 COMMENT`, without options");
    let bytes = STANDARD.decode(data).map_err(|_| wrong())?;
    let named = bytes
        .split_first_chunk::<4>()
        .and_then(|(length, rest)| rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?));
    if named == Some(kind.as_bytes()) { Ok(line.to_owned()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann@example";

    #[test]
    fn a_public_key_is_taken_and_other_text_is_not() {
        assert_eq!(check_public_key(&format!(" {KEY}\n")).unwrap(), KEY);
        for text in
            ["", "ssh-ed25519", "ssh-rsa AAAAC3NzaC1lZDI1NTE5", "hello world", &format!("{KEY}\n{KEY}")]
        {
            assert!(check_public_key(text).is_err(), "{text}");
        }
        assert!(check_public_key("-----BEGIN OPENSSH PRIVATE KEY-----").unwrap_err().contains(".pub"));
    }
}
