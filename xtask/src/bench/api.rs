//! `bench api`: lists and shows of the REST API, measured by `rackwright_tests::api_bench`.

use crate::arguments::Arguments;
use crate::postgres::Postgres;
use crate::{build, setup};
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// `bench api [--machines N[,N]] [--json]`: the arguments are the program's own.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    setup::ensure_installed(setup::BENCH)?;
    let folder = build::release(&["bench-api"])?;
    // It makes databases of its own in there and brings the schema itself.
    let postgres = Postgres::start()?;
    let mut command = Command::new(folder.join("bench-api"));
    command.args(arguments.rest()).current_dir(rackwright_lab::state::workspace());
    command.env("DATABASE_URL", postgres.url("postgres"));
    let status = command.status().context("bench-api")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
