//! The scripts that come with Rackwright. A new release brings new versions; the old ones stay beside the results
//! that refer to them.

use super::metadata::{self, HeaderError};
use crate::db::{self, DbError};
use sqlx::PgPool;

macro_rules! scripts {
    ($($name:literal),* $(,)?) => {
        /// File name and text of every built-in script.
        pub const SCRIPTS: &[(&str, &str)] = &[$(($name, include_str!(concat!("builtin/", $name, ".sh")))),*];
    };
}

scripts!(
    "cpu-quick",
    "cpu-stress",
    "disk-badblocks",
    "disk-quick",
    "disk-read",
    "disk-smart",
    "memory-memtester",
    "memory-quick",
    "memory-stress",
    "network-gateway",
    "network-link",
    "network-quick",
    "ntp-offset",
);

/// A built-in script could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Its header is wrong; a test keeps this from happening.
    #[error("the built-in script {name} has a wrong header")]
    Header {
        /// Which.
        name: &'static str,
        /// What is wrong.
        #[source]
        source: HeaderError,
    },
    /// The database.
    #[error("the built-in scripts could not be stored")]
    Db(#[from] DbError),
}

/// Stores every built-in script whose text is new; how many there were. Regions that start at the same time store
/// each once.
pub async fn install_builtin(pool: &PgPool) -> Result<usize, InstallError> {
    let mut stored = 0;
    let mut tx = pool.begin().await.map_err(DbError::from)?;
    db::script::lock(&mut tx).await?;
    for (name, body) in SCRIPTS {
        let metadata = metadata::parse(body).map_err(|source| InstallError::Header { name, source })?;
        let current = db::script::find(&mut tx, name, None).await?;
        if current.is_none_or(|script| !script.builtin || script.body.as_deref() != Some(*body)) {
            db::script::insert(&mut tx, &metadata, body, true).await?;
            stored += 1;
        }
    }
    tx.commit().await.map_err(DbError::from)?;
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::setting::QUICK_TESTS;
    use rackwright_common::script::ScriptType;

    #[test]
    fn every_header_is_right_and_complete() {
        for (name, body) in SCRIPTS {
            let metadata = metadata::parse(body).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(metadata.name, *name);
            assert_eq!(metadata.script_type, ScriptType::Testing, "{name}");
            assert!(metadata.timeout_seconds > 0 && !metadata.title.is_empty(), "{name}");
            assert!(!metadata.destructive || metadata.tags.iter().any(|t| t == "noauto"), "{name}");
        }
    }

    #[test]
    fn the_quick_tests_need_no_toolbox() {
        for name in QUICK_TESTS {
            let (_, body) = SCRIPTS.iter().find(|(n, _)| *n == name).unwrap();
            assert!(!metadata::parse(body).unwrap().toolbox, "{name}");
        }
    }
}
