//! Where people log in besides here: a form.

use super::Layout;
use super::form::{Field, Form};
use crate::command;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::Role;
use rackwright_region::model::login_provider::LoginProvider;

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "login_provider.html")]
pub struct LoginProviderPage {
    /// Around it.
    pub layout: Layout,
    /// Everything about the provider.
    pub form: Form,
    /// Forgets it, when there is one.
    pub delete_form: Option<Form>,
    /// The address that the provider has to allow, when there is one.
    pub redirect: String,
}

impl LoginProviderPage {
    /// Of the provider, if there is one.
    pub fn new(layout: Layout, found: Option<&LoginProvider>) -> Self {
        let csrf = layout.csrf.as_str();
        let mut form = Form::new("provider", "/settings/login", csrf, fields(found))
            .command(command::PROVIDER_SET, Vec::new());
        form.submit = "Save".into();
        let delete_form = found.map(|_| {
            Form::new("delete", "/settings/login/delete", csrf, Vec::new())
                .titled("Remove", "Remove the login provider")
                .intro("Its users stay, and log in no more; users with a password here go on as before.")
                .danger()
                .command(command::PROVIDER_DELETE, Vec::new())
        });
        let redirect = found.map(|p| format!("{}/login/return", p.base_url.trim_end_matches('/')));
        Self { form, delete_form, redirect: redirect.unwrap_or_default(), layout }
    }
}

fn fields(found: Option<&LoginProvider>) -> Vec<Field> {
    let text = |value: fn(&LoginProvider) -> String| found.map(value).unwrap_or_default();
    let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
    let secret = if found.is_some_and(|p| p.has_secret) {
        "empty: the stored one stays, unless issuer or client change"
    } else {
        "as the provider gave it; empty for a public client"
    };
    let mut roles = vec![(String::new(), "nothing: they are refused".to_owned())];
    roles.extend(Role::ALL.iter().map(|role| (role.as_str().to_owned(), role.to_string())));
    vec![
        Field::text("issuer", "Issuer", text(|p| p.issuer.clone()))
            .hint("the provider's address, as it calls itself, such as https://id.example/realms/ops")
            .required(),
        Field::text("client_id", "Client id", text(|p| p.client_id.clone())).required(),
        Field::password("client_secret", "Client secret").hint(secret),
        Field::text("base_url", "Address of these pages", text(|p| p.base_url.clone()))
            .hint("at which people open them, such as https://rackwright.example")
            .required(),
        Field::text("label", "The button says", or(text(|p| p.label.clone()), "Log in with OpenID Connect"))
            .required(),
        Field::text("scopes", "Scopes besides openid", text(|p| p.scopes.join(" ")))
            .hint("such as: profile email groups"),
        Field::text("groups_claim", "Claim with somebody's groups", or(text(|p| p.groups_claim.clone()), "groups"))
            .required(),
        Field::area(
            "roles",
            "What groups give",
            4,
            text(|p| p.roles.iter().map(|given| format!("{given}\n")).collect()),
        )
        .hint("one per line, everywhere or in a pool: ops=operator, gpu=user@lab. Without any, and with “nothing” below, users keep the roles that they have here"),
        Field::choice("default_role", "Who is in none of them gets", roles, text(|p| {
            p.default_role.map(|role| role.to_string()).unwrap_or_default()
        })),
        Field::check(
            "create_users",
            "Make users whom nobody has entered when they log in first",
            found.is_some_and(|p| p.create_users),
        ),
        Field::area("ca", "Certificate authority", 4, text(|p| p.ca.clone().unwrap_or_default()))
            .hint("PEM, when the box does not know the one of the provider's certificate"),
    ]
}

#[cfg(test)]
impl LoginProviderPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let hostile = || "\"><script>alert(1)</script>".to_owned();
        let provider = LoginProvider {
            issuer: hostile(),
            client_id: hostile(),
            client_secret: None,
            has_secret: true,
            base_url: hostile(),
            label: hostile(),
            scopes: vec![hostile()],
            groups_claim: hostile(),
            roles: Vec::new(),
            default_role: Some(Role::Viewer),
            create_users: true,
            ca: Some(hostile()),
        };
        Self::new(Layout::sample("Settings"), Some(&provider))
    }
}
