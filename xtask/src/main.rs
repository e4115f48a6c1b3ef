//! `cargo xtask …`: set-up, demo, tests, lab, benchmarks.
//!
//! Why: two commands are all that a newcomer needs, and a machine without `make`, Docker or a script language
//! is enough to run them. Light on purpose; what is slow to compile is called as a program.

mod arguments;
mod bench;
mod build;
mod chaos;
mod cluster;
mod demo;
mod deny;
mod fuzz;
mod http;
mod lab;
mod package;
mod packages;
mod postgres;
mod previous;
mod setup;
mod simulated;
mod sqlx;
mod test;

use anyhow::{Result, bail};
use arguments::Arguments;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup [--check] [--for server|demo|test|bench]
                                            install what is missing from the distribution
  demo [--exit] [--json] [--keep]           machines from power-on to deployed, live
  test [--only GROUP[,GROUP]] [--list]      every test, or some groups of them
  lab up [--prefix P] [--plan FILE]         make a lab: isolated network, machines, BMCs
  lab up --regions N --racks N --db 3 --machines N [--prefix P] [--program FILE]
                                            a site with several boxes: Patroni, regions, racks, one address
  lab down|status [--prefix P] [--json]
  lab power NAME on|off|cycle|reset|status  by the machine's BMC
  lab box HOST off|on|cut|join              a whole box of such a site: its power, its cables
  lab fault NAME [FAULT]                    what the BMC does wrong (rackwright-bmc-sim only); none: nothing
  lab console NAME                          what the machine writes; typed text goes to it
  lab ssh [USER@]NAME [COMMAND…]            into the installed system
  lab exec HOST [--] COMMAND…               run something on a host of the lab
  bench [boot|api|memory|net|ready|takeover]         how fast it is; without a name: which there are
  chaos --seed S[,S] [--rounds N] [--qemu] [--planted]
                                            random faults while machines are deployed, and what has to hold
  fuzz [--seconds N] [--only NAME]          hostile bytes for every decoder, N seconds each
  previous [--commit C]                     the version before beside this one, at work
  package [--debug]                         a Debian package, in target/package
  deny [--own]                              licences, bans and sources, as deny.toml says
  sqlx [--check]                            refresh (or check) .sqlx from a real PostgreSQL
  postgres                                  a private PostgreSQL with all migrations, until Ctrl-C
";

fn main() -> ExitCode {
    match run(Arguments::from_environment()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Arguments) -> Result<ExitCode> {
    match arguments.word().as_deref() {
        Some("setup") => setup::run(arguments),
        Some("demo") => demo::run(arguments),
        Some("test") => test::run(arguments),
        Some("lab") => lab::run(arguments),
        Some("bench") => bench::run(arguments),
        Some("chaos") => chaos::run(arguments),
        Some("previous") => previous::run(arguments),
        Some("deny") => deny::run(arguments),
        Some("fuzz") => fuzz::run(arguments),
        Some("package") => package::run(arguments),
        Some("sqlx") => sqlx::run(arguments),
        Some("postgres") => postgres::run(arguments),
        // Called by the BMC simulators of a lab.
        Some("chassis") => lab::chassis(arguments),
        Some("sim-chassis") => lab::simulated_chassis(arguments),
        Some("lan-config") => lab::lan_config(arguments),
        Some("help") | None => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => bail!("there is no command {other:?}\n\n{USAGE}"),
    }
}
