//! The agent's executable: reads the command line, works, and ends the machine's ephemeral life.
//!
//! As process 1 it stays a mere parent: it starts itself again as a child, collects orphans, and starts the child anew
//! when that ends.

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rackwright_agent::config::Config;
use rackwright_agent::{dhcp6, power, work};
use std::process::{Command, ExitCode};
use std::time::Duration;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        supervise();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, interface] = arguments.as_slice()
        && command == "dhcp6"
    {
        return match dhcp6::run(interface) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("rackwright-agent: DHCPv6 on {interface}: {}", error.sentence());
                ExitCode::FAILURE
            }
        };
    }
    let config = Config::from_arguments(arguments.into_iter());
    let config = config.and_then(|config| work::prepare(&config).map(|()| config));
    match config {
        Ok(config) => {
            let simulate = config.simulate_power;
            println!("rackwright-agent: {} for racks {}", env!("CARGO_PKG_VERSION"), config.racks.join(", "));
            let ending = work::run(config);
            power::end(ending, simulate);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("rackwright-agent: {}", error.sentence());
            ExitCode::from(2)
        }
    }
}

/// Never ends: the kernel panics when process 1 does.
fn supervise() -> ! {
    loop {
        let child = Command::new("/proc/self/exe").args(std::env::args_os().skip(1)).spawn();
        match child {
            Ok(child) => collect_until(Pid::from_raw(child.id() as i32)),
            Err(error) => eprintln!("rackwright-agent: cannot start itself: {error}"),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Waits for any child, until it is this one that has ended.
fn collect_until(child: Pid) {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) if pid == child => return,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}
