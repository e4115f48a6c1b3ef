//! `cargo xtask test`: every test, in groups; one group that fails does not hide the others.
//!
//! The last line is `N passed, N failed`, summed over all groups. A group's tests are those of its packages:
//! see [`groups`].

mod count;
mod groups;

use crate::arguments::Arguments;
use crate::postgres::Postgres;
use crate::{build, setup};
use anyhow::{Result, bail};
use count::Count;
use groups::{GROUPS, Group, Prepare, Step};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// What came of a group.
struct Outcome {
    name: &'static str,
    count: Count,
    took: Duration,
    notes: Vec<String>,
}

/// `test [--only GROUP[,GROUP]] [--list]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let list = arguments.flag("--list");
    let only = arguments.option("--only")?;
    arguments.done()?;
    let chosen = chosen(only.as_deref())?;
    if list {
        for group in chosen {
            println!("{:<10} {}", group.name, group.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    setup::ensure_installed(&needs(&chosen))?;
    let outcomes: Vec<Outcome> = chosen.into_iter().map(run_group).collect();
    let total = summary(&outcomes);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(only: Option<&str>) -> Result<Vec<&'static Group>> {
    let Some(only) = only else { return Ok(GROUPS.iter().collect()) };
    let names: Vec<&str> = only.split(',').collect();
    for name in &names {
        if !GROUPS.iter().any(|group| group.name == *name) {
            let known: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
            bail!("there is no group {name:?}; there are {}", known.join(", "));
        }
    }
    Ok(GROUPS.iter().filter(|group| names.contains(&group.name)).collect())
}

fn needs(groups: &[&Group]) -> Vec<crate::packages::Need> {
    setup::ALL.iter().filter(|need| groups.iter().any(|group| group.needs.contains(need))).copied().collect()
}

fn run_group(group: &'static Group) -> Outcome {
    println!("\n=== {}: {}", group.name, group.what);
    let started = Instant::now();
    let mut outcome =
        Outcome { name: group.name, count: Count::default(), took: Duration::ZERO, notes: Vec::new() };
    let steps: Vec<&Step> = group.steps.iter().filter(|step| step.is_there()).collect();
    if steps.is_empty() {
        outcome.notes.push("nothing to run".to_owned());
    } else {
        match prepare(group) {
            Ok(prepared) => steps.into_iter().for_each(|step| {
                let left = group.limit.saturating_sub(started.elapsed());
                outcome.add(step, run_step(step, &prepared.environment, left));
            }),
            Err(error) => {
                outcome.count.failed += 1;
                outcome.notes.push(format!("preparing: {error:#}"));
            }
        }
    }
    outcome.took = started.elapsed();
    outcome
}

impl Outcome {
    fn add(&mut self, step: &Step, result: Result<Count>) {
        match result {
            Ok(count) => {
                self.count += count;
                if count.failed > 0 {
                    self.notes.push(format!("{} failed", step.name()));
                }
            }
            Err(error) => {
                self.count.failed += 1;
                self.notes.push(format!("{}: {error:#}", step.name()));
            }
        }
    }
}

/// What a group needs while it runs.
struct Prepared {
    environment: BTreeMap<&'static str, String>,
    /// Ends with this value.
    _postgres: Option<Postgres>,
}

fn prepare(group: &Group) -> Result<Prepared> {
    let mut prepared = Prepared { environment: BTreeMap::new(), _postgres: None };
    for need in group.prepare {
        match need {
            Prepare::Postgres => {
                let postgres = Postgres::start()?;
                prepared.environment.insert("DATABASE_URL", postgres.url("postgres"));
                prepared._postgres = Some(postgres);
            }
            Prepare::Product => {
                let program = build::product()?.display().to_string();
                prepared.environment.insert("RACKWRIGHT_TEST_PROGRAM", program);
            }
            Prepare::Agent => {
                let program = build::agent()?.display().to_string();
                prepared.environment.insert("RACKWRIGHT_TEST_AGENT", program);
            }
            Prepare::Lab => {
                let program = build::lab()?.display().to_string();
                prepared.environment.insert("RACKWRIGHT_LAB_PROGRAM", program);
                let program = build::bmc_simulator()?.display().to_string();
                prepared.environment.insert("RACKWRIGHT_TEST_BMC_SIM", program);
                let program = build::amt_simulator()?.display().to_string();
                prepared.environment.insert("RACKWRIGHT_TEST_AMT_SIM", program);
            }
        }
    }
    Ok(prepared)
}

fn run_step(step: &Step, environment: &BTreeMap<&'static str, String>, limit: Duration) -> Result<Count> {
    let (program, arguments) = step.command_line()?;
    println!("$ {} {}", program.to_string_lossy(), arguments.join(" "));
    // Ends with this process and after the group's time, with everything that it started.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "timeout", "--kill-after=20"]);
    command.arg(limit.as_secs().max(1).to_string()).arg(program).args(&arguments);
    build::forget_own_package(&mut command);
    command.envs(environment).current_dir(rackwright_lab::state::workspace());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut count = Count::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            count += Count::of_line(&line);
            writeln!(std::io::stdout().lock(), "{line}")?;
        }
    }
    let status = child.wait()?;
    if status.code() == Some(124) {
        bail!("not done within {} s", limit.as_secs());
    }
    Ok(step.judge(count, status.success()))
}

fn summary(outcomes: &[Outcome]) -> Count {
    println!("\n{:<10} {:>7} {:>7} {:>8} {:>8}", "group", "passed", "failed", "ignored", "seconds");
    let mut total = Count::default();
    for outcome in outcomes {
        let Count { passed, failed, ignored } = outcome.count;
        let seconds = outcome.took.as_secs();
        println!(
            "{:<10} {passed:>7} {failed:>7} {ignored:>8} {seconds:>8}  {}",
            outcome.name,
            outcome.notes.join("; ")
        );
        total += outcome.count;
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    total
}
