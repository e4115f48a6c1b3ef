//! One's own account: password, API tokens, SSH keys.

use super::form::{Field, Form};
use super::{Layout, Pill, Tone};
use crate::command;
use crate::format::Moment;
use askama::Template;
use askama_web::WebTemplate;
use rackwright_common::Secret;
use rackwright_region::auth::Actor;
use rackwright_region::model::Role;
use rackwright_region::model::user::{SessionInfo, SshKey, Token};
use time::OffsetDateTime;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Number.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// The most that it lets somebody do.
    pub most: String,
    /// Since when.
    pub created: Moment,
    /// Until when; none: for ever.
    pub expires: Option<Moment>,
    /// It does not work any more.
    pub expired: Option<Pill>,
    /// Last used.
    pub used: Option<Moment>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Number.
    pub id: i64,
    /// The one that shows this page.
    pub current: bool,
    /// From where.
    pub source: String,
    /// By which program.
    pub program: String,
    /// Since when.
    pub begun: Moment,
    /// Last used.
    pub used: Option<Moment>,
}

impl SessionRow {
    /// Of a session.
    pub fn new(s: &SessionInfo, now: OffsetDateTime) -> Self {
        Self {
            id: s.id,
            current: s.current,
            source: s.source.clone().unwrap_or_default(),
            program: s.program.clone().unwrap_or_default(),
            begun: Moment::new(s.created_at, now),
            used: s.last_used_at.map(|at| Moment::new(at, now)),
        }
    }
}

/// An SSH key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Number.
    pub id: i64,
    /// `ssh-ed25519`, …
    pub kind: String,
    /// The line.
    pub line: String,
    /// Its last word, which says whose it is.
    pub comment: String,
    /// Since when.
    pub created: Moment,
}

/// A token that was just made: its name and its secret, which is shown this once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Name.
    pub name: String,
    /// Secret; the `Debug` of it shows nothing.
    pub secret: Secret<String>,
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "account.html")]
pub struct AccountPage {
    /// Around it.
    pub layout: Layout,
    /// A token that was just made.
    pub made: Option<Made>,
    /// Sessions.
    pub sessions: Vec<SessionRow>,
    /// Tokens.
    pub tokens: Vec<TokenRow>,
    /// Makes one.
    pub token_form: Form,
    /// SSH keys.
    pub keys: Vec<KeyRow>,
    /// Adds one, for those who may deploy.
    pub key_form: Option<Form>,
    /// Changes the password.
    pub password_form: Form,
}

impl AccountPage {
    /// Of somebody.
    pub fn new(
        layout: Layout,
        actor: &Actor,
        (tokens, keys, sessions): (&[Token], &[SshKey], &[SessionInfo]),
        now: OffsetDateTime,
    ) -> Self {
        Self {
            made: None,
            sessions: sessions.iter().map(|s| SessionRow::new(s, now)).collect(),
            tokens: tokens.iter().map(|t| token(t, now)).collect(),
            token_form: token_form(&layout.csrf),
            keys: keys.iter().map(|k| key(k, now)).collect(),
            key_form: (actor.role >= Role::User).then(|| key_form(&layout.csrf)),
            password_form: password_form(&layout.csrf, &layout.user),
            layout,
        }
    }
}

fn token(t: &Token, now: OffsetDateTime) -> TokenRow {
    let expired = t.expires_at.is_some_and(|at| at.0 <= now);
    TokenRow {
        id: t.id,
        name: t.name.clone(),
        most: t.role.map(|role| role.to_string()).unwrap_or_default(),
        created: Moment::new(t.created_at, now),
        expires: t.expires_at.map(|at| Moment::new(at, now)),
        expired: expired.then(|| Pill::new(Tone::Warning, "Expired")),
        used: t.last_used_at.map(|at| Moment::new(at, now)),
    }
}

fn key(k: &SshKey, now: OffsetDateTime) -> KeyRow {
    let mut words = k.public_key.splitn(3, char::is_whitespace);
    let kind = words.next().unwrap_or_default().to_owned();
    KeyRow {
        id: k.id,
        kind,
        line: k.public_key.clone(),
        comment: words.nth(1).unwrap_or_default().to_owned(),
        created: Moment::new(k.created_at, now),
    }
}

fn token_form(csrf: &str) -> Form {
    let days = [("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "for ever")];
    let days = days.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let scopes = [
        ("", "what you may"),
        ("viewer", "read, and change nothing"),
        ("user", "at most what a user may"),
        ("operator", "at most what an operator may"),
    ];
    let scopes = scopes.map(|(value, label)| (value.to_owned(), label.to_owned()));
    let fields = vec![
        Field::text("name", "What it is for", "").hint("such as the program that will use it").required(),
        Field::choice("days", "It works for", days, "90"),
        Field::choice("role", "It may do", scopes, ""),
    ];
    let mut form =
        Form::new("token", "/account/tokens", csrf, fields).command(command::TOKEN_CREATE, Vec::new());
    form.submit = "Make a token".into();
    form
}

fn key_form(csrf: &str) -> Form {
    let field = Field::area("public_key", "Public key", 3, "").hint("one line of a .pub file").required();
    let mut form =
        Form::new("key", "/account/ssh-keys", csrf, vec![field]).command(command::KEY_ADD, Vec::new());
    form.submit = "Add the key".into();
    form
}

fn password_form(csrf: &str, user: &str) -> Form {
    let fields = vec![
        Field::password("password", "New password").hint("12 characters at least").required(),
        Field::password("again", "Once more").required(),
    ];
    let mut form = Form::new("password", "/account/password", csrf, fields)
        .command(command::USER_PASSWORD, vec![("user", user.to_owned())]);
    form.intro = "A new password ends all your sessions, this one too: log in again with it.".into();
    form.submit = "Change the password".into();
    form
}

#[cfg(test)]
impl AccountPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        use super::sample::{MARKUP, actor, keys, sessions, tokens};
        let page = Self::new(
            Layout::sample("Account"),
            &actor(),
            (&tokens(), &keys(), &sessions()),
            super::sample_now(),
        );
        Self { made: Some(Made { name: MARKUP.into(), secret: Secret::new(MARKUP.into()) }), ..page }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{sample, sample_now};

    #[test]
    fn a_key_is_known_by_its_comment_and_a_token_by_its_age() {
        let page = AccountPage::new(
            Layout::sample("Account"),
            &sample::actor(),
            (&sample::tokens(), &sample::keys(), &sample::sessions()),
            sample_now(),
        );
        assert_eq!(
            (page.keys[0].kind.as_str(), page.keys[0].comment.as_str()),
            ("ssh-ed25519", sample::MARKUP)
        );
        assert_eq!(page.tokens[0].expired, None);
        assert_eq!(page.tokens[1].expired, Some(Pill::new(Tone::Warning, "Expired")));
    }

    #[test]
    fn viewers_deploy_nothing_and_have_no_keys() {
        let actor = Actor { role: Role::Viewer, ..sample::actor() };
        let page = AccountPage::new(Layout::sample("Account"), &actor, (&[], &[], &[]), sample_now());
        assert!(page.key_form.is_none());
        assert!(page.to_string().contains("You have no tokens"));
    }
}
