//! `bench pages`: the web pages of a site with many machines, measured by `rackwright_tests::page_bench`.

use crate::arguments::Arguments;
use crate::postgres::Postgres;
use crate::{build, setup};
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// `bench pages [--machines N] [--json]`: the arguments are the program's own.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    setup::ensure_installed(setup::BENCH)?;
    let folder = build::release(&["bench-pages"])?;
    let postgres = Postgres::start()?;
    let mut command = Command::new(folder.join("bench-pages"));
    command.args(arguments.rest()).current_dir(rackwright_lab::state::workspace());
    command.env("DATABASE_URL", postgres.url("postgres"));
    let status = command.status().context("bench-pages")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
