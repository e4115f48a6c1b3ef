//! The one error of this crate. Each variant says what was wrong, where, and what to do; the cause stays in `source`.

use std::path::{Path, PathBuf};

/// What can go wrong while an image is built or imported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that the build calls is not installed.
    #[error("the program `{program}` is missing; install it with `apt-get install {package}`")]
    MissingProgram {
        /// Name of the executable.
        program: String,
        /// Debian package that ships it.
        package: String,
    },
    /// A program ran and said no. `tail` holds its last lines.
    #[error("`{command}` failed ({status}):\n{tail}")]
    CommandFailed {
        /// The program with its first arguments.
        command: String,
        /// Exit status as the system names it.
        status: String,
        /// The last lines it wrote.
        tail: String,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// Verb: "read", "write", "create" …
        action: &'static str,
        /// The path at fault.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The box's apt sources have nothing for the wanted release.
    #[error("no apt source on this box serves Debian `{release}` (main); name one with --mirror")]
    NoSources {
        /// Code name of the release.
        release: String,
    },
    /// A package is not in the sources.
    #[error("the apt sources have no package `{package}`; check the mirror and its components")]
    NoPackage {
        /// Name of the package.
        package: String,
    },
    /// A package did not hold a file that the build needs.
    #[error("{what} is missing from the unpacked packages: {name}")]
    MissingPart {
        /// Kind of the missing thing: "the shared library", "the program" …
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The recipe asks for something impossible.
    #[error("{0}")]
    Recipe(String),
    /// A file offered for import is not what it says it is, or is of a kind that cannot be deployed.
    #[error("{} refused: {reason}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why, as a sentence.
        reason: String,
    },
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Makes a closure that wraps an I/O error with what was tried on which path.
pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |source| Error::Io { action, path: path.to_owned(), source }
}
