//! `cargo xtask demo`: real machines from power-on to deployed and back, shown live.
//!
//! What holds: the network is the lab's own; the only thing outside is one port of this host's loopback that
//! leads to the web page. Each phase is one function and is timed. Without `--keep` everything is removed at
//! the end, on Ctrl-C and on errors.

pub mod controller;
mod drive;
pub mod images;
mod result;
mod table;

use crate::arguments::Arguments;
use crate::{build, lab, setup};
use anyhow::{Context, Result};
use controller::Controller;
use rackwright_lab::interrupt::Interrupt;
use rackwright_lab::{Lab, LabPlan};
use result::{Demo, Phase};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Prefix of the demo's lab.
const PREFIX: &str = "demo";

/// What was asked for.
struct Options {
    /// End when the machines are through.
    exit: bool,
    /// Print the result as JSON at the end.
    json: bool,
    /// Leave everything running at the end.
    keep: bool,
}

/// The programs that were built.
pub struct Programs {
    /// The product.
    pub rackwright: PathBuf,
    /// The in-band program, static.
    pub agent: PathBuf,
}

/// `demo [--exit] [--json] [--keep]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let options = Options {
        exit: arguments.flag("--exit"),
        json: arguments.flag("--json"),
        keep: arguments.flag("--keep"),
    };
    arguments.done()?;
    let interrupt = Interrupt::listen()?;
    let mut demo = Demo::default();
    let outcome = phases(&mut demo, &options, &interrupt);
    if !options.keep {
        Lab::destroy(PREFIX)?;
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&demo)?);
    }
    match outcome {
        // After the machines are through, Ctrl-C is the way to end the demo.
        Err(_) if demo.is_through() && interrupt.is_seen() => {}
        other => other?,
    }
    Ok(if demo.is_through() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn phases(demo: &mut Demo, options: &Options, interrupt: &Interrupt) -> Result<()> {
    phase(demo, "setup", || setup::ensure_installed(setup::DEMO))?;
    let programs =
        phase(demo, "build", || Ok(Programs { rackwright: build::product()?, agent: build::agent()? }))?;
    interrupt.check()?;
    let lab = phase(demo, "lab", make_lab)?;
    let built = phase(demo, "images", || images::build(&programs, interrupt))?;
    interrupt.check()?;
    let controller = phase(demo, "controller", || Controller::start(&lab, &programs))?;
    phase(demo, "images into the store", || images::load(&controller, &built, interrupt))?;
    println!("\n  web page  {}\n  token     {}\n", controller.page(), controller.token_file().display());
    demo.machines = drive::run(&lab, &controller, interrupt)?;
    if options.exit || options.keep {
        return Ok(());
    }
    println!("\nEverything runs on: {}. Ctrl-C ends it and removes it.", controller.page());
    loop {
        interrupt.pause(Duration::from_secs(3600))?;
    }
}

/// Runs a phase, says so, and notes its time.
fn phase<T>(demo: &mut Demo, name: &'static str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("— {name}");
    let started = Instant::now();
    let outcome = run().with_context(|| name);
    demo.phases.push(Phase { name, seconds: started.elapsed().as_secs_f64() });
    outcome
}

/// A lab with one machine that boots by BIOS and one by UEFI; what an earlier demo left is removed first.
fn make_lab() -> Result<Lab> {
    let lab = Lab::create(PREFIX, LabPlan::demo())?;
    lab::make_key(&lab)?;
    Ok(lab)
}
