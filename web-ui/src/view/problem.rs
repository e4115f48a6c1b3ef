//! What is not there, not allowed, or broken.

use askama::Template;
use askama_web::WebTemplate;

/// The page. It needs nothing of the region, so that it can be shown when nothing else can.
#[derive(Debug, Clone, PartialEq, Eq, Template, WebTemplate)]
#[template(path = "problem.html")]
pub struct ProblemPage {
    /// HTTP status.
    pub code: u16,
    /// In two words.
    pub title: &'static str,
    /// What was wrong and what to do.
    pub message: String,
}

#[cfg(test)]
impl ProblemPage {
    /// Every field filled with markup.
    pub fn sample() -> Self {
        Self { code: 404, title: "Not here", message: "there is no machine <script>alert(1)</script>".into() }
    }
}
