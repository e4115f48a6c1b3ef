//! The `rackwright` executable: the daemons, and the operator's client of the REST API.
//!
//! Nouns are folders, verbs are files. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not reachable.

mod client;
mod image;
mod serve;

use clap::{Parser, Subcommand};
use client::{Client, Connection};
use std::process::ExitCode;

/// Bare-metal provisioning: from power-on to a deployed system.
#[derive(Debug, Parser)]
#[command(name = "rackwright", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this box: PostgreSQL, a region, a rack.
    Up(serve::UpArgs),
    /// Run a region controller.
    Region(serve::RegionArgs),
    /// Run a rack controller.
    Rack(serve::RackArgs),
    /// Images: what machines boot and install.
    #[command(subcommand)]
    Image(image::ImageCommand),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Up(args) => args.run(),
        Command::Region(args) => args.run(),
        Command::Rack(args) => args.run(),
        Command::Image(command) => client::block_on(async { command.run(&Client::new(&cli.connection)?).await }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rackwright: {error:#}");
            ExitCode::from(client::exit_code(&error))
        }
    }
}
