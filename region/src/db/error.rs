//! What can go wrong in the database, by meaning.

/// A database error. Constraint violations carry the constraint's name, so that `app` can say which field is at
/// fault; nothing else of the database's text reaches a client.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A constraint refused the change.
    #[error("the change violates `{constraint}`")]
    Constraint {
        /// The constraint's name.
        constraint: String,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// There is no such row.
    #[error("no such row")]
    NotFound,
    /// The row was changed by somebody else since it was read: nothing was written.
    #[error("lost the race: somebody else changed it")]
    Stale,
    /// The migrations could not be applied.
    #[error("the database schema cannot be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The server is of a version that lacks what we use.
    #[error("PostgreSQL {found} is too old: version 15 or newer is needed")]
    TooOld {
        /// Its major version.
        found: u32,
    },
    /// The server takes no changes.
    #[error(
        "the database is read-only, a standby perhaps: `database_url` has to name the server that takes changes"
    )]
    ReadOnly,
    /// The schema has lost something that this version works with.
    #[error(
        "the database was used by a newer version of Rackwright, and is not usable for this one any more (it knows migrations up \
         to {newest}, and {needs} is needed); run that version, or restore a backup"
    )]
    TooNew {
        /// The migration that one has to know.
        needs: i64,
        /// The newest that this program knows.
        newest: i64,
    },
    /// A row holds what this version does not understand.
    #[error("a stored {what} makes no sense")]
    Corrupt {
        /// Which value.
        what: &'static str,
    },
    /// The connection or the server.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
}

/// Classes of SQLSTATE (PostgreSQL, appendix A) that speak of the server's state and not of the statement: broken
/// connections, no room or memory, shutting down or starting up, a standby, its own disk.
const OUTAGES: [&str; 5] = ["08", "53", "57P", "25006", "58"];

impl DbError {
    /// Whether the server is at fault and the same statement may succeed in a while.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable(sqlx::Error::Database(said)) => {
                said.code().is_some_and(|code| OUTAGES.iter().any(|class| code.starts_with(class)))
            }
            // What `database_url` says makes no sense.
            Self::Unavailable(sqlx::Error::Configuration(_)) => false,
            Self::Unavailable(_) | Self::ReadOnly => true,
            Self::Constraint { .. }
            | Self::NotFound
            | Self::Stale
            | Self::Migrate(_)
            | Self::TooOld { .. }
            | Self::TooNew { .. }
            | Self::Corrupt { .. } => false,
        }
    }

    /// Whether it was given text that PostgreSQL cannot keep: the character NUL, alone (SQLSTATE 22021) or in JSON (22P05).
    pub fn is_bad_text(&self) -> bool {
        matches!(self, Self::Unavailable(sqlx::Error::Database(said)) if said.code().is_some_and(|c| c == "22021" || c == "22P05"))
    }

    /// Whether a standby refused to be written to (SQLSTATE 25006).
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::ReadOnly => true,
            Self::Unavailable(sqlx::Error::Database(said)) => said.code().is_some_and(|code| code == "25006"),
            _ => false,
        }
    }

    /// Whether the database has no room to write (SQLSTATE 53100).
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Unavailable(sqlx::Error::Database(said)) if said.code().is_some_and(|c| c == "53100"))
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::Database(db) => match db.constraint() {
                Some(name) => Self::Constraint { constraint: name.to_owned(), source: error },
                None => Self::Unavailable(error),
            },
            _ => Self::Unavailable(error),
        }
    }
}
