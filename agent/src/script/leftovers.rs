//! Scripts of an agent that was killed: nobody waits for them any more, and the same item is about to be run again.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::time::Duration;

/// A process may make another while the list is read.
const ROUNDS: u32 = 20;
/// A process that is just being started shows no environment for a moment.
const QUIET_ROUNDS: u32 = 2;

/// Kills every process that has this variable in its environment, as all of a script's processes have.
pub fn end(name: &str, value: &str) {
    let wanted = format!("{name}={value}");
    let mut quiet = 0;
    for _ in 0..ROUNDS {
        let found = with_variable(wanted.as_bytes());
        quiet = if found.is_empty() { quiet + 1 } else { 0 };
        if quiet == QUIET_ROUNDS {
            return;
        }
        for pid in found {
            // One that has ended by itself meanwhile is as good.
            kill(pid, Signal::SIGKILL).ok();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn with_variable(wanted: &[u8]) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let has = |pid: &i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == wanted)
    };
    pids.filter(|pid| u32::try_from(*pid) != Ok(std::process::id())).filter(has).map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_has_the_variable_is_ended_and_nothing_else() {
        let value = format!("leftover-{}", std::process::id());
        let start = |name: &str| Command::new("sleep").arg("600").env(name, &value).spawn().unwrap();
        let (mut ours, mut other) = (start("RACKWRIGHT_TRIAL"), start("RACKWRIGHT_OTHER"));
        end("RACKWRIGHT_TRIAL", &value);
        let ended = ours.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9));
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
