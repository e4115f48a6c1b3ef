//! `cargo xtask bench boot|api`: runs the benchmarks of `rackwright-tests`, built for release.

use crate::arguments::Arguments;
use crate::postgres::Postgres;
use crate::{build, setup};
use anyhow::{Context, Result, bail, ensure};
use std::process::{Command, ExitCode};

/// `bench boot|api`: each is a binary target `bench-<name>` of `rackwright-tests`; further arguments are its own.
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let name = arguments.required("boot or api")?;
    if !matches!(name.as_str(), "boot" | "api") {
        bail!("bench {name}: boot or api");
    }
    let source = rackwright_lab::state::workspace().join(format!("tests/src/bin/bench-{name}.rs"));
    ensure!(source.exists(), "the benchmark {name} is not there yet ({})", source.display());
    setup::ensure_installed(setup::BENCH)?;
    let program = format!("bench-{name}");
    build::cargo(&["build", "--release", "--package", "rackwright-tests", "--bin", &program], &[])?;
    let mut command = Command::new(build::target().join("release").join(&program));
    command.args(arguments.rest()).current_dir(rackwright_lab::state::workspace());
    // It makes databases of its own in there and brings the schema itself.
    let postgres = if name == "api" { Some(Postgres::start()?) } else { None };
    if let Some(postgres) = &postgres {
        command.env("DATABASE_URL", postgres.url("postgres"));
    }
    let status = command.status().context(program)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
