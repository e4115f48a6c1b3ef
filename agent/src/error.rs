//! Why a piece of work was not done. The text travels to the operator, so it names the thing and the cause.

use std::io;
use std::path::Path;

/// Result of work.
pub type Result<T> = std::result::Result<T, Error>;

/// Why work ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A sentence for people.
    #[error("{0}")]
    Refused(String),
    /// The kernel said no.
    #[error("{doing}")]
    Io {
        /// What was tried, such as `write /dev/vda`.
        doing: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// A program ended badly.
    #[error("{program} failed: {detail}")]
    Program {
        /// Its name.
        program: String,
        /// Its last words, or its exit code.
        detail: String,
    },
    /// What arrived is not what was asked for.
    #[error("the download is damaged: its SHA-256 is {actual} instead of {expected}")]
    Damaged {
        /// As asked for.
        expected: String,
        /// As arrived.
        actual: String,
    },
    /// The token is no longer good: stop at once and restart.
    #[error("the region has withdrawn this boot's token")]
    Withdrawn,
}

impl Error {
    /// A refusal.
    pub fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    /// The error and its causes in one sentence.
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            text.push_str(": ");
            text.push_str(&source.to_string());
            cause = source.source();
        }
        text
    }
}

/// For `map_err`: says what was done to which path.
pub fn io(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let doing = format!("{verb} {}", path.display());
    move |source| Error::Io { doing, source }
}

/// For `map_err` where there is no path.
pub fn doing(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let doing = what.into();
    move |source| Error::Io { doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_names_the_thing_and_the_cause() {
        let error = io("write", Path::new("/dev/vda"))(io::Error::other("no space"));
        assert_eq!(error.sentence(), "write /dev/vda: no space");
    }
}
