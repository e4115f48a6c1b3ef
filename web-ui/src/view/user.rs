//! Users, for administrators.

use super::account::SessionRow;
use super::form::{Field, Form};
use super::{Layout, Pill, Tone};
use crate::command;
use crate::format::{Moment, capital};
use askama::Template;
use askama_web::WebTemplate;
use rackwright_region::model::Role;
use rackwright_region::model::user::{SessionInfo, User};
use time::OffsetDateTime;

/// What each role may do, in a few words.
const MEANING: [(Role, &str); 4] = [
    (Role::Viewer, "sees everything but secrets"),
    (Role::User, "takes, deploys and releases machines of their own"),
    (Role::Operator, "every action on every machine"),
    (Role::Administrator, "users, settings, networks, images, scripts, controllers too"),
];

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Login name.
    pub name: String,
    /// What they may do.
    pub role: String,
    /// They may not log in.
    pub state: Pill,
    /// How they log in.
    pub way: &'static str,
    /// Since when.
    pub created: Moment,
}

impl Row {
    fn new(u: &User, now: OffsetDateTime) -> Self {
        Self {
            name: u.name.clone(),
            role: capital(u.role.as_str()),
            state: if u.disabled {
                Pill::new(Tone::Warning, "Disabled")
            } else {
                Pill::new(Tone::Good, "Active")
            },
            way: match (u.has_password, u.subject.is_some()) {
                (true, true) => "password, login provider, tokens",
                (true, false) => "password, tokens",
                (false, true) => "login provider, tokens",
                (false, false) => "tokens only",
            },
            created: Moment::new(u.created_at, now),
        }
    }
}

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "users.html")]
pub struct UsersPage {
    /// Around it.
    pub layout: Layout,
    /// By name.
    pub rows: Vec<Row>,
    /// Makes one.
    pub form: Form,
}

impl UsersPage {
    /// Of all users.
    pub fn new(layout: Layout, users: &[User], now: OffsetDateTime) -> Self {
        let fields = vec![
            Field::text("name", "Name", "")
                .hint("a lower-case letter, then letters, digits, dots, hyphens or underscores")
                .required(),
            role_field(Role::User),
            Field::password("password", "Password")
                .hint("12 characters at least; empty for one who has tokens only"),
        ];
        let mut form =
            Form::new("user", "/users", &layout.csrf, fields).command(command::USER_CREATE, Vec::new());
        (form.title, form.submit) = ("New user".into(), "Make the user".into());
        Self { rows: users.iter().map(|u| Row::new(u, now)).collect(), form, layout }
    }
}

fn pools(user: &User) -> String {
    user.pools.iter().map(|(pool, role)| format!("{pool}={role}\n")).collect()
}

fn limit(user: &User) -> String {
    user.machine_limit.map(|n| n.to_string()).unwrap_or_default()
}

fn role_field(chosen: Role) -> Field {
    let choices = MEANING.map(|(role, meaning)| (role.as_str().to_owned(), format!("{role}: {meaning}")));
    Field::choice("role", "Role", choices, chosen.as_str())
        .hint("each may do what the one before it may, and more")
}

/// One user.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "user.html")]
pub struct UserPage {
    /// Around it.
    pub layout: Layout,
    /// Who.
    pub row: Row,
    /// Role, and whether they may log in.
    pub form: Form,
    /// A new password.
    pub password_form: Form,
    /// Away with them.
    pub delete_form: Form,
    /// Where they are logged in.
    pub sessions: Vec<SessionRow>,
}

impl UserPage {
    /// Of a user.
    pub fn new(layout: Layout, user: &User, sessions: &[SessionInfo], now: OffsetDateTime) -> Self {
        let sessions = sessions.iter().map(|s| SessionRow::new(s, now)).collect();
        let here = format!("/users/{}", user.name);
        let csrf = layout.csrf.as_str();
        let fields = vec![
            role_field(user.role),
            Field::area("pools", "Roles in pools", 3, pools(user))
                .hint("a pool and a role per line, such as: research=operator. It counts where it is more than the role above"),
            Field::check("restricted", "Sees the machines of those pools only", user.restricted)
                .hint("needs the role viewer above"),
            Field::text("machine_limit", "Machines at once", limit(user)).hint("that may be theirs; any number when empty"),
            Field::text("subject", "Known at the login provider by", user.subject.clone().unwrap_or_default())
                .hint("its issuer and their subject, a blank between them; empty: they do not log in there"),
            Field::check("disabled", "Disabled: may not log in, and their tokens do not work", user.disabled),
        ];
        let known = || vec![("user", user.name.clone())];
        let mut form = Form::new("user", here.as_str(), csrf, fields).command(command::USER_SET, known());
        form.title = "Access".into();
        let fields = vec![
            Field::password("password", "New password").hint("12 characters at least").required(),
            Field::password("again", "Once more").required(),
        ];
        let mut password_form = Form::new("password", format!("{here}/password"), csrf, fields)
            .command(command::USER_PASSWORD, known());
        (password_form.title, password_form.submit) = ("Password".into(), "Change the password".into());
        password_form.intro = "It ends their sessions; their tokens go on working.".into();
        let delete_form = Form::new("delete", format!("{here}/delete"), csrf, Vec::new());
        let mut delete_form = delete_form.command(command::USER_DELETE, known());
        delete_form.title = "Remove".into();
        delete_form.intro = "Their machines stay, without owner. Their tokens and keys go with them.".into();
        (delete_form.submit, delete_form.danger) = (format!("Remove {}", user.name), true);
        Self { row: Row::new(user, now), form, password_form, delete_form, sessions, layout }
    }
}

#[cfg(test)]
impl UsersPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        Self::new(Layout::sample("Users"), &super::sample::users(), super::sample_now())
    }
}

#[cfg(test)]
impl UserPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        Self::new(
            Layout::sample("Users"),
            &super::sample::users()[0],
            &super::sample::sessions(),
            super::sample_now(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_form_is_filled_with_what_they_may() {
        let page = UserPage::sample();
        let value = |name: &str| page.form.fields.iter().find(|f| f.name == name).map(|f| f.value.as_str());
        assert_eq!((value("role"), value("disabled")), (Some("operator"), Some("on")));
        assert_eq!((page.row.state, page.row.way), (Pill::new(Tone::Warning, "Disabled"), "tokens only"));
    }
}
