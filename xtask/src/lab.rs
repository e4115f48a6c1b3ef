//! `cargo xtask lab …`: a lab to play with.

use crate::arguments::Arguments;
use crate::cluster::{self, Cluster, Size};
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use rackwright_lab::qemu::Console;
use rackwright_lab::{BmcKind, Lab, LabPlan, MachineHandle, chassis};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Dispatches to the verb.
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let prefix = arguments.option("--prefix")?.unwrap_or_else(|| "lab".to_owned());
    let verb = arguments.required("up, down, status, power, box, fault, console, ssh or exec")?;
    match verb.as_str() {
        "up" => up(&prefix, arguments),
        "down" => down(&prefix, arguments),
        "status" => status(&prefix, arguments),
        "power" => power(&prefix, arguments),
        "box" => whole_box(&prefix, arguments),
        "fault" => fault(&prefix, arguments),
        "console" => console(&prefix, arguments),
        "ssh" => ssh(&prefix, arguments),
        "exec" => exec(&prefix, arguments),
        other => bail!("lab {other}: up, down, status, power, box, fault, console, ssh or exec"),
    }
}

/// `chassis FOLDER OPERATION…`
pub fn chassis(mut arguments: Arguments) -> Result<ExitCode> {
    let folder = arguments.required("the folder of a machine")?;
    print!("{}", chassis::run(Path::new(&folder), &arguments.rest())?);
    Ok(ExitCode::SUCCESS)
}

/// `sim-chassis FOLDER OPERATION…`
pub fn simulated_chassis(mut arguments: Arguments) -> Result<ExitCode> {
    let folder = arguments.required("the folder of a machine")?;
    print!("{}", crate::simulated::chassis::run(Path::new(&folder), &arguments.rest())?);
    Ok(ExitCode::SUCCESS)
}

/// `lan-config FOLDER ARGUMENT…`
pub fn lan_config(mut arguments: Arguments) -> Result<ExitCode> {
    let folder = arguments.required("the folder of a machine")?;
    print!("{}", rackwright_lab::lan_config::run(Path::new(&folder), &arguments.rest())?);
    Ok(ExitCode::SUCCESS)
}

fn up(prefix: &str, mut arguments: Arguments) -> Result<ExitCode> {
    let plan = match arguments.option("--plan")? {
        Some(file) => {
            serde_json::from_slice(&fs::read(&file).with_context(|| file.clone())?).context(file)?
        }
        None => LabPlan::demo(),
    };
    if let Some(size) = size(&mut arguments)? {
        return up_cluster(prefix, size, arguments);
    }
    arguments.done()?;
    ensure!(!Lab::exists(prefix)?, "the lab {prefix:?} is up already; `cargo xtask lab down` removes it");
    setup::ensure_installed(&[crate::packages::Need::Lab])?;
    let lab = Lab::create(prefix, plan)?;
    make_key(&lab)?;
    print_status(&Lab::status(prefix)?);
    println!("\nOn the controller: cargo xtask lab exec ctl COMMAND…");
    Ok(ExitCode::SUCCESS)
}

/// `--regions N --racks N --db N --machines N`; nothing when none is given.
fn size(arguments: &mut Arguments) -> Result<Option<Size>> {
    let mut given = false;
    let mut number = |name: &str, default: usize| -> Result<usize> {
        let Some(text) = arguments.option(name)? else { return Ok(default) };
        given = true;
        text.parse().with_context(|| format!("{name} {text}: a number"))
    };
    let size = Size {
        nodes: number("--db", 3)?,
        regions: number("--regions", 3)?,
        racks: number("--racks", 0)?,
        machines: number("--machines", 0)?,
    };
    Ok(given.then_some(size))
}

/// A site with several boxes, running.
fn up_cluster(prefix: &str, size: Size, mut arguments: Arguments) -> Result<ExitCode> {
    let program = crate::bench::program(arguments.option("--program")?)?;
    arguments.done()?;
    ensure!(!Lab::exists(prefix)?, "the lab {prefix:?} is up already; `cargo xtask lab down` removes it");
    setup::ensure_installed(setup::CLUSTER)?;
    let images = match size.machines {
        0 => Vec::new(),
        _ => cluster::images(&program)?,
    };
    let lab = Lab::create(prefix, cluster::plan(size)?)?;
    make_key(&lab)?;
    let started = Cluster::start(&lab, &program, size).and_then(|cluster| {
        if size.machines > 0 && size.racks > 0 {
            cluster.load_images(&images)?;
            cluster.enter_machines()?;
        }
        Ok(cluster)
    });
    let cluster = match started {
        Ok(cluster) => cluster,
        Err(error) => {
            Lab::destroy(prefix)?;
            return Err(error);
        }
    };
    print_status(&Lab::status(prefix)?);
    for member in cluster.members()? {
        println!("database    {} {} {}", member.name, member.role, member.state);
    }
    let token = cluster.token_file();
    let up = format!("--url http://{} --token-file {}", cluster::VIRTUAL, token.display());
    println!(
        "\ncargo xtask lab exec --prefix {prefix} {} -- {} status {up}",
        cluster::CLIENT,
        program.display()
    );
    println!(
        "People ask http://{}/ (from the host {}); the administrator's token is {}",
        cluster::VIRTUAL,
        cluster::CLIENT,
        token.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn down(prefix: &str, arguments: Arguments) -> Result<ExitCode> {
    arguments.done()?;
    Lab::destroy(prefix)?;
    Ok(ExitCode::SUCCESS)
}

fn status(prefix: &str, mut arguments: Arguments) -> Result<ExitCode> {
    let json = arguments.flag("--json");
    arguments.done()?;
    let status = Lab::status(prefix)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print_status(&status);
    }
    Ok(if status.exists { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_status(status: &rackwright_lab::status::Status) {
    if !status.exists && status.namespaces.is_empty() {
        println!("there is no such lab");
        return;
    }
    println!("namespaces  {}", status.namespaces.join(" "));
    for process in &status.processes {
        println!("process     {} ({})", process.name, process.pid);
    }
    println!("{:<12} {:<6} {:<18} {:<14} console", "machine", "power", "mac", "bmc");
    for machine in &status.machines {
        let power = if machine.on { "on" } else { "off" };
        let bmc = match (&machine.bmc, machine.bmc_runs) {
            (None, _) => "-".to_owned(),
            (Some(address), true) => address.clone(),
            (Some(address), false) => format!("{address} (down)"),
        };
        let mac = machine.mac.as_deref().unwrap_or("-");
        println!("{:<12} {power:<6} {mac:<18} {bmc:<14} {}", machine.name, machine.serial_log);
    }
}

fn power(prefix: &str, mut arguments: Arguments) -> Result<ExitCode> {
    let name = arguments.required("the machine's name")?;
    let action = arguments.required("on, off, cycle, reset or status")?;
    arguments.done()?;
    let lab = Lab::open(prefix)?;
    let machine = lab.machine(&name)?;
    if let Some(BmcKind::IpmiSim { .. }) = machine.plan().bmc.as_ref().map(|bmc| &bmc.kind) {
        return run_inherited(lab.ipmitool(&name)?.args(["chassis", "power", &action]));
    }
    // Other BMCs speak other protocols; the chassis behind them is the same.
    let operations: &[&str] = match action.as_str() {
        "on" => &["set", "power", "1"],
        "off" => &["set", "power", "0"],
        "cycle" => &["set", "power", "0", "set", "power", "1"],
        "reset" => &["set", "reset", "1"],
        "status" => &["get", "power"],
        other => bail!("power {other}: on, off, cycle, reset or status"),
    };
    let operations: Vec<String> = operations.iter().map(|word| (*word).to_owned()).collect();
    print!("{}", chassis::run(machine.folder(), &operations)?);
    Ok(ExitCode::SUCCESS)
}

/// A box of a site with several: its power (the cables first, then everything that runs) or its cables.
fn whole_box(prefix: &str, mut arguments: Arguments) -> Result<ExitCode> {
    let host = arguments.required("the host's name")?;
    let action = arguments.required("off, on, cut or join")?;
    arguments.done()?;
    let lab = Lab::open(prefix)?;
    let cluster = Cluster::open(&lab)?;
    match action.as_str() {
        "off" => cluster.kill_host(&host, true)?,
        "on" => cluster.revive_host(&host)?,
        "cut" => cluster.set_cables(&host, false)?,
        "join" => cluster.set_cables(&host, true)?,
        other => bail!("box {other}: off, on, cut or join"),
    }
    Ok(ExitCode::SUCCESS)
}

fn fault(prefix: &str, mut arguments: Arguments) -> Result<ExitCode> {
    let name = arguments.required("the machine's name")?;
    let faults = arguments.rest().join(" ");
    Lab::open(prefix)?.bmc(&name)?.set_faults(&faults)?;
    Ok(ExitCode::SUCCESS)
}

fn console(prefix: &str, mut arguments: Arguments) -> Result<ExitCode> {
    let log = arguments.flag("--log");
    let name = arguments.required("the machine's name")?;
    arguments.done()?;
    let lab = Lab::open(prefix)?;
    let machine = lab.machine(&name)?;
    if log {
        return run_inherited(Command::new("tail").args(["-n", "+1", "-F"]).arg(machine.serial_log()));
    }
    ensure!(machine.is_on(), "{name} is off; `lab console {name} --log` shows what it wrote");
    match machine.console() {
        // The BMC holds the console, as on real hardware.
        Console::Tcp(_) => {
            println!("serial over LAN; ~. ends it");
            run_inherited(lab.ipmitool(&name)?.args(["sol", "activate"]))
        }
        Console::Unix(socket) => {
            println!("Ctrl-] ends it");
            let target = format!("UNIX-CONNECT:{}", socket.display());
            run_inherited(Command::new("socat").args(["-,raw,echo=0,escape=0x1d", &target]))
        }
    }
}

fn ssh(prefix: &str, mut arguments: Arguments) -> Result<ExitCode> {
    let target = arguments.required("[USER@]NAME")?;
    let (user, name) = target.split_once('@').unwrap_or(("debian", &target));
    let lab = Lab::open(prefix)?;
    let address = address_of(&lab, &lab.machine(name)?)?;
    run_inherited(ssh_command(&lab, user, &address).args(arguments.rest()))
}

fn exec(prefix: &str, mut arguments: Arguments) -> Result<ExitCode> {
    let host = arguments.required("the host's name")?;
    let command = arguments.rest();
    let (program, rest) = command.split_first().context("a command is missing")?;
    run_inherited(Lab::open(prefix)?.exec(&host, program).args(rest))
}

/// `ssh` on the controller with the lab's own key, which asks nothing and remembers nothing.
pub fn ssh_command(lab: &Lab, user: &str, address: &str) -> Command {
    let mut command = lab.exec("ctl", "ssh");
    command.arg("-i").arg(key(lab));
    for option in [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "ConnectTimeout=5",
        "PasswordAuthentication=no",
    ] {
        command.args(["-o", option]);
    }
    command.arg(format!("{user}@{address}"));
    command
}

/// The IPv4 address under which a host of the lab knows a machine, from its neighbour table.
pub fn address_of(lab: &Lab, machine: &MachineHandle) -> Result<String> {
    let mac = &machine.plan().nics.first().context("it has no interface")?.mac;
    for host in &lab.plan().hosts {
        let table = rackwright_lab::ns::run_for_text(lab.exec(&host.name, "ip").args(["-4", "neigh"]))?;
        let line = table.lines().find(|line| line.contains(mac.as_str()));
        if let Some(address) = line.and_then(|line| line.split_whitespace().next()) {
            return Ok(address.to_owned());
        }
    }
    bail!("no controller has heard from {mac}")
}

/// The lab's SSH key pair; the public half is the same path with `.pub`.
pub fn key(lab: &Lab) -> std::path::PathBuf {
    lab.state().folder().join("ssh-key")
}

/// Makes the lab's SSH key pair.
pub fn make_key(lab: &Lab) -> Result<()> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "rackwright-lab", "-f"]).arg(key(lab));
    rackwright_lab::ns::run(&mut command)
}

fn run_inherited(command: &mut Command) -> Result<ExitCode> {
    let status = command.status().with_context(|| format!("{:?}", command.get_program()))?;
    Ok(status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code.clamp(0, 255) as u8)))
}
