//! A commissioning script of a user's that needs the toolbox, on a real machine. The toolbox is busybox alone here: it
//! is fetched, mounted and entered as any; what is in the real one is its builder's matter.

use rackwright_tests::site::Site;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Runs where the toolbox is the root, and where it can be written to. Tells of its processor, which only the machine
/// has, by a program that only the toolbox has.
const SCRIPT: &str = r#"#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: firmware
# script_type: commissioning
# toolbox: true
# timeout: 60
# --- End MAAS 1.0 script metadata ---
test -e /toolbox && touch /etc/written || exit 1
printf 'results:\n  processors: %d\n' "$(in-the-toolbox -c '^processor' /proc/cpuinfo)" >"$RESULT_PATH"
"#;

/// Gives the region a toolbox and a commissioning script that needs it.
pub fn store(site: &Site) {
    let folder = site.data().join("toolbox");
    let root = folder.join("root");
    for name in ["bin", "etc", "dev", "proc", "sys"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::write(root.join("toolbox"), "").unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for name in ["sh", "test", "touch", "printf"] {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::write(root.join("bin/in-the-toolbox"), "#!/bin/sh\nexec busybox grep \"$@\"\n").unwrap();
    run(Command::new("chmod").arg("755").arg(root.join("bin/in-the-toolbox")));
    let file = folder.join("toolbox.squashfs");
    run(Command::new("mksquashfs").arg(&root).arg(&file).args(["-quiet", "-no-progress", "-all-root"]));
    let entry = serde_json::json!({
        "name": "toolbox.squashfs",
        "size": file.metadata().unwrap().len(),
        "sha256": sha256(&file),
    });
    let manifest = serde_json::json!({ "kind": "toolbox", "files": [entry] });
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    run(site.client(&["image", "load"]).arg(&folder));
    let script = folder.join("firmware.sh");
    fs::write(&script, SCRIPT).unwrap();
    run(site.client(&["script", "upload"]).arg(&script));
}

/// It ran on the machine, and what it found is kept.
pub fn check(site: &Site, id: &str) {
    let runs = site.list(&["machine", "results", id]).unwrap();
    let ours = runs.iter().find(|run| run["name"] == "firmware").expect("it ran");
    let told = (&ours["script_type"], &ours["status"], &ours["results"]["processors"]);
    assert_eq!(told, (&"commissioning".into(), &"passed".into(), &1.into()), "{ours:#}");
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn sha256(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}
