//! A site of several boxes, set up by the commands of the guide: a second region joins, has the images and the racks, and
//! takes over when the first one is killed in the middle of a machine's commissioning. Frozen and woken, a region does no
//! harm. All of it is wiped and comes back from a backup.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use anyhow::ensure;
use rackwright_lab::{Machine, Signal, poll};
use rackwright_tests::controllers::Controllers;
use rackwright_tests::site::{LIMIT, SHORT};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// Waits until a region, asked of another, is as wanted.
fn until_region(
    site: &Controllers,
    from: &str,
    name: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    poll::until(SHORT, &format!("{name} {what}"), || {
        let region = site.region(from, name)?;
        ensure!(wanted(&region), "{region}");
        Ok(Some(region))
    })
    .unwrap()
}

fn has_rack(region: &Value) -> bool {
    region["racks"] == json!(["rack-1"])
}

#[test]
fn a_second_region_joins_and_takes_over_from_the_first() {
    let machines = vec![Machine::bios("m1").with_ipmi_sim(11)];
    let site = Controllers::new("joiregions", 2, 1, machines).unwrap();
    site.start_database("db-1").unwrap();
    site.start_first_region("region-1", "db-1").unwrap();

    joins(&site);
    site.start_rack("region-1", "rack-1").unwrap();
    until_region(&site, "region-2", "region-1", "to have the rack", has_rack);
    until_region(&site, "region-1", "region-2", "to have the rack, which was told of it", has_rack);

    // Uploaded to one region, it is soon in the other.
    site.load_images("region-1", &["bootloaders", "ephemeral"]).unwrap();
    let files = |host: &str, folder: &str| {
        let found = std::fs::read_dir(site.folder(host).join(folder)).unwrap().flatten();
        let mut names: Vec<String> = found.map(|f| f.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name.len() == 64);
        names.sort();
        names
    };
    let all = files("region-1", "images/blobs");
    poll::until(SHORT, "all images in the second region", || {
        ensure!(files("region-2", "images/blobs") == all, "{:?}", files("region-2", "images/blobs"));
        Ok(Some(()))
    })
    .unwrap();
    until_region(&site, "region-1", "region-2", "to lack nothing", |r| r["lacks"] == json!([]));

    is_drained_and_resumed(&site);
    let id = takes_over(&site);
    serves_images_alone(&site, &all);

    // The first comes back by itself.
    site.start_region("region-1").unwrap();
    until_region(&site, "region-2", "region-1", "to be back, with the rack", |r| {
        r["connected"] == json!(true) && has_rack(r)
    });
    is_frozen_and_woken(&site, &id);
    comes_back_from_a_backup(&site, &id);
}

/// `region-2` becomes a region by a token; what is wrong is said before.
fn joins(site: &Controllers) {
    let begun = Instant::now();
    let token = site.region_token("region-1", "region-2").unwrap();
    let refused = site.join("region-2", &token[..40], &[]).unwrap();
    assert!(refused.error.contains("copy all of it") && refused.code == 1, "{refused:?}");
    let joined = site.join("region-2", &token, &[]).unwrap();
    assert_eq!(joined.code, 0, "{joined:?}");
    let again = site.join("region-2", &token, &[]).unwrap();
    assert!(again.error.contains("move the folder away"), "{again:?}");
    for file in [site.settings("region-2"), site.folder("region-2").join("master.key")] {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let key = |host: &str| std::fs::read(site.folder(host).join("master.key")).unwrap();
    assert!(key("region-1") == key("region-2"));
    site.start_region("region-2").unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60), "it took {:?}", begun.elapsed());
    // Whoever is let in by the one is let in by the other.
    assert!(site.attempt("region-2", &["pool", "create", "made-by-two"]).unwrap().code == 0);
    let pools = site.ask("region-1", &["pool", "list"]).unwrap().to_string();
    assert!(pools.contains("made-by-two"), "{pools}");
    assert!(!site.folder("region-2").join("admin.token").exists(), "there is an administrator already");

    let taken = site.attempt("region-1", &["region", "token", "region-2"]).unwrap();
    assert!(taken.error.contains("choose another name"), "{taken:?}");
}

/// Racks and balancers leave a region that is drained, and come back.
fn is_drained_and_resumed(site: &Controllers) {
    assert_eq!(site.attempt("region-2", &["region", "drain", "region-1"]).unwrap().code, 0);
    poll::until(SHORT, "region-1 to be drained", || {
        let ready = site.get("region-1", "/readyz")?;
        ensure!(ready == (503, "draining".to_owned()), "{ready:?}");
        Ok(Some(()))
    })
    .unwrap();
    until_region(site, "region-2", "region-1", "to have no rack", |r| r["racks"] == json!([]));
    assert!(has_rack(&site.region("region-2", "region-2").unwrap()));
    assert_eq!(site.attempt("region-2", &["region", "drain", "region-1", "--undo"]).unwrap().code, 0);
    until_region(site, "region-2", "region-1", "to have the rack again", has_rack);
    assert_eq!(site.get("region-1", "/readyz").unwrap().0, 200);
}

/// The first region is killed while a machine is being commissioned. The machine.
fn takes_over(site: &Controllers) -> String {
    let settings = ["setting", "set", "ephemeral_kernel_arguments", "console=ttyS0 no_timer_check"];
    site.ask("region-1", &settings).unwrap();
    let on = site.lab().ipmitool("m1").unwrap().args(["chassis", "power", "on"]).output().unwrap();
    assert!(on.status.success());
    let id = poll::until(LIMIT, "a machine to be enlisted", || {
        let machines = site.ask("region-1", &["machine", "list"])?;
        let first = machines.as_array().or(machines["items"].as_array()).and_then(|rows| rows.first());
        Ok(first.and_then(|m| m["id"].as_str()).map(str::to_owned))
    })
    .unwrap();
    site.until("region-1", &id, "the commissioning to run", LIMIT, |m| m["operation"]["id"].is_i64())
        .unwrap();
    site.kill("region-1").unwrap();
    let killed = Instant::now();
    until_region(site, "region-2", "region-1", "to be seen dead", |r| r["connected"] == json!(false));
    // Three seconds by the database's clock; the rest is asking, on a busy box.
    assert!(killed.elapsed() < Duration::from_secs(6), "it took {:?}", killed.elapsed());
    let ready = |m: &Value| m["status"] == "ready" && m["operation"].is_null();
    site.until("region-2", &id, "ready", LIMIT, ready).unwrap();
    let events = site.ask("region-2", &["event", "list", "--limit", "1000"]).unwrap().to_string();
    assert!(events.contains("region.lost"), "the death was told of");
    id
}

/// A rack that has lost its copies gets them from the region that is left.
fn serves_images_alone(site: &Controllers, all: &[String]) {
    site.stop("rack-1").unwrap();
    let cache = site.folder("rack-1").join("blobs");
    for name in all {
        std::fs::remove_file(cache.join(name)).unwrap();
    }
    site.restart_rack("rack-1").unwrap();
    poll::until(SHORT, "the rack to have all images again", || {
        let missing = all.iter().filter(|name| !cache.join(name).exists()).count();
        ensure!(missing == 0, "{missing} of {} are missing", all.len());
        Ok(Some(()))
    })
    .unwrap();
}

/// A region that is frozen in the middle of a step, for longer than its claims hold: another one goes on with the machine. It
/// finds out when it wakes, writes nothing of what it had in mind, and comes back.
fn is_frozen_and_woken(site: &Controllers, id: &str) {
    site.set_bmc("region-2", id, "m1").unwrap();
    let frozen = freeze_owner(site, || {
        let commission = site.attempt("region-2", &["machine", "commission", id]).unwrap();
        assert_eq!(commission.code, 0, "{commission:?}");
    });
    let other = if frozen == "region-1" { "region-2" } else { "region-1" };
    let process = site.process(&frozen).unwrap();
    until_region(site, other, &frozen, "to be taken for dead", |r| r["connected"] == json!(false));
    let takeover = poll::until(SHORT, "the other region to take over", || {
        let status = site.ask(other, &["status"])?;
        let takeover = status["last_takeover"].clone();
        ensure!(takeover["from"].as_str().unwrap_or_default().starts_with(&format!("{frozen}/")), "{status}");
        Ok(Some(takeover))
    })
    .unwrap();
    assert!(takeover["to"].as_str().unwrap().starts_with(&format!("{other}/")), "{takeover}");
    let seconds = takeover["seconds"].as_f64().unwrap();
    assert!((10.0..20.0).contains(&seconds), "a claim holds for ten: {takeover}");

    assert!(process.signal(Signal::SIGCONT));
    until_region(site, other, &frozen, "to be back, with the rack", |r| {
        r["connected"] == json!(true) && has_rack(r)
    });
    assert!(process.is_alive(), "it is the same process");
    let log = std::fs::read(site.lab().process_log(&frozen)).unwrap();
    assert!(
        String::from_utf8_lossy(&log).contains("it stops acting, so that others may"),
        "{}",
        site.log_tail(&frozen)
    );
    let ready = |m: &Value| m["status"] == "ready" && m["operation"].is_null();
    site.until(&frozen, id, "ready, though its owner was frozen", LIMIT, ready).unwrap();
    let operation = takeover["operation"].to_string();
    let events = site.ask(other, &["event", "list", "--operation", &operation, "--limit", "1000"]).unwrap();
    let events = events.as_array().or(events["items"].as_array()).unwrap();
    let steps: Vec<&Value> =
        events.iter().filter(|e| e["kind"] == "operation.step").map(|e| &e["message"]).collect();
    let once: std::collections::BTreeSet<String> = steps.iter().map(|step| step.to_string()).collect();
    assert_eq!(steps.len(), once.len(), "each step began once: {steps:?}");
}

/// Has something begun, and freezes the region whose worker looks at it first in the middle of that: it waits for a table
/// that is locked meanwhile. The region's name.
fn freeze_owner(site: &Controllers, begin: impl FnOnce()) -> String {
    let sql = |statement: &str| site.sql("db-1", "rackwright", statement);
    let lock = "BEGIN; LOCK TABLE rack_task IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)";
    std::thread::scope(|scope| {
        let locking = scope.spawn(|| drop(sql(lock)));
        poll::until(SHORT, "the table to be locked", || {
            let held = sql(
                "SELECT count(*) FROM pg_locks WHERE relation = 'rack_task'::regclass AND mode = 'AccessExclusiveLock' AND granted",
            )?;
            ensure!(held == "1", "{held} locks");
            Ok(Some(()))
        })
        .unwrap();
        begin();
        let owner = poll::until(SHORT, "a worker to look at it", || {
            let owner = sql(
                "SELECT split_part(owner, '/', 1) FROM operation WHERE status = 'running' AND claimed_until > clock_timestamp()",
            )?;
            ensure!(!owner.is_empty(), "nobody");
            Ok(Some(owner))
        });
        let frozen = owner.as_ref().is_ok_and(|owner| site.process(owner).unwrap().signal(Signal::SIGSTOP));
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK TABLE%'")
            .unwrap();
        locking.join().unwrap();
        assert!(frozen, "{owner:?}");
        owner.unwrap()
    })
}

/// A backup, more work, a wiped database: the site is as it was, and racks take what it says.
fn comes_back_from_a_backup(site: &Controllers, id: &str) {
    let file = site.folder("region-2").with_file_name("site.backup");
    let backup = |verb: &str, further: &[&str]| {
        let mut command = site.rackwright("region-2", &[verb, file.to_str().unwrap(), "--config"]);
        let output = command.arg(site.settings("region-2")).args(further).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(backup("backup", &[]), (0, String::new()));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // The rack sees numbers that the backup does not know.
    let on = ["machine", "power", id, "on", "--wait"];
    let ended = site.attempt("region-2", &on).unwrap();
    assert_eq!(ended.code, 0, "{ended:?}");

    let refused = backup("restore", &["--force"]);
    assert!(refused.1.contains("stop them first, on every box") && refused.0 == 1, "{refused:?}");
    site.stop("region-1").unwrap();
    site.stop("region-2").unwrap();
    site.sql("db-1", "postgres", "DROP DATABASE rackwright WITH (FORCE)").unwrap();
    site.sql("db-1", "postgres", "CREATE DATABASE rackwright").unwrap();
    let refused = backup("restore", &[]);
    assert!(refused.1.contains("with --force they are replaced"), "{refused:?}");
    let key = std::fs::read(site.folder("region-2").join("master.key")).unwrap();
    assert_eq!(backup("restore", &["--force"]), (0, String::new()));
    assert!(std::fs::read(site.folder("region-2").join("master.key")).unwrap() == key);

    site.start_region("region-2").unwrap();
    site.start_region("region-1").unwrap();
    until_region(site, "region-1", "region-2", "to have the rack", has_rack);
    let machine = site.ask("region-1", &["machine", "show", id]).unwrap();
    assert_eq!(machine["status"], "ready", "{machine}");
    let racks = || site.ask("region-1", &["rack", "list"]).unwrap();
    poll::until(SHORT, "the rack to run a picture that is newer than what it had", || {
        let told = racks();
        let rack = &told.as_array().or(told["items"].as_array()).unwrap()[0];
        ensure!(rack["running"] == rack["generation"] && rack["running"] != json!(0), "{rack}");
        Ok(Some(()))
    })
    .unwrap();
    // A command under an old number would be refused by the rack.
    let ended = site.attempt("region-1", &["machine", "power", id, "off", "--wait"]).unwrap();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!site.lab().machine("m1").unwrap().is_on());
}

#[test]
fn what_began_as_up_becomes_a_region_that_others_can_join() {
    let site = Controllers::new("joiup", 1, 1, Vec::new()).unwrap();
    site.start_database("db-1").unwrap();
    let (data, file) = (site.folder("up"), site.folder("up").with_file_name("site.backup"));
    let mut up = site.rackwright("rack-1", &["up", "--interface", "eth1", "--data"]);
    let running = site.lab().spawn("up", up.arg(&data)).unwrap();
    poll::until(SHORT, "`rackwright up` to be ready", || {
        let ready = site.get("rack-1", "/readyz")?;
        ensure!(ready.0 == 200, "{ready:?} {}", site.log_tail("up"));
        Ok(Some(()))
    })
    .unwrap();
    let token = data.join("admin.token");
    let ask = |arguments: &[&str]| {
        let mut command = site.rackwright("ctl", arguments);
        command.env("RACKWRIGHT_URL", site.url("rack-1").unwrap()).env("RACKWRIGHT_TOKEN_FILE", &token);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(ask(&["pool", "create", "kept"]).0, 0);
    let refused = ask(&["region", "token", "region-2"]);
    assert!(refused.1.contains("docs/several-regions.md") && refused.0 == 1, "{refused:?}");

    let mut backup = site.rackwright("rack-1", &["backup"]);
    let backup = backup.arg(&file).arg("--up").arg(&data).output().unwrap();
    assert!(backup.status.success(), "{}", String::from_utf8_lossy(&backup.stderr));
    running.stop(Duration::from_secs(60)).unwrap();

    let mut restore = site.rackwright("region-1", &["restore"]);
    restore
        .arg(&file)
        .arg("--config")
        .arg(site.settings("region-1"))
        .arg("--data")
        .arg(site.folder("region-1"));
    restore.env("RACKWRIGHT_RESTORE_DATABASE_URL", site.database_url("db-1").unwrap());
    let restored = restore.output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let settings = std::fs::read_to_string(site.settings("region-1")).unwrap();
    std::fs::write(site.settings("region-1"), settings + "stream_address = \"10.79.0.11:5241\"\n").unwrap();
    // API tokens are those of the backup.
    std::fs::copy(&token, site.folder("region-1").join("admin.token")).unwrap();
    site.start_region("region-1").unwrap();
    assert!(site.ask("region-1", &["pool", "list"]).unwrap().to_string().contains("kept"));
    assert!(site.region_token("region-1", "region-2").unwrap().starts_with("rwj_"));
}
