//! Where people log in besides here.

use super::{Shown, go};
use crate::error::{describe, log};
use crate::view::login_provider::LoginProviderPage;
use crate::visitor::{Fields, Posted, Visitor};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use rackwright_common::Secret;
use rackwright_region::app::{App, Error, login_provider};
use rackwright_region::model::login_provider::LoginProvider;

/// The form.
pub async fn show(State(app): State<App>, visitor: Visitor) -> Shown<LoginProviderPage> {
    page(&app, &visitor).await
}

async fn page(app: &App, visitor: &Visitor) -> Shown<LoginProviderPage> {
    let found = match login_provider::get(app, &visitor.actor).await {
        Ok(found) => Some(found),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(LoginProviderPage::new(visitor.layout("Settings"), found.as_ref()))
}

/// Takes the form.
pub async fn save(State(app): State<App>, posted: Posted) -> Shown<Response> {
    let Posted { visitor, fields } = posted;
    let done = match typed(&fields) {
        Ok(provider) => login_provider::put(&app, &visitor.actor, &provider).await,
        Err(error) => Err(error),
    };
    let Err(error) = done else { return Ok(go("/settings/login")) };
    log(&error);
    let mut page = page(&app, &visitor).await?;
    page.form = page.form.refused(&fields, &error);
    Ok((describe(&error).0, page).into_response())
}

fn typed(fields: &Fields) -> Result<LoginProvider, Error> {
    let text = |name: &str| fields.text(name).trim().to_owned();
    let roles = fields.lines("roles").iter().map(|line| line.parse()).collect::<Result<_, _>>();
    let default_role = fields.filled("default_role").map(|role| role.parse()).transpose();
    Ok(LoginProvider {
        issuer: text("issuer"),
        client_id: text("client_id"),
        client_secret: fields.filled("client_secret").map(Secret::new),
        has_secret: false,
        base_url: text("base_url"),
        label: text("label"),
        scopes: text("scopes").split_whitespace().map(str::to_owned).collect(),
        groups_claim: text("groups_claim"),
        roles: roles.map_err(|e: String| Error::invalid("roles", e))?,
        default_role: default_role.map_err(|e: String| Error::invalid("default_role", e))?,
        create_users: fields.ticked("create_users"),
        ca: fields.filled("ca"),
    })
}

/// Forgets the provider.
pub async fn delete(State(app): State<App>, posted: Posted) -> Shown<Response> {
    login_provider::delete(&app, &posted.visitor.actor).await?;
    Ok(go("/settings/login"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Layout;

    #[test]
    fn what_the_form_was_filled_with_comes_back_from_it() {
        let pairs = [
            ("issuer", " https://id.example"),
            ("client_id", "rackwright"),
            ("base_url", "https://rw.example"),
            ("label", "Company login"),
            ("scopes", "email  groups"),
            ("groups_claim", "groups"),
            ("roles", "ops=operator\r\n\r\ngpu=user@lab\r\n"),
            ("default_role", ""),
            ("create_users", "on"),
        ];
        let fields: Fields = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let provider = typed(&fields).unwrap();
        assert_eq!((provider.roles.len(), provider.default_role, &provider.client_secret), (2, None, &None));
        let page = LoginProviderPage::new(Layout::sample("Settings"), Some(&provider));
        let again: Fields = page.form.fields.iter().map(|f| (f.name.to_owned(), f.value.clone())).collect();
        assert_eq!(typed(&again).unwrap(), provider);
    }
}
