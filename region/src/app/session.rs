//! Logging in and out, and finding out who asks.

use super::{App, Error, Result, audit};
use crate::app::Change;
use crate::auth::{Actor, limit, password, token};
use crate::db;
use crate::model::user::{Login, Session, SessionInfo, SessionQuery, User};
use crate::model::{Page, Role};
use rackwright_common::Secret;
use sqlx::PgConnection;
use std::net::IpAddr;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// What a caller shows of themselves.
#[derive(Debug, Clone)]
pub enum Credential {
    /// An API token.
    Token(Secret<String>),
    /// A session's cookie.
    Session {
        /// The cookie.
        cookie: Secret<String>,
        /// The CSRF token that came beside it.
        csrf: Option<String>,
        /// The request changes nothing, so it needs no CSRF token.
        reads_only: bool,
    },
}

/// Finds out who asks.
pub async fn authenticate(app: &App, credential: &Credential, from: Option<IpAddr>) -> Result<Actor> {
    let mut conn = app.read().await?;
    let actor = identify(&mut conn, credential, from).await?;
    if let Credential::Session { cookie, .. } = credential {
        db::session::extend(&mut conn, &token::hash(cookie.expose())).await?;
    }
    Ok(actor)
}

/// The same of somebody who goes on looking: that does not lengthen their session.
pub async fn look_again(app: &App, credential: &Credential, from: Option<IpAddr>) -> Result<Actor> {
    identify(&mut *app.read().await?, credential, from).await
}

async fn identify(conn: &mut PgConnection, credential: &Credential, from: Option<IpAddr>) -> Result<Actor> {
    match credential {
        Credential::Token(secret) => {
            let found = db::token::find_actor(conn, &token::hash(secret.expose()), from).await?;
            found.ok_or(Error::Unauthenticated(
                "this token is not known, has expired, or its user is disabled",
            ))
        }
        Credential::Session { cookie, csrf, reads_only } => {
            let hash = token::hash(cookie.expose());
            let session = db::session::find(conn, &hash).await?;
            let session = session.ok_or(Error::Unauthenticated("the session has ended; log in again"))?;
            let sent = csrf.as_deref().unwrap_or_default();
            if !reads_only && !bool::from(sent.as_bytes().ct_eq(session.csrf.as_bytes())) {
                return Err(Error::Forbidden("a change by session needs its X-CSRF-Token".into()));
            }
            let mut actor = Actor::new(session.user_id, session.name, session.role, from);
            (actor.pools, actor.restricted) = (session.pools, session.restricted);
            Ok(actor)
        }
    }
}

/// Whether somebody may still exactly what they might when they showed this.
pub async fn is_unchanged(app: &App, credential: &Credential, actor: &Actor) -> Result<bool> {
    match look_again(app, credential, actor.from).await {
        Ok(now) => Ok(now == *actor),
        Err(Error::Unauthenticated(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Begins a session; the cookie's value and what to show of it. `program` is what the caller's calls itself.
pub async fn login(
    app: &App,
    login: &Login,
    (from, program): (Option<IpAddr>, &str),
) -> Result<(Secret<String>, Session)> {
    let counted = limit::counted(&login.name, from);
    // Not a change that the caller asked for: it counts whether or not the request is carried out.
    let mut tx = app.pool().begin().await.map_err(db::DbError::from)?;
    let most = (limit::PER_NAME, limit::PER_ADDRESS);
    if let Some(seconds) = db::login_try::take(&mut tx, &counted, most).await? {
        let retry_after = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        return Err(Error::RateLimited { retry_after });
    }
    tx.commit().await.map_err(db::DbError::from)?;
    let found = db::user::find(&mut *app.read().await?, &login.name).await?;
    let stored = found.as_ref().and_then(|row| row.password_hash.clone());
    let fits = password::verify(login.password.clone(), stored).await;
    let Some(row) = found.filter(|row| fits && !row.user.disabled) else {
        tracing::warn!(from = from.map(tracing::field::display), "a login failed");
        return Err(Error::Unauthenticated("name or password is wrong"));
    };
    let mut tx = app.begin().await?;
    db::login_try::forget(&mut tx, &counted).await?;
    let message = format!("{} logged in", row.user.name);
    let begun = begin(&mut tx, row.user, (from, program), message).await?;
    tx.commit().await?;
    Ok(begun)
}

/// Begins a session of somebody who has shown who they are, and tells of it.
pub(super) async fn begin(
    conn: &mut PgConnection,
    user: User,
    (from, program): (Option<IpAddr>, &str),
    message: String,
) -> Result<(Secret<String>, Session)> {
    let (cookie, csrf) = (Secret::new(token::random()), token::random());
    let program: String = program.chars().filter(|c| !c.is_control()).take(200).collect();
    let hash = token::hash(cookie.expose());
    let expires_at = db::session::insert(conn, &hash, user.id, &csrf, (from, &program)).await?;
    let actor = Actor::new(user.id, user.name.clone(), user.role, from);
    audit(conn, &actor, Change { kind: "session.created", message, ..Change::default() }).await?;
    Ok((cookie, Session { user, csrf: Some(csrf), expires_at: Some(expires_at) }))
}

/// Ends a session.
pub async fn logout(app: &App, _actor: &Actor, cookie: &Secret<String>) -> Result<()> {
    Ok(db::session::delete(&mut *app.read().await?, &token::hash(cookie.expose())).await?)
}

/// Who asks, with the session's CSRF token when they come with one.
pub async fn current(app: &App, actor: &Actor, cookie: Option<&Secret<String>>) -> Result<Session> {
    let mut conn = app.read().await?;
    let user = db::user::get(&mut conn, actor.user_id).await?.user;
    let session = match cookie {
        Some(cookie) => db::session::find(&mut conn, &token::hash(cookie.expose())).await?,
        None => None,
    };
    Ok(Session {
        user,
        csrf: session.as_ref().map(|s| s.csrf.clone()),
        expires_at: session.map(|s| s.expires_at),
    })
}

/// Sessions that have not ended: one's own, or as administrator those of another (`*`: of everybody).
pub async fn list(
    app: &App,
    actor: &Actor,
    query: &SessionQuery,
    cookie: Option<&Secret<String>>,
) -> Result<Page<SessionInfo>> {
    actor.require(Role::Viewer)?;
    let wanted = query.user.as_deref().unwrap_or(&actor.name);
    if wanted != actor.name {
        actor.require(Role::Administrator)?;
    }
    let mut conn = app.read().await?;
    let mut found = db::session::list(&mut conn, Some(wanted).filter(|name| *name != "*")).await?;
    let here = match cookie {
        Some(cookie) => db::session::find(&mut conn, &token::hash(cookie.expose())).await?.map(|s| s.id),
        None => None,
    };
    found.iter_mut().for_each(|session| session.current = Some(session.id) == here);
    Ok(Page::whole(found))
}

/// Ends a session: one's own, or as administrator anybody's.
pub async fn end(app: &App, actor: &Actor, id: i64) -> Result<()> {
    actor.require(Role::Viewer)?;
    let own = (actor.role < Role::Administrator).then_some(actor.user_id);
    let mut tx = app.begin().await?;
    let whose = db::session::delete_by_id(&mut tx, id, own).await?;
    let whose = whose.ok_or_else(|| Error::not_found("session", id))?;
    let message = format!("A session of {whose} was ended");
    audit(&mut tx, actor, Change { kind: "session.ended", message, ..Change::default() }).await?;
    Ok(tx.commit().await?)
}
