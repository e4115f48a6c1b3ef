//! One item of work from its beginning to its result, whatever it is.

use crate::error::Result;
use crate::link::{Link, LinkError};
use crate::report::Report;
use crate::script;
use crate::{config::Config, script::told};
use rackwright_common::agent::{ItemResult, ScriptWork, Work, WorkItem};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Does it and says how it went.
pub fn perform(
    link: &Arc<Link>,
    item: &WorkItem,
    work: impl FnOnce(&Report) -> Result<ItemResult>,
) -> ItemResult {
    let started = Instant::now();
    println!("rackwright-agent: item {}: {}", item.id, name(&item.work));
    let (report, sender) = Report::start(link.clone(), item.id);
    let done = work(&report);
    if let Err(error) = &done {
        report.log(&format!("error: {}\n", error.sentence()));
    }
    report.finish(sender);
    let result = result(link.boot_id, done, started.elapsed());
    let word = if result.ok { "done" } else { result.error.as_str() };
    println!("rackwright-agent: item {}: {word} ({} ms)", item.id, result.duration_ms);
    result
}

/// A script.
pub fn run_script(
    config: &Config,
    boot: Uuid,
    item: i64,
    work: &ScriptWork,
    report: &Report,
) -> Result<ItemResult> {
    let mut result = blank(boot);
    let work = told::complete(work, &config.root)?;
    let outcome = script::run(&work, item, &config.work, report)?;
    if let Some(verdict) = script::verdict(&outcome, &work) {
        (result.ok, result.error) = (false, verdict);
    }
    result.script = Some(outcome);
    Ok(result)
}

/// Tells a result until it is heard. One that the region will not have is no reason to stop: it knows what it wants
/// next.
pub fn tell(link: &Link, item: i64, result: &ItemResult) -> std::result::Result<(), LinkError> {
    match link.tell(&format!("/agent/v1/items/{item}/result"), result) {
        Err(LinkError::Refused(status)) => {
            eprintln!("rackwright-agent: the region refuses the result (status {status})");
            Ok(())
        }
        other => other,
    }
}

/// Good, and nothing to say.
pub fn blank(boot_id: Uuid) -> ItemResult {
    ItemResult {
        boot_id,
        ok: true,
        error: String::new(),
        inventory: None,
        bmc: None,
        script: None,
        duration_ms: 0,
    }
}

/// The result of work that took so long.
pub fn result(boot: Uuid, done: Result<ItemResult>, took: Duration) -> ItemResult {
    let failed = |error: crate::Error| ItemResult { ok: false, error: error.sentence(), ..blank(boot) };
    let result = done.unwrap_or_else(failed);
    ItemResult { duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX), ..result }
}

/// For the console.
fn name(work: &Work) -> &str {
    match work {
        Work::Inventory => "inventory",
        Work::SetupBmc { .. } => "set up the BMC",
        Work::Script(script) => &script.name,
        Work::Install(_) => "install",
        Work::Erase { .. } => "erase",
        Work::Rescue { .. } => "rescue",
        Work::Reboot => "reboot",
        Work::PowerOff => "power off",
    }
}
