//! `cargo xtask bench boot|api`: runs the benchmarks of `rackwright-tests`.

use crate::arguments::Arguments;
use crate::{build, setup};
use anyhow::{Result, bail, ensure};
use std::process::ExitCode;

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
    let rest = arguments.rest();
    let mut line = vec!["run", "--release", "--package", "rackwright-tests", "--bin", &program, "--"];
    line.extend(rest.iter().map(String::as_str));
    build::cargo(&line, &[])?;
    Ok(ExitCode::SUCCESS)
}
