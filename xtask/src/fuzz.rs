//! Hostile bytes for every decoder of network input, by `rackwright-fuzz`. The tests run it for some seconds, a nightly job
//! for `--seconds 600`.

use crate::arguments::Arguments;
use crate::build;
use anyhow::{Context, Result};
use rackwright_lab::state::workspace;
use std::process::{Command, ExitCode};

pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let mut given = Vec::new();
    for option in ["--seconds", "--only", "--seed", "--input"] {
        if let Some(value) = arguments.option(option)? {
            given.extend([option.to_owned(), value]);
        }
    }
    arguments.done()?;
    build::cargo(&["build", "--workspace", "--bin", "rackwright-fuzz"], &[])?;
    let program = build::target().join("debug/rackwright-fuzz");
    let mut command = Command::new(&program);
    let status = command.args(given).current_dir(workspace()).status();
    let status = status.with_context(|| program.display().to_string())?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
