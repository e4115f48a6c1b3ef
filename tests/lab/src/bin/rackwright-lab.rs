//! The programs that BMC simulators call, for tests that have no `xtask` at hand.

use anyhow::{Result, bail};
use std::path::Path;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [command, folder, operations @ ..] if command == "chassis" => {
            print!("{}", rackwright_lab::chassis::run(Path::new(folder), operations)?);
            Ok(())
        }
        [command, folder, arguments @ ..] if command == "lan-config" => {
            print!("{}", rackwright_lab::lan_config::run(Path::new(folder), arguments)?);
            Ok(())
        }
        [command, prefix] if command == "destroy" => rackwright_lab::Lab::destroy(prefix),
        _ => {
            bail!("usage: rackwright-lab chassis|lan-config FOLDER ARGUMENT… | rackwright-lab destroy PREFIX")
        }
    }
}
