//! Logging in.

use askama::Template;
use askama_web::WebTemplate;

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "login.html")]
pub struct LoginPage {
    /// `light`, `dark`, or empty.
    pub theme: String,
    /// Token of this form.
    pub csrf: String,
    /// Where to go afterwards.
    pub next: String,
    /// The name typed.
    pub name: String,
    /// Why it was refused.
    pub refused: String,
    /// What the button of the login provider says, if there is one.
    pub provider: Option<String>,
    /// Somebody has just logged out here.
    pub left: bool,
}

#[cfg(test)]
impl LoginPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        let hostile = || "\"><script>alert(1)</script>".to_owned();
        Self {
            theme: "dark".into(),
            csrf: hostile(),
            next: hostile(),
            name: hostile(),
            refused: hostile(),
            provider: Some(hostile()),
            left: true,
        }
    }
}
