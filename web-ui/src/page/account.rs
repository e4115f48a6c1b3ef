//! One's own password, tokens and keys. A refusal shows the page again, with the reason at its field.

use super::{Shown, go, now, number};
use crate::error::{PageError, describe, log};
use crate::view::account::{AccountPage, Made};
use crate::view::form::Form;
use crate::view::group::encoded;
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use rackwright_common::Secret;
use rackwright_region::api::actor::COOKIE;
use rackwright_region::app::{App, Error, session, user};
use rackwright_region::model::user::{NewSshKey, NewToken, SessionQuery, UserPatch};

/// The page.
pub async fn show(State(app): State<App>, visitor: Visitor) -> Shown<AccountPage> {
    page(&app, &visitor).await
}

async fn page(app: &App, visitor: &Visitor) -> Shown<AccountPage> {
    let own = SessionQuery::default();
    let sessions = session::list(app, &visitor.actor, &own, Some(&visitor.cookie)).await?.items;
    let tokens = user::tokens(app, &visitor.actor).await?.items;
    let keys = user::ssh_keys(app, &visitor.actor).await?.items;
    Ok(AccountPage::new(visitor.layout("Account"), &visitor.actor, (&tokens, &keys, &sessions), now()))
}

/// The page again, with a refusal in one of its forms.
async fn refuse(
    app: &App,
    visitor: &Visitor,
    fields: &Fields,
    error: Error,
    form: impl Fn(&mut AccountPage) -> Option<&mut Form>,
) -> Shown<Response> {
    log(&error);
    let mut page = page(app, visitor).await?;
    match form(&mut page) {
        Some(form) => *form = form.clone().refused(fields, &error),
        None => return Err(error.into()),
    }
    Ok((describe(&error).0, page).into_response())
}

/// Makes a token. Its secret is in this answer and nowhere else, so there is no way back to it.
pub async fn create_token(State(app): State<App>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let days = fields.filled("days").map(|text| text.trim().parse::<u16>()).transpose();
    let made = match days {
        Ok(days) => {
            let role = fields.filled("role").and_then(|role| role.parse().ok());
            let new = NewToken { name: fields.text("name").trim().to_owned(), days, role };
            user::create_token(&app, &visitor.actor, &new).await
        }
        Err(_) => Err(Error::invalid("days", "this is not a number of days")),
    };
    match made {
        Ok(made) => {
            let shown = page(&app, &visitor).await?;
            let made = Some(Made { name: made.token.name, secret: made.secret });
            Ok(AccountPage { made, ..shown }.into_response())
        }
        Err(error) => refuse(&app, &visitor, &fields, error, |page| Some(&mut page.token_form)).await,
    }
}

/// Removes a token.
pub async fn delete_token(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Shown<Response> {
    user::delete_token(&app, &posted.visitor.actor, number("token", &id)?).await?;
    Ok(go("/account"))
}

/// Adds an SSH key.
pub async fn create_key(State(app): State<App>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let new = NewSshKey { public_key: fields.text("public_key") };
    match user::create_ssh_key(&app, &visitor.actor, &new).await {
        Ok(_) => Ok(go("/account")),
        Err(error) => refuse(&app, &visitor, &fields, error, |page| page.key_form.as_mut()).await,
    }
}

/// Removes an SSH key.
pub async fn delete_key(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Shown<Response> {
    user::delete_ssh_key(&app, &posted.visitor.actor, number("SSH key", &id)?).await?;
    Ok(go("/account"))
}

/// Ends a session.
pub async fn end_session(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Shown<Response> {
    session::end(&app, &posted.visitor.actor, number("session", &id)?).await?;
    let back = posted.fields.filled("user").map(|name| format!("/users/{}", encoded(&name)));
    Ok(go(back.as_deref().unwrap_or("/account")))
}

/// Both fields of a new password, if they are the same.
pub fn new_password(fields: &Fields) -> Result<Secret<String>, Error> {
    let (word, again) = (fields.text("password"), fields.text("again"));
    if word == again {
        Ok(Secret::new(word))
    } else {
        Err(Error::invalid("again", "the two are not the same"))
    }
}

/// Changes the password, which ends all sessions.
pub async fn change_password(
    State(app): State<App>,
    jar: CookieJar,
    posted: Posted,
) -> Result<Response, PageError> {
    let Posted { visitor, fields } = posted;
    let changed = match new_password(&fields) {
        Ok(word) => {
            let patch = UserPatch { password: Some(word), ..UserPatch::default() };
            user::update(&app, &visitor.actor, &visitor.actor.name, &patch).await
        }
        Err(error) => Err(error),
    };
    match changed {
        Ok(_) => Ok((jar.remove(Cookie::build(COOKIE).path("/")), go("/login")).into_response()),
        Err(error) => refuse(&app, &visitor, &fields, error, |page| Some(&mut page.password_form)).await,
    }
}
