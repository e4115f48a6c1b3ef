//! Forms: fields with their values, what was wrong with each, and what somebody else stored meanwhile.
//!
//! A field has the name that the API has for it, so that a refusal finds its field. Beside each value stands what it
//! was when the form was made: if somebody else has changed it since, the form comes back with both.

use crate::command::{self, Values};
use crate::error::sentence;
use crate::escape::Kept;
use crate::visitor::Fields;
use askama::Template;
use askama::filters::HtmlSafe;
use rackwright_region::app::Error;

/// What a field looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// One line.
    Text,
    /// Never shown, never sent back.
    Password,
    /// Several lines.
    Area {
        /// How many are shown.
        rows: u8,
    },
    /// One of some: value and label.
    Choice(Vec<(String, String)>),
    /// Yes or no; yes is `on`.
    Check,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "field.html")]
pub struct Field {
    /// Identifier on the page.
    pub id: String,
    /// Name, as in the API.
    pub name: &'static str,
    /// For people.
    pub label: String,
    /// What may stand in it.
    pub hint: String,
    /// Look.
    pub kind: Kind,
    /// What stands in it.
    pub value: String,
    /// What stood in it when the form was made.
    pub was: String,
    /// It must be filled.
    pub required: bool,
    /// For password managers; `off` where there is nothing to fill in.
    pub autocomplete: &'static str,
    /// What was wrong with it.
    pub problem: String,
    /// What somebody else stored meanwhile.
    pub meanwhile: Option<String>,
}

impl HtmlSafe for Field {}

impl Field {
    /// A value as it goes into the page and comes back.
    #[expect(clippy::unused_self, reason = "templates call methods")]
    fn kept<'a>(&self, value: &'a str) -> Kept<'a> {
        Kept(value)
    }

    /// With a value.
    pub fn new(name: &'static str, label: impl Into<String>, kind: Kind, value: impl Into<String>) -> Self {
        let value = value.into();
        Self {
            id: String::new(),
            name,
            label: label.into(),
            hint: String::new(),
            kind,
            was: value.clone(),
            value,
            required: false,
            autocomplete: "off",
            problem: String::new(),
            meanwhile: None,
        }
    }

    /// One line.
    pub fn text(name: &'static str, label: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, label, Kind::Text, value)
    }

    /// Empty, and never shown.
    pub fn password(name: &'static str, label: impl Into<String>) -> Self {
        Self { autocomplete: "new-password", ..Self::new(name, label, Kind::Password, "") }
    }

    /// Several lines.
    pub fn area(name: &'static str, label: impl Into<String>, rows: u8, value: impl Into<String>) -> Self {
        Self::new(name, label, Kind::Area { rows }, value)
    }

    /// Yes or no.
    pub fn check(name: &'static str, label: impl Into<String>, value: bool) -> Self {
        Self::new(name, label, Kind::Check, if value { "on" } else { "" })
    }

    /// One of some. A present value that is not among them is added: it is what is stored.
    pub fn choice(
        name: &'static str,
        label: impl Into<String>,
        choices: impl IntoIterator<Item = (String, String)>,
        value: impl Into<String>,
    ) -> Self {
        let (mut choices, value): (Vec<_>, String) = (choices.into_iter().collect(), value.into());
        if !choices.iter().any(|(choice, _)| *choice == value) {
            choices.push((value.clone(), value.clone()));
        }
        Self::new(name, label, Kind::Choice(choices), value)
    }

    /// What may stand in it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// It must be filled.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// What was typed stays; where nothing was typed and somebody else changed the value, theirs does.
    fn typed(&mut self, fields: &Fields) {
        if self.kind == Kind::Password {
            return;
        }
        let typed = fields.text(self.name);
        let seen = fields.find(&format!("was-{}", self.name)).unwrap_or_else(|| self.value.clone());
        let changed = seen != self.value;
        if typed != seen || !changed {
            let stored = std::mem::replace(&mut self.value, typed);
            if changed && stored != self.value {
                self.meanwhile = Some(stored);
            }
        } else {
            self.meanwhile = Some(self.value.clone());
        }
    }

    /// Its own note about what somebody else did, as a sentence.
    pub fn news(&self) -> Option<String> {
        let stored = self.meanwhile.as_ref()?;
        let shown = match &self.kind {
            Kind::Choice(choices) => {
                choices.iter().find(|(value, _)| value == stored).map_or(stored, |(_, label)| label).clone()
            }
            Kind::Check => if stored == "on" { "yes" } else { "no" }.into(),
            Kind::Text | Kind::Password | Kind::Area { .. } => stored.clone(),
        };
        Some(if shown.is_empty() {
            "Somebody has emptied this meanwhile.".into()
        } else {
            format!("Somebody has changed this meanwhile; stored is now: {shown}")
        })
    }
}

/// A form.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "form.html")]
pub struct Form {
    /// Identifier on the page.
    pub id: &'static str,
    /// Where it goes.
    pub action: String,
    /// CSRF token.
    pub csrf: String,
    /// What it is for.
    pub title: String,
    /// A sentence before the fields.
    pub intro: String,
    /// The fields.
    pub fields: Vec<Field>,
    /// Fields that nobody sees.
    pub hidden: Vec<(&'static str, String)>,
    /// Text of its button.
    pub submit: String,
    /// It destroys something.
    pub danger: bool,
    /// What was wrong with the whole.
    pub problem: String,
    /// The pattern of the command that does the same; empty when there is none.
    pub command: &'static str,
    /// What the command names besides the fields.
    pub known: Vec<(&'static str, String)>,
}

impl HtmlSafe for Form {}

impl Values for Form {
    fn now(&self, field: &str) -> String {
        let typed = self.fields.iter().find(|f| f.name == field && f.kind != Kind::Password);
        let known = || self.known.iter().find(|(name, _)| *name == field).map(|(_, value)| value.clone());
        typed.map(|f| f.value.clone()).or_else(known).unwrap_or_default()
    }

    fn was(&self, field: &str) -> String {
        let made = self.fields.iter().find(|f| f.name == field);
        made.map(|f| f.was.clone()).unwrap_or_default()
    }
}

impl Form {
    /// With these fields.
    pub fn new(id: &'static str, action: impl Into<String>, csrf: &str, fields: Vec<Field>) -> Self {
        let identify = |field: Field| Field { id: format!("{id}-{}", field.name.replace('.', "-")), ..field };
        Self {
            id,
            action: action.into(),
            csrf: csrf.to_owned(),
            title: String::new(),
            intro: String::new(),
            fields: fields.into_iter().map(identify).collect(),
            hidden: Vec::new(),
            submit: "Save".into(),
            danger: false,
            problem: String::new(),
            command: "",
            known: Vec::new(),
        }
    }

    /// With the command that does the same.
    #[must_use]
    pub fn command(self, pattern: &'static str, known: Vec<(&'static str, String)>) -> Self {
        Self { command: pattern, known, ..self }
    }

    /// With a title and the text of its button.
    #[must_use]
    pub fn titled(self, title: impl Into<String>, submit: impl Into<String>) -> Self {
        Self { title: title.into(), submit: submit.into(), ..self }
    }

    /// With a sentence before the fields.
    #[must_use]
    pub fn intro(self, intro: impl Into<String>) -> Self {
        Self { intro: intro.into(), ..self }
    }

    /// It destroys something.
    #[must_use]
    pub fn danger(self) -> Self {
        Self { danger: true, ..self }
    }

    /// The command as it is now.
    pub fn line(&self) -> String {
        command::line(self.command, self)
    }

    /// What `app.js` needs to know to keep the command up to date.
    pub fn known_json(&self) -> String {
        let known = self.known.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into()));
        serde_json::Value::Object(known.collect()).to_string()
    }

    /// With what was typed, and what was wrong: at the field at fault, where it has one.
    #[must_use]
    pub fn refused(mut self, fields: &Fields, error: &Error) -> Self {
        for field in &mut self.fields {
            field.typed(fields);
        }
        let mut message = sentence(&error.to_string());
        let fault = match error {
            Error::Invalid { field, .. } => Some(field.as_str()),
            Error::Conflict { field, .. } => *field,
            Error::PreconditionFailed { .. } => {
                message.push_str(" What somebody else has stored stands at its field; save again to go on.");
                None
            }
            _ => None,
        };
        match self.fields.iter_mut().find(|f| Some(f.name) == fault) {
            Some(field) => field.problem = message,
            None => self.problem = message,
        }
        self
    }

    /// The first field that was refused takes the focus.
    pub fn focus(&self) -> Option<&str> {
        self.fields.iter().find(|f| !f.problem.is_empty()).map(|f| f.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        let zones = [("a".to_owned(), "Row A".to_owned()), ("b".to_owned(), "Row B".to_owned())];
        let fields = vec![
            Field::text("hostname", "Name", "node-1"),
            Field::choice("zone", "Zone", zones, "a"),
            Field::password("password", "Password"),
        ];
        Form::new("edit", "/x", "csrf", fields)
    }

    fn typed(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_refusal_stands_at_its_field_and_what_was_typed_stays() {
        let sent = typed(&[("hostname", "-x"), ("zone", "b"), ("password", "hunter2hunter2")]);
        let form = form().refused(&sent, &Error::invalid("hostname", "`-x` is not a host name"));
        assert_eq!((form.fields[0].value.as_str(), form.fields[1].value.as_str()), ("-x", "b"));
        assert_eq!(form.fields[0].problem, "`-x` is not a host name.");
        assert_eq!((form.problem.as_str(), form.focus()), ("", Some("edit-hostname")));
        let html = form.to_string();
        assert!(
            html.contains(r#"aria-invalid="true""#) && html.contains(r#"id="edit-hostname-problem""#),
            "{html}"
        );
        assert!(!html.contains("hunter2"), "a password came back: {html}");
    }

    #[test]
    fn a_refusal_without_a_field_stands_above() {
        let form = form().refused(&typed(&[]), &Error::Busy("it is busy".into()));
        assert_eq!(form.problem, "It is busy.");
        assert!(form.to_string().contains(r#"role="alert">It is busy."#));
    }

    /// The form was made when the zone was `b` and the name `node-0`; stored are `a` and `node-1` now.
    #[test]
    fn what_somebody_else_stored_is_told_and_kept_unless_it_was_typed_over() {
        let sent =
            typed(&[("hostname", "mine"), ("was-hostname", "node-0"), ("zone", "b"), ("was-zone", "b")]);
        let form = form().refused(&sent, &Error::PreconditionFailed { current: 7 });
        assert_eq!(form.fields[0].value, "mine");
        assert_eq!(
            form.fields[0].news().as_deref(),
            Some("Somebody has changed this meanwhile; stored is now: node-1")
        );
        assert_eq!(form.fields[1].value, "a");
        assert!(form.fields[1].news().unwrap().ends_with("stored is now: Row A"));
        assert!(form.problem.contains("now version 7"), "{}", form.problem);
    }

    #[test]
    fn what_nobody_else_changed_says_nothing() {
        let sent =
            typed(&[("hostname", "mine"), ("was-hostname", "node-1"), ("zone", "a"), ("was-zone", "a")]);
        let form = form().refused(&sent, &Error::PreconditionFailed { current: 7 });
        assert!(form.fields.iter().all(|f| f.news().is_none()));
    }

    #[test]
    fn a_stored_value_that_is_no_choice_any_more_is_shown() {
        let field = Field::choice("zone", "Zone", [("a".to_owned(), "A".to_owned())], "gone");
        assert!(field.to_string().contains(r#"<option value="gone" selected>gone</option>"#));
    }
}
