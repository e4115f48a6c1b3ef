//! Scripts as MAAS runs them: environment, results, limits of time and of output.
#![expect(clippy::unwrap_used, reason = "a test ends where its surroundings fail")]

mod rack;

use rack::World;
use rackwright_agent::script;
use rackwright_common::agent::{ScriptOutcome, ScriptWork};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn work(body: &str, timeout_seconds: u64) -> ScriptWork {
    ScriptWork {
        name: "trial".into(),
        body: body.into(),
        arguments: vec!["--fast".into(), "two words".into()],
        environment: BTreeMap::from([("DISK".to_owned(), "/dev/vda".to_owned())]),
        timeout_seconds,
        toolbox: None,
        may_reboot: true,
        has_started: true,
        boots: 2,
        target: None,
        parameters: Vec::new(),
    }
}

fn run(body: &str, timeout_seconds: u64) -> (ScriptOutcome, World) {
    let world = World::new(1);
    let folder = tempfile::tempdir().unwrap();
    let outcome = script::run(&work(body, timeout_seconds), 1, folder.path(), &world.report()).unwrap();
    (outcome, world)
}

#[test]
fn the_contract_of_the_environment_holds() {
    let body = "#!/bin/sh\necho \"$1|$2|$DISK|$HAS_STARTED|$RACKWRIGHT_BOOTS|$RUNTIME\"\necho oops >&2\n\
                printf 'status: passed\\nresults: {speed: 5}\\n' > $RESULT_PATH\n\
                ls $OUTPUT_STDOUT_PATH $OUTPUT_STDERR_PATH $OUTPUT_COMBINED_PATH > /dev/null || exit 9\nexit 3\n";
    let (outcome, _) = run(body, 30);
    assert_eq!(outcome.stdout, "--fast|two words|/dev/vda|True|2|30\n");
    assert_eq!(outcome.stderr, "oops\n");
    assert_eq!(outcome.result_yaml, "status: passed\nresults: {speed: 5}\n");
    assert_eq!((outcome.exit_code, outcome.timed_out), (Some(3), false));
    let verdict = script::verdict(&outcome, &work("", 30));
    assert_eq!(verdict.as_deref(), Some("trial ended with exit code 3"));
}

#[test]
fn a_script_that_never_ends_is_killed_with_its_children() {
    let started = Instant::now();
    let body = "#!/bin/sh\ntrap '' TERM\nsleep 600 &\necho started\nwhile :; do sleep 1; done\n";
    let (outcome, _) = run(body, 1);
    assert!(outcome.timed_out && outcome.exit_code.is_none());
    assert_eq!(outcome.stdout, "started\n");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let verdict = script::verdict(&outcome, &work("", 1));
    assert_eq!(verdict.as_deref(), Some("trial was killed after 1 seconds"));
}

#[test]
fn what_is_left_running_does_not_hold_the_result() {
    let started = Instant::now();
    let (outcome, _) = run("#!/bin/sh\nsleep 600 &\nsetsid sleep 7 &\necho done\n", 300);
    assert_eq!((outcome.stdout.as_str(), outcome.exit_code), ("done\n", Some(0)));
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[test]
fn of_a_flood_the_end_is_kept_and_the_log_is_bounded() {
    let body = "#!/bin/sh\nhead -c 30000000 /dev/zero | tr '\\0' x\necho\necho the end\n";
    let (outcome, world) = run(body, 60);
    let (mark, kept) = outcome.stdout.split_once('\n').unwrap();
    assert_eq!(mark, "… 28951433 bytes of output before this were left out …");
    assert_eq!(kept.len(), 1 << 20);
    assert!(outcome.stdout.ends_with("x\nthe end\n"));
    let sent: usize = world.state().progress.iter().map(|(_, progress)| progress.log.len()).sum();
    assert!(sent < 1 << 20, "{sent} bytes of log for a flood of 30 MB");
    assert!(world.state().progress.iter().all(|(_, progress)| progress.log.len() <= (64 << 10) + 100));
}

#[test]
fn a_missing_interpreter_is_named() {
    let world = World::new(1);
    let folder = tempfile::tempdir().unwrap();
    let body = "#!/no/such/python3\nprint()\n";
    let error = script::run(&work(body, 5), 1, folder.path(), &world.report()).unwrap_err();
    assert!(error.to_string().contains("#!/no/such/python3"), "{error}");
}

#[test]
fn a_script_killed_by_a_signal_has_no_exit_code() {
    let (outcome, _) = run("#!/bin/sh\nkill -9 $$\n", 5);
    assert_eq!((outcome.exit_code, outcome.timed_out), (None, false));
}
