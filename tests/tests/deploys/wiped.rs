//! A controller whose box is lost with everything on it, but not the file of `rackwright backup`: what is made of that file
//! knows the machine that was deployed, and still commands it.

use rackwright_lab::{MachineHandle, ns};
use rackwright_tests::site::Site;
use std::path::Path;
use std::process::Command;

/// Backs up while the controller runs, stops it, removes its database and all of its files, restores and starts again.
pub fn and_restored(site: &Site) {
    let file = site.data().with_file_name("site.backup");
    let (data, backup) = (site.data(), file.to_str().unwrap().to_owned());
    let folder = data.to_str().unwrap();
    run(&mut site.rackwright(&["backup", &backup, "--up", folder]));
    holds_nothing_that_was_typed(&file);

    site.stop().unwrap();
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }.unwrap();
    }
    run(&mut site.rackwright(&["restore", &backup, "--up", folder]));
    site.start().unwrap();
    std::fs::remove_file(&file).unwrap();
}

/// What people type into consoles is in a table without a log, whose content is left out of a dump: the table is not.
fn holds_nothing_that_was_typed(backup: &Path) {
    let list = format!("tar -xOf '{}' database.dump | pg_restore --list", backup.display());
    let listed = ns::run_for_text(Command::new("sh").args(["-c", &list])).unwrap();
    let entries =
        |kind: &str, table: &str| listed.lines().any(|l| l.contains(&format!(" {kind} public {table} ")));
    assert!(entries("TABLE", "console_input") && entries("TABLE DATA", "machine"), "{listed}");
    assert!(!entries("TABLE DATA", "console_input"), "{listed}");
}

/// A deployed machine is released: its BMC is commanded by what was restored, once.
pub fn releases(site: &Site, id: &str, machine: &MachineHandle) {
    let seen = site.machine(id).unwrap();
    assert_eq!((&seen["status"], &seen["operation"]), (&"deployed".into(), &().into()), "{seen}");
    assert!(machine.is_on(), "nobody touched it");
    let before = power_commands(machine);
    site.ask(&["machine", "release", id, "--erase", "none"]).unwrap();
    site.until_status(id, "ready").unwrap();
    assert!(!machine.is_on());
    assert_eq!(power_commands(machine)[before.len()..], ["set power 0"]);
    let told = site.list(&["event", "list", "--limit", "1000"]).unwrap();
    assert!(told.iter().any(|event| event["kind"] == "site.restored"), "{told:#?}");
}

/// What the BMC was told to do about power, in order; one that is asked twice because it answered late is told once.
fn power_commands(machine: &MachineHandle) -> Vec<String> {
    let log = std::fs::read_to_string(machine.folder().join("chassis.log")).unwrap();
    let calls = log.lines().filter_map(|line| line.split_once(' ')?.1.split_once(" = "));
    let mut commands: Vec<_> =
        calls.map(|(call, _)| call.trim().to_owned()).filter(|call| call.starts_with("set power")).collect();
    commands.dedup();
    commands
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
