//! The chassis program of the lab, for tests that have no `xtask` at hand.

use anyhow::{Result, bail};
use std::path::Path;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [command, folder, operations @ ..] if command == "chassis" => {
            print!("{}", rackwright_lab::chassis::run(Path::new(folder), operations)?);
            Ok(())
        }
        [command, prefix] if command == "destroy" => rackwright_lab::Lab::destroy(prefix),
        _ => bail!("usage: rackwright-lab chassis FOLDER OPERATION… | rackwright-lab destroy PREFIX"),
    }
}
