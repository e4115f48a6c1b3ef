//! `cargo xtask package`: a Debian package of the product, made with dpkg-deb, and looked at as an installation would.
//!
//! What holds: the package starts nothing; its files belong to root; what it says of itself is made from the programs in
//! it (manual page, completions). Left out: signing and a repository, which are the distributor's.

use crate::arguments::Arguments;
use crate::build::{agent, cargo, product, target};
use anyhow::{Context, Result, ensure};
use rackwright_lab::state::workspace;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const UNITS: [&str; 3] = ["rackwright-up.service", "rackwright-region.service", "rackwright-rack.service"];

/// Files that are copied as they are: from the workspace, to the package, mode.
const FILES: &[(&str, &str, u32)] = &[
    ("packaging/systemd/rackwright-up.service", "lib/systemd/system/rackwright-up.service", 0o644),
    ("packaging/systemd/rackwright-region.service", "lib/systemd/system/rackwright-region.service", 0o644),
    ("packaging/systemd/rackwright-rack.service", "lib/systemd/system/rackwright-rack.service", 0o644),
    ("packaging/systemd/rackwright-ha.service", "lib/systemd/system/rackwright-ha.service", 0o644),
    ("packaging/ocf/rackwright", "usr/lib/ocf/resource.d/rackwright/rackwright", 0o755),
    ("packaging/fence/fence_rackwright", "usr/sbin/fence_rackwright", 0o755),
    ("packaging/systemd/sysusers.conf", "usr/lib/sysusers.d/rackwright.conf", 0o644),
    ("packaging/systemd/tmpfiles.conf", "usr/lib/tmpfiles.d/rackwright.conf", 0o644),
    ("packaging/examples/default", "etc/default/rackwright", 0o644),
    ("packaging/examples/region.toml", "usr/share/doc/rackwright/examples/region.toml", 0o644),
    ("packaging/examples/rack.toml", "usr/share/doc/rackwright/examples/rack.toml", 0o644),
    ("README.md", "usr/share/doc/rackwright/README.md", 0o644),
    ("docs/install.md", "usr/share/doc/rackwright/install.md", 0o644),
    ("docs/two-boxes.md", "usr/share/doc/rackwright/two-boxes.md", 0o644),
    ("docs/several-regions.md", "usr/share/doc/rackwright/several-regions.md", 0o644),
    ("docs/high-availability.md", "usr/share/doc/rackwright/high-availability.md", 0o644),
    ("docs/upgrades.md", "usr/share/doc/rackwright/upgrades.md", 0o644),
    ("docs/monitoring.md", "usr/share/doc/rackwright/monitoring.md", 0o644),
    ("packaging/grafana/rackwright.json", "usr/share/doc/rackwright/grafana.json", 0o644),
    ("packaging/debian/postinst", "DEBIAN/postinst", 0o755),
    ("packaging/debian/prerm", "DEBIAN/prerm", 0o755),
    ("packaging/debian/postrm", "DEBIAN/postrm", 0o755),
    ("packaging/debian/conffiles", "DEBIAN/conffiles", 0o644),
];

/// What the program prints of itself: its arguments, where that goes, whether it is compressed there.
const PRINTED: &[(&[&str], &str, bool)] = &[
    (&["man"], "usr/share/man/man1/rackwright.1.gz", true),
    (&["man", "up"], "usr/share/man/man1/rackwright-up.1.gz", true),
    (&["man", "region"], "usr/share/man/man1/rackwright-region.1.gz", true),
    (&["man", "ha"], "usr/share/man/man1/rackwright-ha.1.gz", true),
    (&["man", "rack"], "usr/share/man/man1/rackwright-rack.1.gz", true),
    (&["man", "machine"], "usr/share/man/man1/rackwright-machine.1.gz", true),
    (&["man", "image"], "usr/share/man/man1/rackwright-image.1.gz", true),
    (&["completions", "bash"], "usr/share/bash-completion/completions/rackwright", false),
    (&["completions", "zsh"], "usr/share/zsh/vendor-completions/_rackwright", false),
    (&["completions", "fish"], "usr/share/fish/vendor_completions.d/rackwright.fish", false),
];

/// `package [--debug]`
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let debug = arguments.flag("--debug");
    arguments.done()?;
    let program = if debug {
        product()?
    } else {
        cargo(&["build", "--release", "--bin", "rackwright"], &[])?;
        target().join("release/rackwright")
    };
    let tree = target().join("package/tree");
    fill(&tree, &program, &agent()?)?;
    let package = target().join(format!("package/rackwright_{VERSION}_amd64.deb"));
    build(&tree, &package, debug)?;
    check(&package)?;
    println!("{} ({} MiB)", package.display(), fs::metadata(&package)?.len() >> 20);
    Ok(ExitCode::SUCCESS)
}

fn fill(tree: &Path, program: &Path, agent: &Path) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    copy(program, &tree.join("usr/bin/rackwright"), 0o755)?;
    copy(agent, &tree.join("usr/lib/rackwright/rackwright-agent"), 0o755)?;
    for (from, to, mode) in FILES {
        copy(&workspace().join(from), &tree.join(to), *mode)?;
    }
    let licences = ["LICENSE-MIT", "LICENSE-APACHE"].map(|name| fs::read_to_string(workspace().join(name)));
    let mut copyright =
        "Rackwright is licensed under either of MIT or Apache-2.0, at your option.\n".to_owned();
    for text in licences {
        copyright.push_str(&format!("\n{}\n", text?));
    }
    write(&tree.join("usr/share/doc/rackwright/copyright"), copyright.as_bytes())?;
    for (arguments, to, compress) in PRINTED {
        let mut text = output(Command::new(program).args(*arguments))?;
        if *compress {
            text = zip(&text)?;
        }
        write(&tree.join(to), &text)?;
    }
    let size = installed_size(tree)?;
    let control = fs::read_to_string(workspace().join("packaging/debian/control"))?;
    let control = control.replace("@VERSION@", VERSION).replace("@SIZE@", &size.to_string());
    write(&tree.join("DEBIAN/control"), control.as_bytes())?;
    let sums = output(
        Command::new("sh")
            .current_dir(tree)
            .args(["-c", "find * -type f ! -path 'DEBIAN/*' -print0 | LC_ALL=C sort -z | xargs -0 md5sum"]),
    )?;
    write(&tree.join("DEBIAN/md5sums"), &sums)
}

/// KiB, as dpkg counts.
fn installed_size(tree: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(tree)? {
        let entry = entry?;
        let about = entry.metadata()?;
        size += if about.is_dir() { installed_size(&entry.path())? } else { about.len().div_ceil(1024) };
    }
    Ok(size)
}

fn build(tree: &Path, package: &Path, quick: bool) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    command.args(if quick { ["-Zgzip", "-z1"] } else { ["-Zxz", "-z6"] });
    command.args(["--root-owner-group", "--build"]).arg(tree).arg(package);
    output(&mut command).map(drop)
}

/// Unpacks it into an empty root, and lets the programs that will read its parts read them there.
fn check(package: &Path) -> Result<()> {
    let root = target().join("package/root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    output(Command::new("dpkg-deb").arg("-x").arg(package).arg(&root))?;
    let version = output(Command::new(root.join("usr/bin/rackwright")).arg("--version"))?;
    let version = String::from_utf8_lossy(&version);
    ensure!(version.trim() == format!("rackwright {VERSION}"), "the packaged program says {version}");
    let agent = root.join("usr/lib/rackwright/rackwright-agent");
    let kind = fs::read(&agent)?;
    ensure!(kind.starts_with(b"\x7fELF"), "{} is no program", agent.display());
    for (_, to, _) in PRINTED {
        ensure!(fs::metadata(root.join(to))?.len() > 500, "{to} is nearly empty");
    }
    let control = String::from_utf8(output(Command::new("dpkg-deb").arg("-f").arg(package))?)?;
    ensure!(
        !control.contains('@') || control.contains("@localhost"),
        "unfilled words in control:\n{control}"
    );
    verify_units(&root)?;
    let root_option = format!("--root={}", root.display());
    output(Command::new("systemd-sysusers").arg(&root_option).arg("rackwright.conf"))?;
    let users = fs::read_to_string(root.join("etc/passwd")).context("systemd-sysusers made no user")?;
    ensure!(users.lines().any(|line| line.starts_with("rackwright:")), "no user rackwright:\n{users}");
    if crate::setup::is_root() {
        output(Command::new("systemd-tmpfiles").arg(&root_option).args(["--create", "rackwright.conf"]))?;
        ensure!(root.join("etc/rackwright").is_dir(), "systemd-tmpfiles made no /etc/rackwright");
    }
    Ok(())
}

/// systemd reads the units; whatever it complains of is an error.
fn verify_units(root: &Path) -> Result<()> {
    // Units of the system that every service refers to; empty ones will do.
    let system = root.join("lib/systemd/system");
    for name in
        ["sysinit.target", "basic.target", "shutdown.target", "network-online.target", "multi-user.target"]
    {
        write(&system.join(name), b"[Unit]\n")?;
    }
    let mut command = Command::new("systemd-analyze");
    command
        .arg(format!("--root={}", root.display()))
        .args(["--man=no", "--recursive-errors=no", "verify"])
        .args(UNITS);
    let found = command.stdin(Stdio::null()).output().context("systemd-analyze")?;
    let said = String::from_utf8_lossy(&found.stderr);
    ensure!(
        found.status.success() && said.trim().is_empty(),
        "systemd-analyze verify: {}\n{said}",
        found.status
    );
    Ok(())
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    write(to, &fs::read(from).with_context(|| from.display().to_string())?)?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(mode))?)
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    let folder: PathBuf = path.parent().map(Path::to_owned).unwrap_or_default();
    fs::create_dir_all(&folder)?;
    fs::write(path, content).with_context(|| path.display().to_string())?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o644))?)
}

/// What a program prints; it must succeed.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    ensure!(done.status.success(), "{command:?}: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    Ok(done.stdout)
}

/// gzip without a time stamp, so that the same text gives the same package.
fn zip(text: &[u8]) -> Result<Vec<u8>> {
    let plain = target().join("package/plain");
    write(&plain, text)?;
    output(Command::new("gzip").args(["-9", "--no-name", "--stdout"]).arg(&plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_in_the_folder_of_units_is_packaged() {
        let listed: Vec<&str> = FILES.iter().map(|(from, ..)| *from).collect();
        for folder in [
            "packaging/systemd",
            "packaging/examples",
            "packaging/debian",
            "packaging/ocf",
            "packaging/fence",
        ] {
            for entry in fs::read_dir(workspace().join(folder)).unwrap() {
                let name = format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy());
                assert!(listed.contains(&name.as_str()) || name == "packaging/debian/control", "{name}");
            }
        }
        assert!(FILES.iter().all(|(from, ..)| workspace().join(from).exists()));
    }
}
