//! Brings what a node runs onto its box: packages of the distribution, and Patroni from PyPI (the distribution's own may
//! be one that loses acknowledged changes after a partition).

use super::Place;
use super::files::Etcd;
use super::inventory::{Inventory, Node, host};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The oldest Patroni that will do, and the first that nobody has tried.
const PATRONI: &str = "patroni[etcd3,psycopg2-binary]>=4.1,<5";
/// The distribution's: one that root alone has may not be entered by the database's user.
const PYTHON: &str = "/usr/bin/python3";
/// How long a cluster may take to agree to another member.
const PATIENCE: Duration = Duration::from_secs(30);
/// A file that shows that a package is there, and the package.
const PACKAGES: &[(&str, &str)] = &[
    ("/usr/bin/etcd", "etcd-server"),
    ("/usr/bin/etcdctl", "etcd-client"),
    ("/usr/sbin/haproxy", "haproxy"),
    ("/usr/sbin/keepalived", "keepalived"),
    ("/usr/bin/setpriv", "util-linux"),
];
/// Packages that start a unit, which would take the ports, and that unit.
const OTHERS: [(&str, &str); 4] = [
    ("etcd-server", "etcd"),
    ("postgresql", "postgresql"),
    ("haproxy", "haproxy"),
    ("keepalived", "keepalived"),
];
const UNIT: &str = include_str!("../../../packaging/systemd/rackwright-ha.service");

/// The newest installed PostgreSQL's programs, 15 at least.
pub fn postgres() -> Result<PathBuf> {
    crate::serve::postgres_programs()
}

/// Installs packages that are missing.
pub fn packages(install: bool) -> Result<()> {
    let mut missing: Vec<&str> =
        PACKAGES.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package).collect();
    if postgres().is_err() {
        missing.push("postgresql");
    }
    if !runs(PYTHON, &["-c", "import ensurepip, venv"]) {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(
        install && Path::new("/usr/bin/apt-get").exists(),
        "install these packages: {}",
        missing.join(" ")
    );
    println!("Installing {}", missing.join(" "));
    // A box made from an image has no lists of packages yet; one without a way to its mirror may have all in its cache.
    if let Err(error) = run(Command::new("apt-get").args(["update", "-q"])) {
        println!("{error}; going on with the lists of packages that are here");
    }
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "-q", "-y", "--no-install-recommends"]);
    run(apt.args(&missing))?;
    // What was here before may be in use.
    let new: Vec<&str> =
        OTHERS.iter().filter(|(package, _)| missing.contains(package)).map(|(_, unit)| *unit).collect();
    if has_systemd() && !new.is_empty() {
        run(Command::new("systemctl").args(["disable", "--now"]).args(new))?;
    }
    Ok(())
}

/// Makes the Python environment with Patroni, unless it is there.
pub fn patroni(place: &Place, install: bool) -> Result<()> {
    let folder = place.patroni();
    let program = folder.join("bin/patroni");
    if !program.exists() {
        ensure!(
            install,
            "there is no {}; run without --no-install, or name one with --patroni",
            program.display()
        );
        println!("Installing Patroni from PyPI into {}", folder.display());
        run(Command::new(PYTHON).args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", PATRONI]))?;
    }
    let output =
        Command::new(&program).arg("--version").output().with_context(|| program.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(is_sound(&text), "{}: {}: 4.1 or newer is needed", program.display(), text.trim());
    Ok(())
}

/// `patroni 4.1.5` and newer.
fn is_sound(version: &str) -> bool {
    let number = version.trim().rsplit(' ').next().unwrap_or_default();
    let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (4, 1)
}

/// A box that was replaced comes to a cluster that knows its name: the others forget the old one and expect this one.
pub fn etcd(place: &Place, inventory: &Inventory, node: &Node) -> Result<Etcd> {
    if place.data.join("etcd/member").exists() {
        return Ok(Etcd::New);
    }
    let others: Vec<_> = inventory.nodes.iter().filter(|n| *n != node).collect();
    let endpoints: Vec<_> = others.iter().map(|n| format!("https://{}:2379", host(n.address))).collect();
    let ask = |arguments: &[&str]| {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .arg("--command-timeout=3s")
            .arg(format!("--endpoints={}", endpoints.join(",")));
        for (option, file) in [("cacert", "ca.pem"), ("cert", "certificate.pem"), ("key", "key.pem")] {
            command.arg(format!("--{option}={}", place.folder.join(file).display()));
        }
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output()
    };
    let listed = ask(&["member", "list"]).context("etcdctl")?;
    if !listed.status.success() {
        // Nobody is there yet: this node is among those that make the cluster.
        return Ok(Etcd::New);
    }
    let own = format!("https://{}:2380", host(node.address));
    let id = match member(&String::from_utf8_lossy(&listed.stdout), &own) {
        // Taken out by a set-up that was interrupted: whoever has the authority's certificate belongs to the cluster.
        Member::Unknown => None,
        Member::Awaited => return Ok(Etcd::New),
        Member::Added => return Ok(Etcd::Existing),
        Member::Known(id) => Some(id),
    };
    if let Some(id) = id {
        println!("The cluster knows this node from before; it is taken out and in again");
        let removed = ask(&["member", "remove", &id])?.status.success();
        ensure!(removed, "etcd's members could not be changed; are the other nodes up?");
    }
    // A cluster refuses while its members have not heard each other for some seconds.
    let deadline = Instant::now() + PATIENCE;
    while !ask(&["member", "add", &node.name, &format!("--peer-urls={own}")])?.status.success() {
        ensure!(
            Instant::now() < deadline,
            "etcd does not take this node; when all other nodes are up, run `rackwright ha setup` again"
        );
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(Etcd::Existing)
}

/// What the cluster that runs says of a node.
#[derive(Debug, PartialEq, Eq)]
enum Member {
    /// Nothing.
    Unknown,
    /// It is among those that make the cluster, and was never there.
    Awaited,
    /// It was added to the cluster, and has not come yet.
    Added,
    /// It has this number, and was there.
    Known(String),
}

/// Finds a node by its peers' URL in `etcdctl member list`: number, status, name, peers' URLs, clients' URLs, learner. One that
/// was named at the beginning counts as started before it ever was; only when it comes it tells its clients' URLs.
fn member(list: &str, own: &str) -> Member {
    let lines = list.lines().map(|line| line.split(',').map(str::trim).collect::<Vec<_>>());
    let Some(fields) = lines.into_iter().find(|fields| fields.get(3) == Some(&own)) else {
        return Member::Unknown;
    };
    match (fields.get(1), fields.get(4)) {
        (Some(&"started"), Some(&"") | None) => Member::Awaited,
        (Some(&"started"), Some(_)) => Member::Known(fields.first().copied().unwrap_or_default().to_owned()),
        _ => Member::Added,
    }
}

/// Whether systemd runs this box.
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").exists()
}

/// Writes the unit and starts it. One that runs goes on as it is: a restart could move the database's leader.
pub fn unit(place: &Place) -> Result<()> {
    let path = Path::new("/lib/systemd/system/rackwright-ha.service");
    if !path.exists() {
        std::fs::write("/etc/systemd/system/rackwright-ha.service", UNIT)?;
    }
    let elsewhere = Path::new("/etc/systemd/system/rackwright-ha.service.d/place.conf");
    if let Some(arguments) = place.arguments()? {
        let program = std::env::current_exe()?;
        let start = format!("{} ha node {arguments}", program.display());
        std::fs::create_dir_all(elsewhere.parent().context("a drop-in has a folder")?)?;
        std::fs::write(elsewhere, format!("[Service]\nExecStart=\nExecStart={start}\n"))?;
    } else if elsewhere.exists() {
        std::fs::remove_file(elsewhere)?;
    }
    for (_, other) in OTHERS {
        if runs("systemctl", &["is-active", "--quiet", other]) {
            println!(
                "The unit {other} runs beside rackwright-ha, which has one of its own: if nothing else needs it, \
                 `systemctl disable --now {other}`"
            );
        }
    }
    run(Command::new("systemctl").arg("daemon-reload"))?;
    run(Command::new("systemctl").args(["enable", "--now", "rackwright-ha"]))
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> Result<()> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status().with_context(|| shown.clone())?;
    ensure!(status.success(), "{shown}: {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Member, is_sound, member};

    #[test]
    fn a_node_that_comes_last_is_no_replacement() {
        let list = "2d13, started, two, https://10.0.0.2:2380, https://10.0.0.2:2379, false\n\
                    86f2, started, three, https://10.0.0.3:2380, , false\n\
                    99aa, unstarted, , https://10.0.0.4:2380, , false\n";
        let of = |address: &str| member(list, &format!("https://{address}:2380"));
        assert_eq!(of("10.0.0.2"), Member::Known("2d13".into()));
        assert_eq!(of("10.0.0.3"), Member::Awaited);
        assert_eq!(of("10.0.0.4"), Member::Added);
        assert_eq!(of("10.0.0.5"), Member::Unknown);
    }

    #[test]
    fn a_patroni_that_loses_changes_is_refused() {
        for (version, sound) in [
            ("patroni 4.1.5\n", true),
            ("patroni 5.0.0", true),
            ("patroni 4.0.9", false),
            ("patroni 3.0.2", false),
            ("", false),
        ] {
            assert_eq!(is_sound(version), sound, "{version}");
        }
    }
}
