//! A page of forms about one thing.

use super::Layout;
use super::form::Form;
use askama::Template;
use askama_web::WebTemplate;

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "editor.html")]
pub struct EditorPage {
    /// Around it.
    pub layout: Layout,
    /// What it is about.
    pub title: String,
    /// The way here: text and address.
    pub crumbs: Vec<(String, String)>,
    /// The forms, by what they are for: the first one is the page's own.
    pub forms: Vec<Form>,
}

impl EditorPage {
    /// With these forms.
    pub fn new(layout: Layout, title: impl Into<String>, crumb: (&str, &str), forms: Vec<Form>) -> Self {
        let crumbs = vec![(crumb.0.to_owned(), crumb.1.to_owned())];
        Self { layout, title: title.into(), crumbs, forms }
    }

    /// One of its forms.
    pub fn form(&mut self, id: &str) -> Option<&mut Form> {
        self.forms.iter_mut().find(|form| form.id == id)
    }
}

#[cfg(test)]
impl EditorPage {
    /// Every text is markup.
    pub fn sample() -> Self {
        use super::form::Field;
        use super::sample::MARKUP;
        let field = Field::text("name", MARKUP, MARKUP).hint(MARKUP);
        let form = Form::new("edit", "/x", "csrf", vec![field]).titled(MARKUP, MARKUP);
        let form = form.intro(MARKUP).command(crate::command::FABRIC_SET, vec![("id", MARKUP.into())]);
        Self::new(Layout::sample("Networks"), MARKUP, (MARKUP, "/networks"), vec![form])
    }
}
