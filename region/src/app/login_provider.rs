//! Logging in at an OpenID Connect provider. Local users log in as before, so a provider that is gone locks out nobody but its
//! own. Its setting is in `setting`.

mod setting;

pub use setting::{delete, get, label, put};

use super::{App, Change, Error, Result, audit, json, session, user};
use crate::auth::openid::{Client, Identity, OpenIdError, Pending};
use crate::auth::{Actor, token};
use crate::db;
use crate::model::Role;
use crate::model::login_provider::LoginProvider;
use crate::model::user::{Session, User};
use rackwright_common::Secret;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::net::IpAddr;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

/// How long somebody may take at the provider, seconds.
const WITHIN: i64 = 600;

async fn provider(app: &App) -> Result<(LoginProvider, Option<Secret<String>>)> {
    let found = db::login_provider::find(&mut *app.read().await?).await?;
    let (provider, sealed) = found.ok_or_else(setting::none)?;
    let secret = sealed.map(|sealed| app.keys().open(&sealed)).transpose().map_err(Error::internal)?;
    let secret = secret.map(|bytes| Secret::new(String::from_utf8_lossy(bytes.expose()).into_owned()));
    Ok((provider, secret))
}

fn refused(error: OpenIdError) -> Error {
    tracing::warn!(error = &error as &dyn std::error::Error, "a login at the provider failed");
    match error {
        OpenIdError::Unreachable { .. } => Error::Busy(error.to_string()),
        OpenIdError::Setup(_)
        | OpenIdError::Answer(_)
        | OpenIdError::Refused(_)
        | OpenIdError::Token(_)
        | OpenIdError::Claim(_) => Error::Forbidden(error.to_string()),
    }
}

/// Where to send the browser, and what it has to keep until it is back.
pub async fn begin(app: &App, next: &str) -> Result<(String, Secret<String>)> {
    let (provider, secret) = provider(app).await?;
    let pending = Pending {
        state: token::random(),
        nonce: token::random(),
        verifier: token::random(),
        next: next.to_owned(),
        began: OffsetDateTime::now_utc().unix_timestamp(),
    };
    let client = Client::new(&provider, secret, &app.login).map_err(refused)?;
    let url = client.begin(&pending).await.map_err(refused)?;
    Ok((url, pending.seal(app.keys())))
}

/// Where somebody ends their session at the provider, if there is such a place.
pub async fn leave(app: &App) -> Result<Option<String>> {
    let (provider, secret) = provider(app).await?;
    let client = Client::new(&provider, secret, &app.login).map_err(refused)?;
    client.end_session().await.map_err(refused)
}

/// What the browser came back with.
#[derive(Debug, Clone)]
pub struct Return {
    /// The provider's code.
    pub code: String,
    /// The state that it was sent away with.
    pub state: String,
    /// What went wrong at the provider, in its word (RFC 6749 section 4.1.2.1); empty when nothing did.
    pub error: String,
    /// What it kept.
    pub kept: Secret<String>,
}

/// Begins a session of whoever the provider says it is; also where they wanted to go.
pub async fn finish(
    app: &App,
    back: &Return,
    (from, program): (Option<IpAddr>, &str),
) -> Result<(Secret<String>, Session, String)> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let pending = Pending::open(app.keys(), &back.kept).filter(|p| (0..WITHIN).contains(&(now - p.began)));
    let pending = pending.filter(|p| p.state.as_bytes().ct_eq(back.state.as_bytes()).into());
    let pending = pending.ok_or(Error::Unauthenticated(
        "this login took longer than ten minutes, or was begun in another browser; try again",
    ))?;
    if !back.error.is_empty() {
        let word: String = back.error.chars().filter(char::is_ascii_graphic).take(60).collect();
        return Err(Error::Forbidden(format!("the login provider let nobody in ({word})")));
    }
    let (provider, secret) = provider(app).await?;
    let client = Client::new(&provider, secret, &app.login).map_err(refused)?;
    let identity = client.finish(&pending, &back.code, now).await.map_err(refused)?;
    let mut tx = app.begin().await?;
    let user = enter(&mut tx, &provider, &identity, from).await?;
    let message = format!("{} logged in at {}", user.name, provider.issuer);
    let (cookie, session) = session::begin(&mut tx, user, (from, program), message).await?;
    tx.commit().await?;
    Ok((cookie, session, pending.next))
}

/// What the provider's groups give somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Given {
    /// They may not log in.
    Nothing,
    /// It says nothing of roles: they have those that they have here.
    Unsaid,
    /// These roles.
    Roles { role: Role, pools: BTreeMap<String, Role>, restricted: bool },
}

fn given(provider: &LoginProvider, groups: &[String]) -> Given {
    if provider.roles.is_empty() && provider.default_role.is_none() {
        return Given::Unsaid;
    }
    let mut everywhere = provider.default_role;
    let mut pools: BTreeMap<String, Role> = BTreeMap::new();
    for given in provider.roles.iter().filter(|given| groups.contains(&given.group)) {
        match &given.pool {
            None => everywhere = everywhere.max(Some(given.role)),
            Some(pool) => {
                let role = pools.entry(pool.clone()).or_insert(given.role);
                *role = given.role.max(*role);
            }
        }
    }
    match everywhere {
        None if pools.is_empty() => Given::Nothing,
        // Only what their pools hold is theirs to see.
        None => Given::Roles { role: Role::Viewer, pools, restricted: true },
        Some(role) => Given::Roles { role, pools, restricted: false },
    }
}

/// The user of this identity, with the roles of their groups.
async fn enter(
    conn: &mut PgConnection,
    provider: &LoginProvider,
    who: &Identity,
    from: Option<IpAddr>,
) -> Result<User> {
    let given = given(provider, &who.groups);
    if given == Given::Nothing {
        return Err(Error::Forbidden(format!(
            "at the login provider, {} is in none of the groups that may log in here; an administrator says which (`rackwright login-provider set`), \
             and the provider which of them are in the claim `{}`",
            who.name, provider.groups_claim
        )));
    }
    let found = db::login_provider::find_user(conn, &who.subject).await?;
    let id = match found {
        Some(id) => id,
        None => create(conn, provider, who, &given).await?,
    };
    let mut row = db::user::get(conn, id).await?;
    if row.user.disabled {
        return Err(Error::Forbidden(format!(
            "the user {} is disabled; an administrator may change that",
            row.user.name
        )));
    }
    let before = row.user.clone();
    if let Given::Roles { role, pools, restricted } = given {
        (row.user.role, row.user.pools, row.user.restricted) = (role, pools, restricted);
    }
    if found.is_some() && before == row.user {
        return Ok(row.user);
    }
    if before.role == Role::Administrator && row.user.role != Role::Administrator {
        user::keep_an_administrator(conn, id).await?;
    }
    db::user::update(conn, &row).await?;
    db::user::set_pools(conn, id, &row.user.pools).await?;
    let change = Change {
        kind: if found.is_none() { "user.created" } else { "user.changed" },
        message: format!("{} has the roles that the login provider gives", row.user.name),
        before: found.map_or(serde_json::Value::Null, |_| json(&before)),
        after: json(&row.user),
        ..Change::default()
    };
    audit(conn, &Actor::new(id, row.user.name.as_str(), row.user.role, from), change).await?;
    Ok(row.user)
}

/// Makes the user of an identity that nobody here has; its number.
async fn create(
    conn: &mut PgConnection,
    provider: &LoginProvider,
    who: &Identity,
    given: &Given,
) -> Result<i64> {
    let cure = |name: &str| {
        format!(
            "an administrator may say who that is: rackwright user set {name} --subject '{}'",
            who.subject
        )
    };
    if db::user::find(conn, &who.name).await?.is_some() {
        // Whoever can choose a name at the provider must not become somebody here.
        return Err(Error::conflict(format!(
            "the user {} here may be somebody else than at the login provider; {}",
            who.name,
            cure(&who.name)
        )));
    }
    let role = match given {
        Given::Roles { role, .. } if provider.create_users => *role,
        Given::Roles { .. } | Given::Unsaid | Given::Nothing => {
            return Err(Error::Forbidden(format!(
                "nobody has entered {} here yet; {}",
                who.name,
                cure("NAME")
            )));
        }
    };
    let id = db::user::insert(conn, &who.name, role, None).await?;
    let mut row = db::user::get(conn, id).await?;
    row.user.subject = Some(who.subject.clone());
    db::user::update(conn, &row).await?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn groups_give_the_highest_of_each_place() {
        let provider = |default: serde_json::Value, roles: &[&str]| {
            LoginProvider {
            roles: roles.iter().map(|text| text.parse().unwrap()).collect(),
            ..serde_json::from_value(json!({
                "issuer": "https://id.example", "client_id": "x", "base_url": "https://rw.example", "label": "x",
                "default_role": default }))
            .unwrap()
        }
        };
        let all = ["ops=operator", "all=viewer", "gpu=user@gpu", "gpu-ops=operator@gpu"];
        let of = |default, groups: &[&str]| {
            given(&provider(default, &all), &groups.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>())
        };
        let roles = |role, pools: &[(&str, Role)], restricted| Given::Roles {
            role,
            pools: pools.iter().map(|(pool, role)| ((*pool).to_owned(), *role)).collect(),
            restricted,
        };
        assert_eq!(of(json!(null), &["strangers"]), Given::Nothing);
        assert_eq!(of(json!("viewer"), &["strangers"]), roles(Role::Viewer, &[], false));
        assert_eq!(of(json!(null), &["all", "ops"]), roles(Role::Operator, &[], false));
        let pool = [("gpu", Role::Operator)];
        assert_eq!(of(json!(null), &["gpu", "gpu-ops"]), roles(Role::Viewer, &pool, true));
        assert_eq!(of(json!("user"), &["gpu", "gpu-ops"]), roles(Role::User, &pool, false));
        assert_eq!(given(&provider(json!(null), &[]), &["ops".to_owned()]), Given::Unsaid);
    }
}
