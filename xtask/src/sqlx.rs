//! `cargo xtask sqlx`: the checked queries of `.sqlx`, made from a real PostgreSQL.
//!
//! sqlx's macros write one file per query into `SQLX_OFFLINE_DIR` when they are expanded with a database at
//! hand; that is all that is needed, so no program beside cargo is.

use crate::arguments::Arguments;
use crate::{build, postgres::Postgres};
use anyhow::{Context, Result};
use rackwright_lab::state::workspace;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Packages whose code holds checked queries, and the file whose touching makes cargo expand them again.
const PACKAGES: &[(&str, &str)] = &[("rackwright-region", "region/src/lib.rs")];

/// `sqlx [--check]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let check = arguments.flag("--check");
    arguments.done()?;
    let (kept, fresh) = (workspace().join(".sqlx"), build::target().join("sqlx-fresh"));
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    let postgres = Postgres::start()?;
    let url = postgres.migrated("sqlx")?;
    for (package, root) in PACKAGES {
        touch(&workspace().join(root))?;
        let folder = fresh.to_str().context("path of the target folder")?;
        let environment =
            [("DATABASE_URL", url.as_str()), ("SQLX_OFFLINE", "false"), ("SQLX_OFFLINE_DIR", folder)];
        build::cargo(&["check", "--package", package, "--all-targets"], &environment)?;
    }
    let (before, after) = (queries(&kept)?, queries(&fresh)?);
    if before == after {
        println!("{} queries, unchanged", after.len());
        return Ok(ExitCode::SUCCESS);
    }
    if check {
        println!(".sqlx is not what the code and the migrations say; run `cargo xtask sqlx` and commit it");
        return Ok(ExitCode::FAILURE);
    }
    replace(&kept, &before, &after)?;
    println!("{} queries written, {} before", after.len(), before.len());
    Ok(ExitCode::SUCCESS)
}

type Queries = BTreeMap<PathBuf, Vec<u8>>;

/// The files of queries, by name.
fn queries(folder: &Path) -> Result<Queries> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Queries::new()) };
    let mut found = Queries::new();
    for entry in entries {
        let name = PathBuf::from(entry?.file_name());
        if name.to_string_lossy().starts_with("query-") {
            found.insert(name.clone(), fs::read(folder.join(&name))?);
        }
    }
    Ok(found)
}

fn replace(folder: &Path, before: &Queries, after: &Queries) -> Result<()> {
    fs::create_dir_all(folder)?;
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        fs::remove_file(folder.join(name))?;
    }
    for (name, content) in after {
        fs::write(folder.join(name), content)?;
    }
    Ok(())
}

fn touch(file: &Path) -> Result<()> {
    let file = fs::File::options().append(true).open(file).with_context(|| file.display().to_string())?;
    Ok(file.set_modified(std::time::SystemTime::now())?)
}
